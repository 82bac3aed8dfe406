using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>How fresh an answer must be. On the wire: explicit numbers, append-only.</summary>
public enum ReadConsistency : byte
{
    Unspecified = 0,

    /// <summary>Not older than <see cref="ReadRequirement.AtLeast"/>: the session's own writes and whatever it has read.</summary>
    Session = 1,

    /// <summary>Whatever the answering node has; still one revision, never a mixture.</summary>
    Eventual = 2,

    /// <summary>Not older than any write that was acknowledged before the read began. Answered by the hub.</summary>
    Linearizable = 3,
}

/// <summary>What a read asks of the node that answers it.</summary>
/// <param name="Consistency">See <see cref="ReadConsistency"/>.</param>
/// <param name="Cluster">The cluster that <paramref name="AtLeast"/> belongs to; zero where the caller knows none yet.</param>
/// <param name="AtLeast">The least position for a session read; ignored by the other kinds.</param>
/// <param name="AllowStaleWhenCutOff">Accept an older View where the node is behind and the hub cannot be asked.</param>
[GenerateSerializer, Immutable, Alias("qs.ReadRequirement")]
public readonly record struct ReadRequirement(
    [property: Id(0)] ReadConsistency Consistency,
    [property: Id(1)] ClusterUuid Cluster,
    [property: Id(2)] LogPosition AtLeast,
    [property: Id(3)] bool AllowStaleWhenCutOff);

/// <summary>How a read ended. On the wire: explicit numbers, append-only.</summary>
public enum ReadStatus : byte
{
    Unspecified = 0,
    Ok = 1,

    /// <summary>The node stands before the required position and did not reach it in time; a region could not ask the hub either.</summary>
    NotYet = 2,

    KeyspaceNotFound = 3,

    /// <summary>The position asked for is of another cluster or history.</summary>
    ForeignPosition = 4,

    /// <summary>A linearizable read found no leader, or the node is stopping.</summary>
    Unavailable = 5,

    /// <summary>The request is malformed or over a limit; the answer's problem says what.</summary>
    Invalid = 6,

    /// <summary>Too many reads wait already.</summary>
    Overloaded = 7,

    /// <summary>What was asked for is damaged on this node's disk; it is not served.</summary>
    Damaged = 8,

    /// <summary>This node does not hold the keyspace (<c>Quicksilver:Keyspaces</c>).</summary>
    KeyspaceNotHeld = 9,

    /// <summary>A watch is to go on from a revision whose changes are not in the log any more; the answer says which is the oldest.</summary>
    TooOld = 10,

    /// <summary>The keyspace of a watch was deleted.</summary>
    KeyspaceDeleted = 11,
}

/// <summary>A multi-read of one keyspace: all keys from one View.</summary>
/// <param name="Keys">See <see cref="ReadBlocks.PackKeys"/>.</param>
[GenerateSerializer, Immutable, Alias("qs.GetManyRequest")]
public sealed record GetManyRequest(
    [property: Id(0)] ReadRequirement Requirement,
    [property: Id(1)] Payload Keys);

/// <param name="Rows">One row per key, in the order of the request; see <see cref="ReadBlocks"/>. Empty unless the status is Ok.</param>
/// <param name="Problem">For people, where the status is not Ok.</param>
[GenerateSerializer, Immutable, Alias("qs.GetManyAnswer")]
public sealed record GetManyAnswer(
    [property: Id(0)] ReadStatus Status,
    [property: Id(1)] AnswerContext Context,
    [property: Id(2)] Payload Rows,
    [property: Id(3)] string? Problem);

/// <summary>What a scan sends of each row, and in which order. On the wire: explicit numbers, append-only.</summary>
[Flags]
public enum ScanFlags : byte
{
    /// <summary>All of each row, in key order.</summary>
    None = 0,

    /// <summary>No values, and no metadata either unless it is asked for: where they would be is nothing.</summary>
    KeysOnly = 1,

    /// <summary>Metadata also with <see cref="KeysOnly"/>.</summary>
    WithMetadata = 2,

    /// <summary>The last key first.</summary>
    Reverse = 4,
}

/// <summary>One page of the rows of a keyspace in key order or against it, all from one View.</summary>
/// <param name="Prefix">Only keys that start with these bytes; empty for all.</param>
/// <param name="Start">Only keys at or after this one; empty for no lower bound.</param>
/// <param name="End">Only keys before this one; empty for no upper bound.</param>
/// <param name="Limit">Most rows of the page, 1 to <see cref="Limits.MaxScanRows"/>; the page may end earlier by size.</param>
/// <param name="Cursor">The cursor of the page before; empty for the first page.</param>
[GenerateSerializer, Immutable, Alias("qs.ScanRequest")]
public sealed record ScanRequest(
    [property: Id(0)] ReadRequirement Requirement,
    [property: Id(1)] Payload Prefix,
    [property: Id(2)] Payload Start,
    [property: Id(3)] Payload End,
    [property: Id(4)] int Limit,
    [property: Id(5)] Payload Cursor)
{
    /// <summary>What is sent, and in which order; the same for all pages of a scan.</summary>
    [Id(6)] public ScanFlags Flags { get; init; }
}

/// <param name="Rows">Rows with their keys; see <see cref="ReadBlocks"/>.</param>
/// <param name="Cursor">Where to go on; empty when nothing is left. A page may be short and still have one.</param>
[GenerateSerializer, Immutable, Alias("qs.ScanAnswer")]
public sealed record ScanAnswer(
    [property: Id(0)] ReadStatus Status,
    [property: Id(1)] AnswerContext Context,
    [property: Id(2)] Payload Rows,
    [property: Id(3)] Payload Cursor,
    [property: Id(4)] string? Problem);
