namespace Quicksilver.Model;

/// <summary>Whether a write that ended in an exception may have happened.</summary>
public enum WriteOutcome
{
    /// <summary>The call was no write.</summary>
    NotAWrite = 0,

    /// <summary>It certainly did not happen and never will.</summary>
    NotCommitted = 1,

    /// <summary>It happened.</summary>
    Committed = 2,

    /// <summary>It may have happened, or may still. Ask again with the same operation id.</summary>
    Unknown = 3,
}

/// <summary>What went wrong, for callers that branch on it.</summary>
public enum QuicksilverErrorCode
{
    Unspecified = 0,

    /// <summary>No gateway, no leader, or a stopping node. Try again later.</summary>
    Unavailable = 1,

    /// <summary>A queue is full. Try again after <see cref="QuicksilverException.RetryAfter"/>.</summary>
    Overloaded = 2,

    /// <summary>The fate of a write is not known.</summary>
    OutcomeUnknown = 3,

    /// <summary>The replica has not reached the position the read asked for, and the hub could not be asked.</summary>
    NotYet = 4,

    KeyspaceNotFound = 5,

    /// <summary>A keyspace of that name exists with other settings.</summary>
    KeyspaceExists = 6,

    /// <summary>An operation id was used for two different requests.</summary>
    OperationIdReused = 7,

    /// <summary>A request was malformed or over a limit.</summary>
    InvalidRequest = 8,

    /// <summary>A session token, cursor or position belongs to another cluster or history.</summary>
    ForeignPosition = 9,

    /// <summary>Whatever answered is not a Quicksilver gateway, or speaks another protocol version.</summary>
    NotAGateway = 10,

    /// <summary>
    /// The deadline of the call passed. For a write see <see cref="QuicksilverException.Outcome"/>. Kept for later: this version says what it waited for
    /// instead (Unavailable, Overloaded, NotYet, OutcomeUnknown).
    /// </summary>
    DeadlineExceeded = 11,

    /// <summary>What was asked for is damaged on the disk of the node that was asked. Another node may have it.</summary>
    Damaged = 12,

    /// <summary>The node that was asked does not hold the keyspace. Another node may.</summary>
    KeyspaceNotHeld = 13,

    /// <summary>Changes that were asked for are not kept any more.</summary>
    TooOld = 14,
}

/// <summary>
/// The one exception family of the product: everything a caller can only report or try again. What a correct caller branches
/// on (not found, condition failed) is a result instead, and wrong arguments are <see cref="ArgumentException"/>.
/// </summary>
[GenerateSerializer, Alias("qs.QuicksilverException")]
public class QuicksilverException : Exception
{
    public QuicksilverException(QuicksilverErrorCode code, string message, WriteOutcome outcome = WriteOutcome.NotAWrite, Exception? inner = null)
        : base(message, inner)
    {
        Code = code;
        Outcome = outcome;
    }

    [Id(0)] public QuicksilverErrorCode Code { get; private set; }

    /// <summary>Whether the write may have happened.</summary>
    [Id(1)] public WriteOutcome Outcome { get; private set; }

    /// <summary>How long to wait before trying again, where the cluster said so.</summary>
    [Id(2)] public TimeSpan? RetryAfter { get; init; }

    /// <summary>The operation id of the write, to ask for its fate or to retry it; null for reads.</summary>
    [Id(3)] public OperationId? OperationId { get; init; }

    /// <summary>Where the answering node stands, when the code is <see cref="QuicksilverErrorCode.NotYet"/>.</summary>
    [Id(4)] public LogPosition? Position { get; init; }

    /// <summary>True when the same call may succeed later without any change to it.</summary>
    public bool IsTransient => Code is QuicksilverErrorCode.Unavailable or QuicksilverErrorCode.Overloaded or QuicksilverErrorCode.OutcomeUnknown
        or QuicksilverErrorCode.NotYet or QuicksilverErrorCode.DeadlineExceeded;
}
