using System.Diagnostics;
using System.Text;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>A key's value.</summary>
/// <param name="Revision">The revision that last changed the key: what <see cref="WriteOptions.IfRevision"/> compares with.</param>
public sealed record Entry(ReadOnlyMemory<byte> Value, ReadOnlyMemory<byte> Metadata, Revision Revision)
{
    /// <summary>
    /// When the hub deletes the key, by the clock of its leader; null where it stays. The key is there until the deletion is in the log, about
    /// a second at most, and in a region that is cut off until it hears of it.
    /// </summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>The value as UTF-8 text.</summary>
    public string Text => Encoding.UTF8.GetString(Value.Span);
}

/// <summary>A key with its value.</summary>
public sealed record Row(Key Key, Entry Entry);

/// <summary>A row without its value, which was not asked for.</summary>
/// <param name="Revision">The revision that last changed the key.</param>
public sealed record RowHead(Key Key, Revision Revision)
{
    /// <summary>See <see cref="Entry.ExpiresAt"/>.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>What is kept beside the value; null where <see cref="ScanOptions.WithMetadata"/> did not ask for it, empty where there is none.</summary>
    public ReadOnlyMemory<byte>? Metadata { get; init; }
}

/// <summary>One page of a scan.</summary>
/// <param name="Cursor">Where to go on; empty when nothing is left. A page may be short, or empty, and still have one.</param>
/// <param name="Position">The one position that all rows are from.</param>
public sealed record ScanPage<TRow>(IReadOnlyList<TRow> Rows, ReadOnlyMemory<byte> Cursor, LogPosition Position);

/// <summary>How a commit ended. A closed set; what is uncertain or failed is an exception instead.</summary>
public enum CommitStatus
{
    /// <summary>Durable at <see cref="CommitResult.Revision"/>.</summary>
    Committed = 1,

    /// <summary>There was nothing to change; no revision was taken.</summary>
    Unchanged = 2,

    /// <summary>A condition did not hold; nothing was changed.</summary>
    ConditionFailed = 3,
}

/// <param name="Revision">Committed: the new revision. Unchanged: the revision the state was judged at. ConditionFailed: the key's actual revision, 0 where it does not exist.</param>
/// <param name="OperationId">Names the write, whatever became of it.</param>
/// <param name="FailedCondition">Index of the first condition that did not hold; -1 otherwise.</param>
public readonly record struct CommitResult(CommitStatus Status, Revision Revision, OperationId OperationId, int FailedCondition = -1)
{
    /// <summary>What the span of the write has to say of its end.</summary>
    internal void Tell(Activity? span) => span?
        .SetTag(Traces.OutcomeTag, Status.ToString()).SetTag(Traces.RevisionTag, Revision.Value).SetTag(Traces.OperationTag, OperationId.ToString());
}

/// <summary>How a read is answered.</summary>
public sealed record ReadOptions
{
    /// <summary>The session's own writes and nothing older than it has read. The default.</summary>
    public static readonly ReadOptions Session = new();

    /// <summary>Whatever the node has.</summary>
    public static readonly ReadOptions Eventual = new() { Consistency = ReadConsistency.Eventual };

    /// <summary>Not older than any write acknowledged before the call, answered by the hub.</summary>
    public static readonly ReadOptions Linearizable = new() { Consistency = ReadConsistency.Linearizable };

    public ReadConsistency Consistency { get; init; } = ReadConsistency.Session;

    /// <summary>A session read that is also not older than this position; null for the session alone.</summary>
    public LogPosition? Position { get; init; }

    /// <summary>Accept an older state where the region is cut off and has not got what the session has seen.</summary>
    public bool AllowStaleWhenCutOff { get; init; }

    /// <summary>
    /// How long this read may take, 1 ms to 24 hours; of a scan or a list, each page. Null, the default: as long as the client's
    /// <see cref="QuicksilverClientOptions.Deadline"/> says. A get with a deadline of its own shares no call with others.
    /// </summary>
    public TimeSpan? Deadline { get; init; }

    /// <summary>Not older than this position.</summary>
    public static ReadOptions AtLeast(LogPosition position) => new() { Position = position };

    /// <summary>Throws <see cref="ArgumentException"/> where nobody can read so; a node would take an unknown consistency for another one.</summary>
    /// <param name="parameter">Whose options they are.</param>
    internal void ThrowIfUnusable(string parameter)
    {
        if (Consistency is not (ReadConsistency.Session or ReadConsistency.Eventual or ReadConsistency.Linearizable))
        {
            throw new ArgumentException($"Consistency is {(int)Consistency}; it must be Session, Eventual or Linearizable.", parameter);
        }

        if (Position is { Revision.Value: < 0 } or { Log.Value: < 0 })
        {
            throw new ArgumentException($"Position is {Position}, and no position is negative.", parameter);
        }

        if (Deadline is { } deadline && Client.Deadline.Problem(deadline) is { } problem)
        {
            throw new ArgumentException($"{problem}.", parameter);
        }
    }
}

/// <summary>What is written, as far as it decides which options it may have.</summary>
internal enum WriteKind
{
    Unspecified = 0,
    Put = 1,
    Delete = 2,
    Commit = 3,
}

/// <summary>How a write is done. An option that the write does not know is refused, not left out: it may be a condition.</summary>
public sealed record WriteOptions
{
    /// <summary>Only where the key's last change is exactly this revision; 0 where it must not exist. For put and delete.</summary>
    public Revision? IfRevision { get; init; }

    /// <summary>Only where the key does not exist. For put.</summary>
    public bool IfAbsent { get; init; }

    /// <summary>Take no revision where nothing would change.</summary>
    public bool SkipUnchanged { get; init; }

    /// <summary>Bytes kept beside the value, at most 1 KiB. For put.</summary>
    public ReadOnlyMemory<byte> Metadata { get; init; }

    /// <summary>
    /// How long after the write the hub deletes the key, 1 ms to 3,650 days, unless it is put again before; null: it stays. For put.
    /// </summary>
    public TimeSpan? TimeToLive { get; init; }

    /// <summary>
    /// Names the write; null for a new id. With the id of an earlier write of unknown outcome and the same content, the answer
    /// is what became of that one.
    /// </summary>
    public OperationId? OperationId { get; init; }

    /// <summary>
    /// How long this write may take, 1 ms to 24 hours. Null, the default: as long as the client's <see cref="QuicksilverClientOptions.Deadline"/>
    /// says. A write that is not certain by then ends in an exception that says whether it may have happened.
    /// </summary>
    public TimeSpan? Deadline { get; init; }

    /// <summary>Throws <see cref="ArgumentException"/> where these options contradict each other or the write.</summary>
    /// <param name="kind">What is written.</param>
    /// <param name="parameter">Whose options they are.</param>
    internal void ThrowIfUnusable(WriteKind kind, string parameter)
    {
        var problem = this switch
        {
            { IfAbsent: true, IfRevision: { Value: not 0 } } => "IfAbsent and IfRevision exclude each other.",
            { OperationId: { IsNone: true } or { IssuedAt.Value: < 0 } } => "OperationId is none; leave it null for a new one.",
            { IfRevision: not null } when kind == WriteKind.Commit => "IfRevision is for put and delete; a commit has its conditions beside.",
            { IfAbsent: true } when kind != WriteKind.Put => "IfAbsent is for put.",
            { Metadata.IsEmpty: false } when kind != WriteKind.Put => "Metadata is for put; in a commit it is part of the mutation.",
            { TimeToLive: not null } when kind != WriteKind.Put => "TimeToLive is for put; in a commit it is part of the mutation.",
            { Deadline: { } deadline } when Client.Deadline.Problem(deadline) is { } wrong => $"{wrong}.",
            _ => null,
        };
        if (problem is not null)
        {
            throw new ArgumentException(problem, parameter);
        }
    }
}

/// <summary>What a scan returns.</summary>
public sealed record ScanOptions
{
    /// <summary>Only keys that start with these bytes; empty for all.</summary>
    public ReadOnlyMemory<byte> Prefix { get; init; }

    /// <summary>Only keys at or after this one; empty for no lower bound.</summary>
    public ReadOnlyMemory<byte> Start { get; init; }

    /// <summary>Only keys before this one; empty for no upper bound.</summary>
    public ReadOnlyMemory<byte> End { get; init; }

    /// <summary>The last key first. Start and end mean the same: a scan goes from end to start then. Default false.</summary>
    public bool Reverse { get; init; }

    /// <summary>For scans of keys: their metadata, too. Scans of rows always have it. Default false.</summary>
    public bool WithMetadata { get; init; }

    /// <summary>Most rows of a page, 1 to 10,000. Default 1,000.</summary>
    public int PageSize { get; init; } = 1_000;

    public ReadOptions Read { get; init; } = ReadOptions.Session;
}
