namespace Quicksilver.Replication;

/// <summary>Why a replica leaves a source, if there is another.</summary>
public enum SourceFault
{
    None = 0,

    /// <summary>It answers its link, and calls to it fail.</summary>
    Failing = 1,

    /// <summary>It has no data, is full, or gives no copy.</summary>
    Unavailable = 2,

    /// <summary>It has less than the replica.</summary>
    Behind = 3,

    /// <summary>It has not been level with the hub for long, and another source is further.</summary>
    Stale = 4,

    /// <summary>Its own log is damaged.</summary>
    Damaged = 5,

    /// <summary>What it sends does not pass the checks.</summary>
    Refused = 6,

    /// <summary>It has other records than the replica at the same position.</summary>
    Diverged = 7,

    /// <summary>It belongs to another cluster, or is the replica itself.</summary>
    Wrong = 8,

    /// <summary>It pulls from the replica, at the moment.</summary>
    Cycle = 9,
}
