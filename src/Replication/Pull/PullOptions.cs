using Quicksilver.Model;

namespace Quicksilver.Replication;

/// <summary>How a replica pulls.</summary>
public sealed record PullOptions
{
    /// <summary>Least requests kept open at the source. Default 2: one is answered while the other is on its way.</summary>
    public int Window { get; init; } = 2;

    /// <summary>Most requests kept open. Default 32.</summary>
    public int MaxWindow { get; init; } = 32;

    /// <summary>
    /// How long a record waits for its page at most, where the way is longer: there are as many requests open as periods fit into a round
    /// trip. Default 5 ms.
    /// </summary>
    public TimeSpan PagePeriod { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>Most bytes of records that may be on their way. Default 8 MiB.</summary>
    public int MaxBytesInFlight { get; init; } = 8 << 20;

    /// <summary>Page size to ask for, bytes. Default 512 KiB.</summary>
    public int PageBytes { get; init; } = Limits.DefaultPageBytes;

    /// <summary>From this round-trip time on pages are compressed. Default 5 ms: on a shorter way bytes cost less than the time to pack them.</summary>
    public TimeSpan CompressFrom { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>How long a request waits at the source. Default 3 s, the most a source allows.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>
    /// A replica that has nothing takes a copy of the state where the log has more records than this, and else reads the log. Default 10,000.
    /// </summary>
    public long MaxRecordsToBegin { get; init; } = 10_000;

    /// <summary>Failures in a row at one source after which another is tried, where there is one. Default 3.</summary>
    public int FailuresBeforeLeaving { get; init; } = 3;

    /// <summary>First wait after a failure; doubles up to <see cref="MaxBackoff"/>. Default 50 ms.</summary>
    public TimeSpan MinBackoff { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// Where keyspaces are to be added and no copy of them comes, those that are held are pulled for this long before the next try; doubles up
    /// to <see cref="MaxAddPause"/>. Default 1 s: a source may only be busy with others.
    /// </summary>
    public TimeSpan AddPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest time between two tries to add keyspaces. Default 1 minute.</summary>
    public TimeSpan MaxAddPause { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Longest wait after repeated failures. Default 2 s.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(2);
}
