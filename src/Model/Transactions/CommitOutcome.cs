namespace Quicksilver.Model;

/// <summary>What became of one command. On the wire: explicit numbers, append-only.</summary>
public enum CommitKind : byte
{
    Unspecified = 0,

    /// <summary>Durable on a majority and applied, at <see cref="CommitOutcome.Revision"/>.</summary>
    Committed = 1,

    /// <summary>Nothing to change, so no revision was taken; the state was judged at <see cref="CommitOutcome.Revision"/>.</summary>
    Unchanged = 2,

    /// <summary>A condition did not hold: <see cref="CommitOutcome.Index"/> says which, <see cref="CommitOutcome.Revision"/> the key's actual one (0 = absent).</summary>
    ConditionFailed = 3,

    /// <summary>The operation id was used before for another request. Nothing was changed by this one.</summary>
    OperationIdReused = 4,

    /// <summary>The operation id is older than the hub remembers: the write may have happened before; it was not done now.</summary>
    Expired = 5,

    /// <summary>The operation id claims a time that has not come. Nothing was changed.</summary>
    FromFuture = 6,

    /// <summary>No such keyspace. Nothing was changed.</summary>
    KeyspaceNotFound = 7,

    /// <summary>A keyspace of this name exists with other settings. Nothing was changed.</summary>
    KeyspaceExists = 8,

    /// <summary>The command is malformed or over a limit. Nothing was changed.</summary>
    Invalid = 9,

    /// <summary>A queue is full; try again after <see cref="CommitOutcome.RetryAfter"/>. Nothing was changed.</summary>
    Overloaded = 10,

    /// <summary>There is no leader to take it, or this node is stopping. It was never proposed: nothing was changed.</summary>
    Unavailable = 11,

    /// <summary>It was proposed and its fate is not known: it may have happened, or may still. A retry with the same id tells.</summary>
    Unknown = 12,

    /// <summary>
    /// The prefix deletes of the transaction would remove more rows than may go at once, in the state of <see cref="CommitOutcome.Revision"/>.
    /// Nothing was changed.
    /// </summary>
    TooManyRows = 13,
}

/// <summary>Outcome of one command. A closed set: branch on <see cref="Kind"/> without a default.</summary>
[GenerateSerializer, Immutable, Alias("qs.CommitOutcome")]
public readonly record struct CommitOutcome
{
    private CommitOutcome(CommitKind kind, Revision revision = default, int index = 0, string? problem = null)
        => (Kind, Revision, Index, Problem) = (kind, revision, index, problem);

    [Id(0)] public CommitKind Kind { get; }

    /// <summary>Meaning by kind; 0 where the kind has none.</summary>
    [Id(1)] public Revision Revision { get; }

    /// <summary>Index of the failed condition, or milliseconds to wait when overloaded.</summary>
    [Id(2)] public int Index { get; }

    /// <summary>What is wrong with an invalid command; null otherwise.</summary>
    [Id(3)] public string? Problem { get; }

    /// <summary>How long to wait before trying again when overloaded.</summary>
    public TimeSpan RetryAfter => TimeSpan.FromMilliseconds(Index);

    /// <summary>True when the write is in the log, now or from an earlier try.</summary>
    public bool IsSuccess => Kind is CommitKind.Committed or CommitKind.Unchanged;

    public static CommitOutcome Committed(Revision revision) => new(CommitKind.Committed, revision);
    public static CommitOutcome Unchanged(Revision revision) => new(CommitKind.Unchanged, revision);
    public static CommitOutcome ConditionFailed(int index, Revision actual) => new(CommitKind.ConditionFailed, actual, index);
    public static CommitOutcome KeyspaceExists(Revision createdAt) => new(CommitKind.KeyspaceExists, createdAt);
    public static CommitOutcome TooManyRows(Revision judgedAt) => new(CommitKind.TooManyRows, judgedAt);
    public static CommitOutcome Invalid(string problem) => new(CommitKind.Invalid, problem: problem);
    public static CommitOutcome Overloaded(TimeSpan retryAfter) => new(CommitKind.Overloaded, index: (int)retryAfter.TotalMilliseconds);
    public static readonly CommitOutcome OperationIdReused = new(CommitKind.OperationIdReused);
    public static readonly CommitOutcome Expired = new(CommitKind.Expired);
    public static readonly CommitOutcome FromFuture = new(CommitKind.FromFuture);
    public static readonly CommitOutcome KeyspaceNotFound = new(CommitKind.KeyspaceNotFound);
    public static readonly CommitOutcome Unavailable = new(CommitKind.Unavailable);
    public static readonly CommitOutcome Unknown = new(CommitKind.Unknown);
}
