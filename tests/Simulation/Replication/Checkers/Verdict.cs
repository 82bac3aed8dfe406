namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>What broke a promise, and how often what happened.</summary>
internal sealed class Verdict
{
    /// <summary>The first ones tell; those that follow from them do not.</summary>
    private const int MaxWrong = 10;

    public List<string> Wrong { get; } = [];

    public Dictionary<string, int> Counts { get; } = [];

    /// <param name="checker">Who found it, in one word.</param>
    public void Fail(string checker, string what)
    {
        if (Wrong.Count < MaxWrong)
        {
            Wrong.Add($"{checker}: {what}");
        }
    }

    public void Count(string what, int times = 1) => Counts[what] = Counts.GetValueOrDefault(what) + times;
}
