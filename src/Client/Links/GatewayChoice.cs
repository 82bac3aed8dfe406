namespace Quicksilver.Client;

/// <summary>
/// Which of several gateways a link goes to: the first in order of preference that answers, but not at any price. One that is silent is waited for
/// only a little once another has answered, and one whose session could not be made, or fell silent, comes last for a while: it would say hello
/// again and be chosen for ever.
/// Not thread-safe: one at a time, except for <see cref="FirstAsync"/>, which touches none of that.
/// </summary>
/// <param name="grace">How much longer a better gateway may take to answer than one that comes behind it.</param>
internal sealed class GatewayChoice(TimeSpan grace, TimeProvider time)
{
    /// <summary>How long a gateway that failed comes last. Source: as long as a replica avoids a source that failed.</summary>
    public static readonly TimeSpan AvoidFor = TimeSpan.FromSeconds(10);

    private readonly Dictionary<string, long> _failed = [];

    /// <summary>A gateway answered, and could not be used or fell silent.</summary>
    public void OnFailed(string gateway) => _failed[gateway] = time.GetTimestamp();

    /// <summary>A gateway was seen to be usable: what it did before does not count any more.</summary>
    public void OnProven(string gateway) => _failed.Remove(gateway);

    /// <summary>The gateways in the order in which they are tried now; of those that failed the one that did so first comes first.</summary>
    public string[] Order(IReadOnlyList<string> gateways) => [.. gateways.OrderBy(FailedAt)];

    private long FailedAt(string gateway) =>
        _failed.TryGetValue(gateway, out var at) && time.GetElapsedTime(at) < AvoidFor ? at : long.MinValue;

    /// <summary>
    /// Index of the answer to go by, or null where no gateway answers. Waits for those before it until they have answered, or the grace is over.
    /// Throws what an answer threw.
    /// </summary>
    public async Task<int?> FirstAsync(IReadOnlyList<Task<Probe>> answers, CancellationToken stop)
    {
        Task? over = null;
        while (true)
        {
            var mayWait = over is not { IsCompleted: true };
            for (var i = 0; i < answers.Count && (answers[i].IsCompleted || !mayWait); i++)
            {
                if (answers[i].IsCompleted && IsGateway(await answers[i].ConfigureAwait(false)))
                {
                    return i;
                }
            }

            var pending = answers.Where(answer => !answer.IsCompleted).ToList<Task>();
            if (pending.Count == 0)
            {
                // One that has answered behind the last look counts, too.
                if (!answers.Any(answer => answer.IsCompletedSuccessfully && IsGateway(answer.Result)))
                {
                    return null;
                }

                continue;
            }

            if (over is null && answers.Any(answer => answer.IsCompletedSuccessfully && IsGateway(answer.Result)))
            {
                over = Task.Delay(grace, time, stop);
            }

            if (over is not null)
            {
                pending.Add(over);
            }

            await Task.WhenAny(pending).ConfigureAwait(false);
        }
    }

    private static bool IsGateway(Probe probe) => probe is { Result: ProbeResult.Quicksilver, Hello: not null, Endpoint: not null };
}
