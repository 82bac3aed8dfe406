using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Hosting;

/// <summary>
/// A replica in the process of an application. Where a setting of a node has the same name (docs/operations.md), it means the same. Checked when the
/// replica is made: <see cref="ConfigurationException"/> names the option, its value and the fix.
/// </summary>
public sealed class QuicksilverReplicaOptions
{
    /// <summary>
    /// Stable name of the replica, stored in its data directory: 1 to 63 of <c>a-z 0-9 . _ -</c>, starting with a letter or digit. No other replica or
    /// node may have it: two of one name take their place at the source from each other. Required.
    /// </summary>
    public string NodeId { get; set; } = "";

    /// <summary>The place where the application runs, for people: a name as <see cref="NodeId"/>, and not <c>hub</c>. Required.</summary>
    public string Region { get; set; } = "";

    /// <summary>Directory of this replica alone, on a local disk; made where it is missing. Another process that has it keeps the replica from starting. Required.</summary>
    public string DataDirectory { get; set; } = "";

    /// <summary>Gateways to pull from and to send writes to, <c>host:port</c>, in order of preference: of a region, or of the hub. At least one.</summary>
    public IList<string> Upstreams { get; } = [];

    /// <summary>Names of the keyspaces to hold, or patterns with <c>*</c>, at most 64. Default none, which means all.</summary>
    public IList<string> Keyspaces { get; } = [];

    /// <summary>
    /// How long one operation may take, waits and tries included. Default 8 s (<see cref="QuicksilverClientOptions.DefaultDeadline"/>), 10 ms to 1 h.
    /// </summary>
    public TimeSpan Deadline { get; set; } = QuicksilverClientOptions.DefaultDeadline;

    /// <summary>
    /// How long the start waits for a replica that has no data yet to take it from its source. Default 30 s: a copy of a few hundred megabytes, and
    /// less than the minute that most hosts have. 0 to 1 day; 0 does not wait. After it the application starts, reads are Unavailable, and
    /// <see cref="IQuicksilverReplica.NotReady"/> says why. A replica that has data never waits.
    /// </summary>
    public TimeSpan StartTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Memory for uncompressed blocks of the database, bytes. Default 64 MiB: the memory is the application's. 8 MiB to 1 TiB.</summary>
    public long BlockCacheBytes { get; set; } = 64L << 20;

    /// <summary>Most reads that wait for a revision at the same time; beyond it Overloaded. Default 10,000 as for a node, 1 to 10,000,000.</summary>
    public int MaxWaiters { get; set; } = 10_000;

    /// <summary>
    /// With more lag than this the replica is not ready, while its source has records that it lacks. Default 30 s as for a node, 1 s to 365 days.
    /// </summary>
    public TimeSpan MaxLag { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>A source that was not level with the hub for longer is left for one that is further. Default 30 s as for a node, 1 s to 1 day.</summary>
    public TimeSpan StaleSourceAfter { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How long another source is pulled from before a better one is returned to. Default 30 s as for a node, 1 s to 1 day.</summary>
    public TimeSpan ReturnAfter { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Go on serving reads where the replica stopped because it contradicts its sources. Default false as for a node.</summary>
    public bool ServeWhenDiverged { get; set; }

    /// <summary>How fast the data is looked through for damage, bytes a second. Default 4 MiB as for a node, 0 to 1 TiB; 0 for never.</summary>
    public long ScrubBytesPerSecond { get; set; } = 4L << 20;

    /// <summary>
    /// Records of the change log that are older, by log time, are cut. Default 1 day, 1 s to 3,650 days: nobody pulls from this replica, so its log is
    /// there for the application's own watches, and the source has more. The last 10,000 are kept in any case.
    /// </summary>
    public TimeSpan RetentionMaxAge { get; set; } = TimeSpan.FromDays(1);

    /// <summary>The change log is cut where it is larger, bytes on disk. Default 1 GiB, a tenth of a node's for the same reason; 1 MiB to 1 PiB.</summary>
    public long RetentionMaxBytes { get; set; } = 1L << 30;

    /// <summary>The options as settings of a node, checked. Throws <see cref="ConfigurationException"/>.</summary>
    internal NodeSettings ToSettings()
    {
        if (!Model.NodeId.TryParse(NodeId, out var node))
        {
            throw Wrong(nameof(NodeId), NodeId, "use a stable name such as 'web-0', other than that of any node: 1 to 63 of a-z, 0-9, '.', '_', '-', starting with a letter or digit.");
        }

        if (!RegionName.TryParse(Region, out var region))
        {
            throw Wrong(nameof(Region), Region, "use the name of the place where the application runs, such as 'eu'.");
        }

        if (region.Value == "hub")
        {
            throw Wrong(nameof(Region), Region, "it is the name of the hub's own region. Give the replica's region another name.");
        }

        if (string.IsNullOrWhiteSpace(DataDirectory))
        {
            throw Wrong(nameof(DataDirectory), DataDirectory, "give the replica a directory of its own on a local disk.");
        }

        if (Upstreams.Count == 0)
        {
            throw Wrong(nameof(Upstreams), "", "name at least one gateway to pull from, as HOST:PORT.");
        }

        foreach (var upstream in Upstreams)
        {
            if (!GatewayAddress.TryParse(upstream, out _))
            {
                throw Wrong(nameof(Upstreams), upstream, "write each gateway as HOST:PORT.");
            }
        }

        var keyspaces = Subscription.All;
        if (Keyspaces.Count > 0 && !Subscription.TryCreate([.. Keyspaces], out keyspaces, out var problem))
        {
            throw Wrong(nameof(Keyspaces), string.Join(", ", Keyspaces), $"{problem}.");
        }

        Require(nameof(Deadline), Deadline, TimeSpan.FromMilliseconds(10), TimeSpan.FromHours(1));
        Require(nameof(StartTimeout), StartTimeout, TimeSpan.Zero, TimeSpan.FromDays(1));
        Require(nameof(MaxLag), MaxLag, TimeSpan.FromSeconds(1), TimeSpan.FromDays(365));
        Require(nameof(StaleSourceAfter), StaleSourceAfter, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1));
        Require(nameof(ReturnAfter), ReturnAfter, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1));
        Require(nameof(RetentionMaxAge), RetentionMaxAge, TimeSpan.FromSeconds(1), TimeSpan.FromDays(3650));
        Require(nameof(BlockCacheBytes), BlockCacheBytes, 8L << 20, 1L << 40);
        Require(nameof(MaxWaiters), MaxWaiters, 1, 10_000_000);
        Require(nameof(ScrubBytesPerSecond), ScrubBytesPerSecond, 0, 1L << 40);
        Require(nameof(RetentionMaxBytes), RetentionMaxBytes, 1 << 20, 1L << 50);
        return new()
        {
            Role = NodeRole.Replica,
            NodeId = node,
            Region = region,
            DataDirectory = DataDirectory,
            Upstreams = [.. Upstreams],
            Keyspaces = keyspaces,
            BlockCacheBytes = BlockCacheBytes,
            MaxWaiters = MaxWaiters,
            MaxLag = MaxLag,
            ServeWhenDiverged = ServeWhenDiverged,
            Sources = new() { StaleAfter = StaleSourceAfter, ReturnAfter = ReturnAfter },
            Scrub = new() { BytesPerSecond = ScrubBytesPerSecond },
            Retention = new() { MaxAge = RetentionMaxAge, MaxBytes = RetentionMaxBytes, MaxHoldBytes = 0 },
        };
    }

    private static void Require(string option, TimeSpan value, TimeSpan min, TimeSpan max)
    {
        if (value < min || value > max)
        {
            throw Wrong(option, value.ToString("c", CultureInfo.InvariantCulture), $"use a time from {min:c} to {max:c}.");
        }
    }

    private static void Require(string option, long value, long min, long max)
    {
        if (value < min || value > max)
        {
            throw Wrong(option, value.ToString(CultureInfo.InvariantCulture), $"use a whole number from {min} to {max}.");
        }
    }

    /// <summary>What was not given is missing, and not wrong.</summary>
    private static ConfigurationException Wrong(string option, string? value, string fix) =>
        new($"{nameof(QuicksilverReplicaOptions)}.{option}", string.IsNullOrEmpty(value) ? null : value, fix);
}
