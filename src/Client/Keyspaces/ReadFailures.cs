using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>Turns the status of a read that was not Ok into the exception that says what to do.</summary>
internal static class ReadFailures
{
    public static QuicksilverException ToException(ReadStatus status, AnswerContext context, string? problem, string keyspace) => status switch
    {
        ReadStatus.NotYet => new(QuicksilverErrorCode.NotYet, $"The node stands at revision {context.Position.Revision}, before what this read asked for, and did not get there in time. Try again later, or allow an older state (AllowStaleWhenCutOff).") { Position = context.Position },
        ReadStatus.KeyspaceNotFound => new(QuicksilverErrorCode.KeyspaceNotFound, $"There is no keyspace '{keyspace}'. Create it first."),
        ReadStatus.ForeignPosition => new(QuicksilverErrorCode.ForeignPosition, problem ?? "The session token or position belongs to another cluster or history."),
        ReadStatus.Overloaded => new(QuicksilverErrorCode.Overloaded, "Too many reads wait at this node already.") { RetryAfter = TimeSpan.FromMilliseconds(50) },
        ReadStatus.Invalid => new(QuicksilverErrorCode.InvalidRequest, problem ?? "The request is invalid."),
        ReadStatus.KeyspaceNotHeld => new(QuicksilverErrorCode.KeyspaceNotHeld, $"The node that was asked does not hold the keyspace '{keyspace}'. {problem}"),
        ReadStatus.TooOld => new(QuicksilverErrorCode.TooOld, problem ?? "The changes are not kept any more."),
        ReadStatus.KeyspaceDeleted => new(QuicksilverErrorCode.KeyspaceNotFound, $"The keyspace '{keyspace}' was deleted."),
        ReadStatus.Damaged => new(QuicksilverErrorCode.Damaged, problem ?? "The value is damaged on the disk of the node that was asked; ask another node."),
        _ => new(QuicksilverErrorCode.Unavailable, problem ?? "The node cannot answer this read now."),
    };
}
