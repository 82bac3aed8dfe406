using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// Makes calls over the link until they are answered or the deadline passes. Reads may be repeated at will. A write is repeated
/// with the same bytes only, and whether it may have happened is remembered over all tries.
/// </summary>
internal sealed class Caller(GatewayLink link, QuicksilverClientOptions options, TimeProvider time)
{
    private static readonly TimeSpan MaxBackoff = TimeSpan.FromMilliseconds(500);

    public TimeProvider Time => time;

    /// <summary>Makes a read; <paramref name="isFinal"/> tells an answer from one that is worth another try.</summary>
    public async ValueTask<TAnswer> ReadAsync<TAnswer>(
        Func<IGrainFactory, CancellationToken, ValueTask<TAnswer>> call, Func<TAnswer, bool> isFinal, CancellationToken cancellation)
    {
        var tries = new Tries(this);
        while (true)
        {
            try
            {
                var session = await link.ConnectAsync(tries.Left, cancellation).ConfigureAwait(false);
                using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, session.Lost);
                var answer = await call(session.Grains, bound.Token).AsTask().WaitAsync(tries.Left, time, bound.Token).ConfigureAwait(false);
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

    /// <summary>
    /// Commits one encoded command until its outcome is certain. The result is never Unknown, Unavailable or Overloaded: those
    /// end in a <see cref="QuicksilverException"/> with the operation id, when the deadline passes.
    /// </summary>
    public async ValueTask<(CommitOutcome Outcome, AnswerContext Context)> CommitAsync(
        Func<IGrainFactory, CancellationToken, Task<MergedOutcomes>> send, OperationId operationId, bool mayHaveBeenSentBefore, CancellationToken cancellation)
    {
        var tries = new Tries(this);
        var maybe = mayHaveBeenSentBefore;
        while (true)
        {
            string why;
            TimeSpan? retryAfter = null;
            try
            {
                var session = await link.ConnectAsync(tries.Left, cancellation).ConfigureAwait(false);
                using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, session.Lost);
                MergedOutcomes answer;
                try
                {
                    answer = await send(session.Grains, bound.Token).WaitAsync(tries.Left, time, bound.Token).ConfigureAwait(false);
                }
                catch (Exception e) when (e is not OutOfMemoryException)
                {
                    maybe |= OrleansErrors.OutcomeOf(e) != WriteOutcome.NotCommitted;
                    throw;
                }

                var outcome = answer.Outcomes[0];
                switch (outcome.Kind)
                {
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
                    case CommitKind.Expired when maybe:
                        throw Uncertain($"operation {operationId} is older than the hub remembers", maybe: true, operationId);
                    default:
                        return (outcome, answer.Context);
                }
            }
            catch (QuicksilverException e) when (e.OperationId is null)
            {
                why = e.Message;
                if (tries.Left <= TimeSpan.Zero)
                {
                    throw new QuicksilverException(maybe ? QuicksilverErrorCode.OutcomeUnknown : e.Code, e.Message, maybe ? WriteOutcome.Unknown : WriteOutcome.NotCommitted, e) { OperationId = operationId };
                }
            }
            catch (Exception e) when (e is not (QuicksilverException or OutOfMemoryException))
            {
                if (cancellation.IsCancellationRequested)
                {
                    throw;
                }

                why = e.Message;
            }

            if (!await tries.PauseAsync(retryAfter, cancellation).ConfigureAwait(false))
            {
                throw Uncertain(why, maybe, operationId);
            }
        }
    }

    private QuicksilverException Uncertain(string why, bool maybe, OperationId operationId) => maybe
        ? new(QuicksilverErrorCode.OutcomeUnknown, $"The write may have happened or may still happen: {why}. Ask again with operation id {operationId}.", WriteOutcome.Unknown) { OperationId = operationId }
        : new(QuicksilverErrorCode.Unavailable, $"The write was not done within {options.Deadline.TotalSeconds:0.#} s: {why}.", WriteOutcome.NotCommitted) { OperationId = operationId };

    /// <summary>The tries of one operation: time left, and a growing pause between them.</summary>
    private sealed class Tries(Caller caller)
    {
        private readonly long _start = caller.Time.GetTimestamp();
        private TimeSpan _pause = caller.Options.MinBackoff;

        public TimeSpan Left
        {
            get
            {
                var left = caller.Options.Deadline - caller.Time.GetElapsedTime(_start);
                return left > TimeSpan.Zero ? left : TimeSpan.Zero;
            }
        }

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
