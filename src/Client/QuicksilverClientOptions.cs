namespace Quicksilver.Client;

/// <summary>How an application reaches Quicksilver.</summary>
public sealed class QuicksilverClientOptions
{
    /// <summary>
    /// Gateways in order of preference, <c>host:port</c>: those of the nearest region first, then those of the next. Default
    /// <c>127.0.0.1:30000</c>, the hub of the development cluster.
    /// </summary>
    public IList<string> Gateways { get; } = [];

    /// <summary>
    /// How long one operation may take that names no deadline of its own (<see cref="ReadOptions.Deadline"/>, <see cref="WriteOptions.Deadline"/>):
    /// connecting, finding its keyspace and all tries together. 1 ms to 24 hours. Default 8 s: longer than a hub
    /// needs for a new leader, and short enough that a command of <c>qs</c> ends within 10 s. A write that is not certain by
    /// then ends in an exception that says whether it may have happened.
    /// </summary>
    public TimeSpan Deadline { get; set; } = DefaultDeadline;

    /// <summary>The deadline of a client that names none.</summary>
    public static readonly TimeSpan DefaultDeadline = TimeSpan.FromSeconds(8);

    /// <summary>First pause between two tries; doubles up to half a second. 1 to 500 ms. Default 10 ms.</summary>
    public TimeSpan MinBackoff { get; set; } = TimeSpan.FromMilliseconds(10);

    /// <summary>
    /// Sends what callers commit at the same time together, in one call while another is on its way. Default true: 1.5 to 2 times the
    /// writes at 64 callers. False: one call for each commit.
    /// </summary>
    public bool MergeCommits { get; set; } = true;

    /// <summary>
    /// Sends gets of one keyspace that are made at the same time together, in at most two calls at a time. Default true. False: one call for
    /// each get.
    /// </summary>
    public bool MergeReads { get; set; } = true;

    /// <summary>
    /// Sends writes through the gateway that answers name for them, where it can be reached: that of the hub's leader, for a client of the
    /// hub. Default true: 1.2 to 1.3 times the writes. A gateway that has nobody to hand a write to makes another one of
    /// <see cref="Gateways"/> be tried. False: everything goes through one gateway.
    /// </summary>
    public bool FollowLeader { get; set; } = true;

    /// <summary>
    /// How long a client stays with a gateway that is not its first before it looks whether a better one is there again and its node is ready, and
    /// between two looks. 1 s to 1 day. Default 10 s: long enough that a gateway that comes and goes costs little, and short beside the time that an
    /// outage takes. Calls on the old gateway end there.
    /// </summary>
    public TimeSpan ReturnAfter { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>The gateway of a client that names none.</summary>
    public const string DefaultGateway = "127.0.0.1:30000";

    private static readonly TimeSpan MinReturnAfter = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan MaxReturnAfter = TimeSpan.FromDays(1);

    /// <summary>
    /// Longer than a link takes to find out that its gateway is silent: else a read would be made again over the same dead link, and once more over
    /// the next. A call that is lost behind a gateway that lives is made again after it.
    /// </summary>
    private static readonly TimeSpan ResponseTimeout = TimeSpan.FromSeconds(10);

    /// <summary>What is wrong with these options beside their gateways, of which the link judges; or null.</summary>
    internal string? Problem()
    {
        if (Client.Deadline.Problem(Deadline) is { } problem)
        {
            return problem;
        }

        // Without a pause the next try would be made at once, and the one after it.
        if (MinBackoff < TimeSpan.FromMilliseconds(1) || MinBackoff > Backoff.Max)
        {
            return $"MinBackoff is {MinBackoff}; it must be 1 to {Backoff.Max.TotalMilliseconds:0} ms";
        }

        return ReturnAfter < MinReturnAfter || ReturnAfter > MaxReturnAfter
            ? $"ReturnAfter is {ReturnAfter}; it must be {MinReturnAfter.TotalSeconds:0} s to {MaxReturnAfter.TotalDays:0} day"
            : null;
    }

    internal GatewayLinkOptions ToLinkOptions() => new() { Gateways = Gateways.Count > 0 ? [.. Gateways] : [DefaultGateway], ResponseTimeout = ResponseTimeout };
}
