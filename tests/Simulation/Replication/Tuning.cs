using Quicksilver.Replication;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// Times and sizes of the simulated tree: those of the product, about three times shorter and far smaller, so that a log is cut, a source
/// goes stale and a better one is returned to within a minute.
/// </summary>
internal static class Tuning
{
    public static readonly PullOptions Pull = new()
    {
        PageBytes = 4 * 1024, MaxBytesInFlight = 32 * 1024, MaxWindow = 8, MaxWait = TimeSpan.FromSeconds(1), MaxRecordsToBegin = 150,
        MaxBackoff = TimeSpan.FromSeconds(1),
    };

    public static readonly LogSourceOptions Source = new()
    {
        MaxPageBytes = 8 * 1024, MaxWait = TimeSpan.FromSeconds(1), PaceRecords = 50, FarRecords = 60, SessionIdle = TimeSpan.FromSeconds(5),
    };

    /// <summary>Records that a source looks at for one page of a part.</summary>
    public const int MaxScanned = 40;

    /// <summary>Pages of a part that only say that there is nothing do not come more often than this.</summary>
    public static readonly TimeSpan EmptyPace = TimeSpan.FromMilliseconds(10);

    public static readonly SnapshotSourceOptions Snapshots = new()
    {
        MaxBlockBytes = 8 * 1024, SessionIdle = TimeSpan.FromSeconds(8), HoldAfter = TimeSpan.FromSeconds(15),
    };

    public static readonly SourceOptions Sources = new()
    {
        StaleAfter = TimeSpan.FromSeconds(8), ReturnAfter = TimeSpan.FromSeconds(8), FirstReturnAfter = TimeSpan.FromSeconds(1),
        GoodAge = TimeSpan.FromSeconds(6), LookPeriod = TimeSpan.FromSeconds(2), AvoidFor = TimeSpan.FromSeconds(4),
        DistrustFor = TimeSpan.FromSeconds(12),
    };

    public static readonly RetentionOptions Retention = new()
    {
        MaxBytes = 24 * 1024, MaxHoldBytes = 12 * 1024, MinRecords = 20, Period = TimeSpan.FromSeconds(1),
    };

    // The link, as in GatewayLinkOptions.
    public static readonly TimeSpan HeartbeatPeriod = TimeSpan.FromSeconds(1);
    public static readonly TimeSpan HeartbeatTimeout = TimeSpan.FromSeconds(1);
    public const int MissesBeforeLost = 2;
    public static readonly TimeSpan ProbeTimeout = TimeSpan.FromSeconds(1);
    public static readonly TimeSpan ProbeAgainPeriod = TimeSpan.FromMilliseconds(400);
    public static readonly TimeSpan RetryPeriod = TimeSpan.FromMilliseconds(250);
    public static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(2);
    public static readonly TimeSpan LookTimeout = TimeSpan.FromSeconds(2);
    public static readonly TimeSpan WatchPeriod = TimeSpan.FromSeconds(1);
    public static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(3);

    /// <summary>How long the membership table names a node that is gone.</summary>
    public static readonly TimeSpan DeclaredDeadAfter = TimeSpan.FromSeconds(3);

    /// <summary>After everything has healed: until all nodes are level, and until each pulls from where it should.</summary>
    public static readonly TimeSpan LivenessBound = TimeSpan.FromSeconds(60);
}
