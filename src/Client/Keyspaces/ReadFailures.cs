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
        ReadStatus.ForeignPosition => new(QuicksilverErrorCode.ForeignPosition, Say(problem, "The session token or position belongs to another cluster or history", "Check which cluster the gateways are of, or begin a new session (Session = null).")),
        ReadStatus.Overloaded => new(QuicksilverErrorCode.Overloaded, "Too many reads wait at this node already. Try again after RetryAfter, or read what is there (ReadOptions.Eventual).") { RetryAfter = TimeSpan.FromMilliseconds(50) },
        ReadStatus.Invalid => new(QuicksilverErrorCode.InvalidRequest, Say(problem, "The request is invalid", "Change the request; asked again it is refused again.")),
        ReadStatus.KeyspaceNotHeld => new(QuicksilverErrorCode.KeyspaceNotHeld, $"The node that was asked does not hold the keyspace '{keyspace}'. {Say(problem, null, "Ask a node that does: give this client a gateway of one.")}"),
        ReadStatus.TooOld => new(QuicksilverErrorCode.TooOld, Say(problem, "The changes are not kept any more", "Read what is there and begin a new watch.")),
        ReadStatus.KeyspaceDeleted => new(QuicksilverErrorCode.KeyspaceNotFound, $"The keyspace '{keyspace}' was deleted. Create it again, or stop asking for it."),
        ReadStatus.Damaged => new(QuicksilverErrorCode.Damaged, Say(problem, "The value is damaged on the disk of the node that was asked", "Ask another node: give this client a gateway of one.")),
        _ => new(QuicksilverErrorCode.Unavailable, Say(problem, "The node cannot answer this read now", "Try again later, or ask another node.")),
    };

    /// <summary>What is wrong, and what to do next.</summary>
    private static string Say(string? problem, string? otherwise, string next) =>
        (problem ?? otherwise)?.TrimEnd('.', ' ') is { Length: > 0 } what ? $"{what}. {next}" : next;
}
