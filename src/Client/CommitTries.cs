using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>What the caller of a write does after a try.</summary>
/// <param name="Failure">Not null: the write ends in this.</param>
/// <param name="Pause">Not null: the same bytes are sent again after this. Both null: the answer is the outcome.</param>
/// <param name="Why">Why there is another try; empty where there is none.</param>
internal readonly record struct NextStep(QuicksilverException? Failure, TimeSpan? Pause, string Why);

/// <summary>
/// The tries of one write as a state machine: the end of each try goes in, with the time that is left; out comes whether the write has
/// an outcome, has failed, or is tried again. It waits for nothing and sends nothing: <see cref="Caller"/> does.
/// Invariant: an answer is final, and a failure NotCommitted, only where no earlier try can still change it.
/// </summary>
/// <param name="operationId">Names the write in all its tries.</param>
/// <param name="isKnownId">True where an earlier call may have sent the write: this one cannot say that it never happened.</param>
/// <param name="options">Pauses.</param>
/// <param name="limit">The deadline of the write, for people; null for that of the options.</param>
internal sealed class CommitTries(OperationId operationId, bool isKnownId, QuicksilverClientOptions options, TimeSpan? limit = null)
{
    private readonly Backoff _backoff = new(options.MinBackoff);

    /// <summary>True once a try of this call was sent and not answered: a copy of it may still be on its way.</summary>
    public bool MayHaveHappened { get; private set; }

    /// <summary>The hub answered.</summary>
    /// <param name="outcome">Its answer.</param>
    /// <param name="left">What is left of the operation's time, not negative.</param>
    public NextStep OnAnswer(in CommitOutcome outcome, TimeSpan left)
    {
        switch (outcome.Kind)
        {
            case CommitKind.Committed or CommitKind.OperationIdReused or CommitKind.Invalid:
                return default;
            case CommitKind.Unknown:
                MayHaveHappened = true;
                return TryAgain("the hub lost its leader while the write was on its way", null, left);
            case CommitKind.Unavailable:
                return TryAgain("the hub has no leader or cannot be reached", null, left);
            case CommitKind.Overloaded:
                return TryAgain("the hub is overloaded", outcome.RetryAfter, left);
            case CommitKind.FromFuture when MayHaveHappened || isKnownId:
                // It becomes valid by itself. A new id could make one write two.
                return TryAgain("the clock of the node that was asked is behind the id of the write", null, left);
            case CommitKind.Expired when MayHaveHappened || isKnownId:
                // The hub cannot tell any more, however often it is asked.
                return new(Uncertain($"operation {operationId} is older than the hub remembers", "Read what it was to change."), null, "");
            default:
                // Refusals are judged anew each time: an earlier try that is still on its way might yet be accepted.
                return MayHaveHappened
                    ? new(Uncertain("it was refused now, but an earlier try of it was not answered and may still arrive", AskAgain), null, "")
                    : default;
        }
    }

    /// <summary>The link was down before anything was sent.</summary>
    public NextStep OnNotSent(QuicksilverException e, TimeSpan left) => !MayHaveHappened && left <= TimeSpan.Zero
        ? new(new(e.Code, e.Message, isKnownId ? WriteOutcome.Unknown : WriteOutcome.NotCommitted, e) { OperationId = operationId }, null, "")
        : TryAgain(e.Message, null, left);

    /// <summary>The try was sent, or may have been, and ended in something else than an answer of the hub.</summary>
    public NextStep OnUnanswered(Exception e, TimeSpan left)
    {
        MayHaveHappened |= OrleansErrors.OutcomeOf(e) != WriteOutcome.NotCommitted;
        return TryAgain(e.Message, null, left);
    }

    /// <summary>The caller stopped waiting: what is to be said of the write, or null where nothing was ever sent.</summary>
    /// <param name="why">Where it stopped waiting.</param>
    /// <param name="wasSent">True where a try is on its way.</param>
    public QuicksilverException? OnStoppedWaiting(string why, bool wasSent) => MayHaveHappened || wasSent ? Uncertain(why, AskAgain) : null;

    private NextStep TryAgain(string why, TimeSpan? atLeast, TimeSpan left)
    {
        if (_backoff.Next(atLeast, left) is { } pause)
        {
            return new(null, pause, why);
        }

        return new(MayHaveHappened || isKnownId ? Uncertain(why, AskAgain) : NotDone(why, atLeast), null, why);
    }

    private string AskAgain => $"Ask again with operation id {operationId}: the same write, with it in WriteOptions.OperationId.";

    private QuicksilverException Uncertain(string why, string whatNext) =>
        new(QuicksilverErrorCode.OutcomeUnknown, $"The write may have happened or may still happen: {why}. {whatNext}", WriteOutcome.Unknown) { OperationId = operationId };

    private QuicksilverException NotDone(string why, TimeSpan? retryAfter) => new(
        retryAfter is null ? QuicksilverErrorCode.Unavailable : QuicksilverErrorCode.Overloaded,
        $"The write was not done within {(limit ?? options.Deadline).TotalSeconds:0.###} s: {why}. Nothing was changed; try again{(retryAfter is null ? "" : " later and with less at a time")}.",
        WriteOutcome.NotCommitted)
    {
        OperationId = operationId, RetryAfter = retryAfter,
    };
}
