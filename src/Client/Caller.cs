using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// Makes calls over the link until they are answered or the deadline passes. Reads may be repeated at will. A write is repeated
/// with the same bytes only, and whether it may have happened is remembered over all tries.
/// </summary>
internal sealed class Caller(ILink link, QuicksilverClientOptions options, TimeProvider time)
{
    private static readonly TimeSpan MaxBackoff = TimeSpan.FromMilliseconds(500);

    public TimeProvider Time => time;

    /// <summary>Starts the clock of one operation. All its calls share it.</summary>
    public Deadline Begin() => new(time, options.Deadline);

    /// <summary>
    /// Makes a read; <paramref name="isFinal"/> tells an answer from one that is worth another try. A caller that gives up is not told
    /// to the node: a read ends there by itself, and the means of telling would cost every call.
    /// </summary>
    public async ValueTask<TAnswer> ReadAsync<TAnswer>(
        Func<IGrainFactory, ValueTask<TAnswer>> call, Func<TAnswer, bool> isFinal, Deadline deadline, CancellationToken cancellation)
    {
        var tries = new Tries(this, deadline);
        while (true)
        {
            try
            {
                var session = await link.ConnectAsync(tries.Left, cancellation).ConfigureAwait(false);
                var answer = await WaitAsync(call(session.Grains), session, tries.Left, cancellation).ConfigureAwait(false);
                if (isFinal(answer) || !await tries.PauseAsync(null, cancellation).ConfigureAwait(false))
                {
                    return answer;
                }
            }
            catch (Exception e) when (e is not (QuicksilverException or OutOfMemoryException) && !cancellation.IsCancellationRequested)
            {
                if (!await tries.PauseAsync(null, cancellation).ConfigureAwait(false))
                {
                    throw new QuicksilverException(QuicksilverErrorCode.Unavailable, $"The read was not answered within {options.Deadline.TotalSeconds:0.#} s: {e.Message}", WriteOutcome.NotAWrite, e);
                }
            }
        }
    }

    /// <summary>The answer, until the time is over, the link is lost or the caller gives up. Most callers cannot.</summary>
    private async ValueTask<TAnswer> WaitAsync<TAnswer>(ValueTask<TAnswer> called, LinkSession session, TimeSpan left, CancellationToken cancellation)
    {
        if (!cancellation.CanBeCanceled)
        {
            return await called.AsTask().WaitAsync(left, time, session.Lost).ConfigureAwait(false);
        }

        using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, session.Lost);
        return await called.AsTask().WaitAsync(left, time, bound.Token).ConfigureAwait(false);
    }

    /// <summary>
    /// Commits one encoded command until its outcome is certain, with the same bytes in every try. What is returned was judged by
    /// the hub, and no earlier try of this call can still change it. Everything else ends in a
    /// <see cref="QuicksilverException"/> with the operation id: NotCommitted only where nothing was ever sent or every try was
    /// certainly refused; else Unknown. A cancelled caller gets an <see cref="OperationCanceledException"/>, with that exception
    /// inside where something was sent.
    /// </summary>
    public async ValueTask<(CommitOutcome Outcome, AnswerContext Context)> CommitAsync(
        Func<LinkSession, CancellationToken, Task<MergedOutcomes>> send, OperationId operationId, bool isKnownId, Deadline deadline, CancellationToken cancellation)
    {
        var tries = new Tries(this, deadline);

        // True once a try of this call was sent and not answered: a copy of it may still be on its way.
        var maybe = false;
        while (true)
        {
            string why;
            TimeSpan? retryAfter = null;
            try
            {
                var session = await link.ConnectAsync(tries.Left, cancellation).ConfigureAwait(false);
                var (outcome, context) = await TryAsync(send, session, tries.Left, cancellation).ConfigureAwait(false);
                switch (outcome.Kind)
                {
                    case CommitKind.Committed:
                        return (outcome, context);
                    case CommitKind.Unknown:
                        maybe = true;
                        why = "the hub lost its leader while the write was on its way";
                        break;
                    case CommitKind.Unavailable:
                        why = "the hub has no leader or cannot be reached";
                        break;
                    case CommitKind.Overloaded:
                        why = "the hub is overloaded";
                        retryAfter = outcome.RetryAfter;
                        break;
                    case CommitKind.FromFuture when maybe || isKnownId:
                        // It becomes valid by itself. A new id could make one write two.
                        why = "the clock of the node that was asked is behind the id of the write";
                        break;
                    case CommitKind.Expired when maybe || isKnownId:
                        throw Uncertain($"operation {operationId} is older than the hub remembers", maybe: true, operationId);
                    case CommitKind.OperationIdReused or CommitKind.Invalid:
                        return (outcome, context);
                    default:
                        // Refusals are judged anew each time: an earlier try that is still on its way might yet be accepted.
                        return maybe
                            ? throw Uncertain("it was refused now, but an earlier try of it was not answered and may still arrive", maybe, operationId)
                            : (outcome, context);
                }
            }
            catch (OperationCanceledException e) when (cancellation.IsCancellationRequested)
            {
                throw maybe || e.Data.Contains(SentMark)
                    ? new OperationCanceledException("The caller stopped waiting for a write that may have happened.", Uncertain("the caller stopped waiting", maybe: true, operationId), cancellation)
                    : e;
            }
            catch (QuicksilverException e) when (e.OperationId is null && e.Outcome == WriteOutcome.NotCommitted)
            {
                // The link was down before anything was sent.
                why = e.Message;
                if (!maybe && tries.Left <= TimeSpan.Zero)
                {
                    throw new QuicksilverException(e.Code, e.Message, isKnownId ? WriteOutcome.Unknown : WriteOutcome.NotCommitted, e) { OperationId = operationId };
                }
            }
            catch (Exception e) when (e is not (QuicksilverException or OutOfMemoryException))
            {
                maybe |= OrleansErrors.OutcomeOf(e) != WriteOutcome.NotCommitted;
                why = e.Message;
            }

            try
            {
                if (!await tries.PauseAsync(retryAfter, cancellation).ConfigureAwait(false))
                {
                    throw Uncertain(why, maybe || isKnownId, operationId);
                }
            }
            catch (OperationCanceledException) when (maybe)
            {
                throw new OperationCanceledException("The caller stopped waiting for a write that may have happened.", Uncertain(why, maybe, operationId), cancellation);
            }
        }
    }

    private const string SentMark = "Quicksilver.Sent";

    private async ValueTask<(CommitOutcome Outcome, AnswerContext Context)> TryAsync(
        Func<LinkSession, CancellationToken, Task<MergedOutcomes>> send, LinkSession session, TimeSpan left, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(left, time);
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, session.Lost, limit.Token);
        try
        {
            var answer = await send(session, bound.Token).ConfigureAwait(false);
            return (answer.Outcomes[0], answer.Context);
        }
        catch (OperationCanceledException e)
        {
            e.Data[SentMark] = true;
            if (cancellation.IsCancellationRequested)
            {
                throw;
            }

            throw new TimeoutException(limit.IsCancellationRequested ? "no answer came in time" : $"the link to {session.Gateway} was lost", e);
        }
    }

    private QuicksilverException Uncertain(string why, bool maybe, OperationId operationId) => maybe
        ? new(QuicksilverErrorCode.OutcomeUnknown, $"The write may have happened or may still happen: {why}. Ask again with operation id {operationId}.", WriteOutcome.Unknown) { OperationId = operationId }
        : new(QuicksilverErrorCode.Unavailable, $"The write was not done within {options.Deadline.TotalSeconds:0.#} s: {why}.", WriteOutcome.NotCommitted) { OperationId = operationId };

    /// <summary>The tries of one call: a growing pause between them, within the deadline of the operation.</summary>
    private sealed class Tries(Caller caller, Deadline deadline)
    {
        private TimeSpan _pause = caller.Options.MinBackoff;

        public TimeSpan Left => deadline.Left;

        /// <summary>Waits before the next try; false where no time is left for one.</summary>
        public async ValueTask<bool> PauseAsync(TimeSpan? atLeast, CancellationToken cancellation)
        {
            var pause = atLeast > _pause ? atLeast.Value : _pause;
            if (Left <= pause)
            {
                return false;
            }

            await Task.Delay(pause, caller.Time, cancellation).ConfigureAwait(false);
            _pause = _pause * 2 < MaxBackoff ? _pause * 2 : MaxBackoff;
            return true;
        }
    }

    private QuicksilverClientOptions Options => options;
}
