namespace Quicksilver.Client;

/// <summary>How an application reaches Quicksilver.</summary>
public sealed class QuicksilverClientOptions
{
    /// <summary>Gateways in order of preference, <c>host:port</c>. Default <c>127.0.0.1:30000</c>, the hub of the development cluster.</summary>
    public IList<string> Gateways { get; } = [];

    /// <summary>
    /// How long one operation may take: connecting, finding its keyspace and all tries together. 1 ms to 24 hours. Default 8 s: longer than a hub
    /// needs for a new leader, and short enough that a command of <c>qs</c> ends within 10 s. A write that is not certain by
    /// then ends in an exception that says whether it may have happened.
    /// </summary>
    public TimeSpan Deadline { get; set; } = DefaultDeadline;

    /// <summary>The deadline of a client that names none.</summary>
    public static readonly TimeSpan DefaultDeadline = TimeSpan.FromSeconds(8);

    /// <summary>First pause between two tries; doubles up to half a second. 1 to 500 ms. Default 10 ms.</summary>
    public TimeSpan MinBackoff { get; set; } = TimeSpan.FromMilliseconds(10);

    /// <summary>
    /// Sends what callers commit at the same time together, in one call while another is on its way. Default true: about twice the write
    /// rate at 64 callers. False: one call for each commit.
    /// </summary>
    public bool MergeCommits { get; set; } = true;

    /// <summary>
    /// Sends gets of one keyspace that are made at the same time together, in at most two calls at a time. Default true. False: one call for
    /// each get.
    /// </summary>
    public bool MergeReads { get; set; } = true;

    /// <summary>
    /// Sends writes through the gateway that answers name for them, where it can be reached: that of the hub's leader, for a client of the
    /// hub. Default true: about twice the write rate. A gateway that has nobody to hand a write to makes another one of
    /// <see cref="Gateways"/> be tried. False: everything goes through one gateway.
    /// </summary>
    public bool FollowLeader { get; set; } = true;

    /// <summary>The gateway of a client that names none.</summary>
    public const string DefaultGateway = "127.0.0.1:30000";

    private static readonly TimeSpan MaxDeadline = TimeSpan.FromHours(24);

    /// <summary>What is wrong with these options beside their gateways, of which the link judges; or null.</summary>
    internal string? Problem()
    {
        // A timer takes no more than 49 days, and no operation is worth one of them.
        if (Deadline < TimeSpan.FromMilliseconds(1) || Deadline > MaxDeadline)
        {
            return $"Deadline is {Deadline}; it must be 1 ms to {MaxDeadline.TotalHours:0} hours";
        }

        // Without a pause the next try would be made at once, and the one after it.
        return MinBackoff < TimeSpan.FromMilliseconds(1) || MinBackoff > Backoff.Max
            ? $"MinBackoff is {MinBackoff}; it must be 1 to {Backoff.Max.TotalMilliseconds:0} ms"
            : null;
    }

    internal GatewayLinkOptions ToLinkOptions() => new() { Gateways = Gateways.Count > 0 ? [.. Gateways] : [DefaultGateway] };
}
