namespace Quicksilver.Replication;

/// <summary>What a replica is doing about its log.</summary>
public enum ProgressState
{
    /// <summary>No link to an upstream.</summary>
    Disconnected = 0,

    /// <summary>Waits a moment before it asks again.</summary>
    Waiting = 1,

    /// <summary>Has asked a source to open a session and waits for the answer. (Probe, in the words of etcd-raft.)</summary>
    Probing = 2,

    /// <summary>Has a session and pulls.</summary>
    Pulling = 3,

    /// <summary>Cannot go on by itself; <see cref="Progress.StopReason"/> says why. Reads go on from the last View.</summary>
    Stopped = 4,

    /// <summary>Receives a copy of the source's state, because it cannot go on from where it stands. Reads go on from the last View.</summary>
    Bootstrapping = 5,
}

/// <summary>Why a replica stopped pulling.</summary>
public enum StopReason
{
    None = 0,

    /// <summary>This replica and its source have different records at the same position.</summary>
    Diverged = 2,

    /// <summary>The source belongs to another cluster.</summary>
    OtherCluster = 3,

    /// <summary>The upstream is this node itself.</summary>
    Self = 4,

    /// <summary>This replica's disk failed.</summary>
    StorageFailed = 5,

    /// <summary>A fault of the program.</summary>
    InternalError = 6,
}

/// <summary>What keeps a replica from pulling at the moment, and is tried again.</summary>
public enum PullProblem
{
    None = 0,

    /// <summary>A call was not answered.</summary>
    CallFailed = 1,

    /// <summary>A page did not pass the checks.</summary>
    PageRefused = 2,

    /// <summary>The source has less than this replica: it lags, or was put back from an older copy.</summary>
    SourceBehind = 3,

    /// <summary>The source has no data yet, is stopping, or is full.</summary>
    SourceUnavailable = 4,

    /// <summary>The source's own log is damaged.</summary>
    SourceDamaged = 5,

    /// <summary>The source knows the session no more.</summary>
    SessionLost = 6,

    /// <summary>No copy of the source's state could be received or put in place.</summary>
    BootstrapFailed = 7,

    /// <summary>The source has other records at this replica's position, and no other source has said yet who is right.</summary>
    Diverged = 8,

    /// <summary>The source belongs to another cluster, or is this node.</summary>
    WrongSource = 9,

    /// <summary>The source pulls from this node.</summary>
    Cycle = 10,

    /// <summary>The source does not hold all the keyspaces that this replica is to hold.</summary>
    NotHeld = 11,
}
