namespace Quicksilver.Model;

/// <summary>The parts of a snapshot, in the order in which they are sent. On disk and on the wire: explicit numbers, append-only.</summary>
public enum SnapshotSection : byte
{
    Unspecified = 0,

    /// <summary>Rows of all keyspaces, the catalog included, in key order.</summary>
    Rows = 1,

    /// <summary>State of each keyspace.</summary>
    KeyspaceStates = 2,

    /// <summary>Records of the change log that the source still has.</summary>
    Records = 3,

    /// <summary>Which revisions belong to which keyspace.</summary>
    KeyspaceLog = 4,

    /// <summary>Where the log of each keyspace was cut.</summary>
    KeyspaceCuts = 5,

    /// <summary>What expires when. Of use to a hub member only; a replica has none to send.</summary>
    Expiries = 6,

    /// <summary>Behind the last part.</summary>
    End = 7,
}

/// <summary>Who wants a snapshot.</summary>
/// <param name="Cluster">The cluster the child's data belongs to; zero for an empty child.</param>
/// <param name="Keyspaces">Patterns of the keyspaces that the child will hold, see <see cref="Subscription"/>; null for all.</param>
/// <param name="Except">Patterns of those that it holds already, at a position that the snapshot must not be before; null for none.</param>
/// <param name="Adds">True where the child keeps what it has, and <paramref name="Except"/> counts.</param>
/// <param name="Applied">Where the child stands: one that adds pulls on from there, up to the snapshot, before it takes it in.</param>
[GenerateSerializer, Immutable, Alias("qs.OpenSnapshotRequest")]
public sealed record OpenSnapshotRequest(
    [property: Id(0)] NodeId Child,
    [property: Id(1)] RegionName Region,
    [property: Id(2)] ClusterUuid Cluster,
    [property: Id(3)] string[]? Keyspaces = null,
    [property: Id(4)] string[]? Except = null,
    [property: Id(5)] bool Adds = false,
    [property: Id(6)] Revision Applied = default);

/// <summary>Answer to whoever asks for a snapshot or a block of it. On the wire: explicit numbers, append-only.</summary>
public enum SnapshotStatus : byte
{
    Unspecified = 0,
    Ok = 1,

    /// <summary>The source has no data yet, or sends as many snapshots as it may: try again, or another source.</summary>
    Unavailable = 2,

    /// <summary>The source does not hold this snapshot any more: begin with another.</summary>
    SessionLost = 3,

    /// <summary>The child's data belongs to another cluster.</summary>
    OtherCluster = 4,

    /// <summary>The child would copy itself.</summary>
    Self = 5,

    /// <summary>The source found its own data damaged, and does not send it.</summary>
    SourceDamaged = 6,

    /// <summary>The source does not hold all the keyspaces that the child asks for.</summary>
    NotHeld = 7,
}

/// <param name="Session">Names the pinned state in <see cref="NextBlockRequest"/>.</param>
/// <param name="Header">What the snapshot is of (docs/snapshot-format.md); empty unless the status is Ok.</param>
[GenerateSerializer, Immutable, Alias("qs.OpenSnapshotAnswer")]
public sealed record OpenSnapshotAnswer(
    [property: Id(0)] SnapshotStatus Status,
    [property: Id(1)] long Session,
    [property: Id(2)] Payload Header);

/// <summary>Asks for the rows after a key. The same question has the same answer, however often it is asked.</summary>
/// <param name="After">The last key that the child has of this part; empty for its beginning.</param>
/// <param name="MaxBytes">Most bytes of rows; a block of a part that goes on has at least one row.</param>
[GenerateSerializer, Immutable, Alias("qs.NextBlockRequest")]
public sealed record NextBlockRequest(
    [property: Id(0)] long Session,
    [property: Id(1)] SnapshotSection Section,
    [property: Id(2)] Payload After,
    [property: Id(3)] int MaxBytes);

/// <param name="Block">Rows, with a hash (docs/snapshot-format.md); empty unless the status is Ok.</param>
[GenerateSerializer, Immutable, Alias("qs.NextBlockAnswer")]
public sealed record NextBlockAnswer([property: Id(0)] SnapshotStatus Status, [property: Id(1)] Payload Block);
