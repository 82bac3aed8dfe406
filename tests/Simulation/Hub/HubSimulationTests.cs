using System.Collections.Concurrent;
using System.Globalization;
using Quicksilver.Testing;

namespace Quicksilver.Simulation.Hub;

/// <summary>
/// Goal: pump, apply, operation ids, conditions and the client's tries keep what is promised, whatever leaders, members and the network
/// do. Method: seeded histories of a simulated hub on virtual time; a seed is a history.
/// </summary>
public sealed class HubSimulationTests
{
    private const string SeedVariable = "QS_SIM_SEED";

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static int? SeedToReplay => int.TryParse(Environment.GetEnvironmentVariable(SeedVariable), CultureInfo.InvariantCulture, out var seed) ? seed : null;

    private static string HowToReplay(int seed) => $"Replay: {SeedVariable}={seed} dotnet run -c Release --project tests/Simulation -- -explicit only -method '*.{nameof(One_history_is_told)}'";

    [Fact]
    public async Task Five_hundred_histories_keep_every_promise() => await RunAsync(1, 500);

    [Fact(Explicit = true)]
    public async Task Many_histories_keep_every_promise() => await RunAsync(
        1_000, 1_000 * int.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "20", CultureInfo.InvariantCulture));

    private static async Task RunAsync(int first, int count)
    {
        var counts = new ConcurrentDictionary<string, int>();
        await Parallel.ForEachAsync(Enumerable.Range(first, count), Stop, (seed, _) =>
        {
            var outcome = Run(seed);
            Assert.True(outcome.Wrong.Count == 0, $"Seed {seed}: {string.Join("; ", outcome.Wrong)}. {HowToReplay(seed)}");
            foreach (var (what, times) in outcome.Counts)
            {
                counts.AddOrUpdate(what, times, (_, before) => before + times);
            }

            return ValueTask.CompletedTask;
        });

        // Histories in which nothing happens prove nothing.
        foreach (var what in new[]
        {
            "outcome Committed", "outcome ConditionFailed", "outcome Unknown", "outcome Unavailable", "outcome Overloaded", "outcome Expired", "outcome OperationIdReused",
            "end Committed", "end ConditionFailed", "end unknown", "end read", "entries kept", "entries lost",
        })
        {
            Assert.True(counts.GetValueOrDefault(what) > 0, $"'{what}' did not happen in {count} histories.");
        }

        TestContext.Current.TestOutputHelper?.WriteLine(string.Join("\n", counts.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}: {pair.Value}")));
    }

    [Theory]
    [InlineData((int)Plant.LosesCommitted)]
    [InlineData((int)Plant.NewIdForEachTry)]
    [InlineData((int)Plant.ForgetsAtRestart)]
    [InlineData((int)Plant.DeniesWhatIsUnknown)]
    [InlineData((int)Plant.LetsCopiesIn)]
    public void A_planted_bug_is_found_within_two_hundred_histories(int plant) =>
        Assert.Contains(Enumerable.Range(1, 200), seed => Run(seed, (Plant)plant).Wrong.Count > 0);

    [Theory]
    [InlineData(7)]
    [InlineData(77)]
    public async Task A_seed_is_the_same_history_in_two_processes(int seed)
    {
        var hashes = new HashSet<string> { Run(seed).TraceHash };
        for (var i = 0; i < 2; i++)
        {
            await using var child = ChildProcess.Start(
                "Simulation", "Simulation", ["-explicit", "only", "-noColor", "-showLiveOutput", "-method", $"*.{nameof(One_history_is_told)}"],
                new Dictionary<string, string> { [SeedVariable] = seed.ToString(CultureInfo.InvariantCulture) });
            Assert.Equal(0, await child.WaitAsync(Stop));
            var line = child.Output.Split('\n').First(line => line.Contains(HashLine, StringComparison.Ordinal));
            hashes.Add(line[(line.IndexOf(HashLine, StringComparison.Ordinal) + HashLine.Length)..].Trim());
        }

        Assert.Single(hashes);
    }

    private const string HashLine = "trace hash ";

    /// <summary>Replays a seed with everything that happens in it.</summary>
    [Fact(Explicit = true)]
    public void One_history_is_told()
    {
        Assert.SkipUnless(SeedToReplay is not null, $"Nothing to replay: set {SeedVariable} to a seed.");
        var text = new StringWriter();
        var outcome = Run(SeedToReplay!.Value, Plant.None, text);
        TestContext.Current.TestOutputHelper?.WriteLine($"{text}\n{HashLine}{outcome.TraceHash}");
        Assert.Empty(outcome.Wrong);
    }

    private static HubOutcome Run(int seed, Plant plant = Plant.None, TextWriter? text = null)
    {
        using var directory = new TempDirectory();
        return HubSimulation.Run(seed, directory.Path, plant, text);
    }
}
