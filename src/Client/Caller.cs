using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// Makes calls over a link, that of reads or that of writes, until they are answered or the deadline passes. Reads may be repeated at will. A write is repeated
/// with the same bytes only, and whether it may have happened is remembered over all tries.
/// </summary>
internal sealed class Caller(ILink link, ILink writes, QuicksilverClientOptions options, TimeProvider time)
{
    private bool _isClosed;

    public TimeProvider Time => time;

    /// <summary>Starts the clock of one operation. All its calls share it. Throws <see cref="ObjectDisposedException"/> once it is closed.</summary>
    /// <param name="limit">What the operation says; null for the client's.</param>
    public Deadline Begin(TimeSpan? limit = null)
    {
        ThrowIfClosed();
        return new(time, limit ?? options.Deadline);
    }

    /// <summary>True where an operation has the client's deadline.</summary>
    public bool IsUsual(TimeSpan? limit) => limit is null || limit == options.Deadline;

    /// <summary>
    /// No operation begins any more, and none is tried again: without a link each would try until its deadline, and a watch for ever. False
    /// where that was said before.
    /// </summary>
    public bool Close() => !Interlocked.Exchange(ref _isClosed, true);

    private void ThrowIfClosed() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _isClosed), typeof(QuicksilverClient));

    /// <summary>
    /// Makes a read; <paramref name="isFinal"/> tells an answer from one that is worth another try. A caller that gives up is not told
    /// to the node: a read ends there by itself, and the means of telling would cost every call.
    /// </summary>
    public async ValueTask<TAnswer> ReadAsync<TAnswer>(
        Func<INodeCalls, ValueTask<TAnswer>> call, Func<TAnswer, bool> isFinal, Deadline deadline, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        CarriedTrace.SetCurrent();
        var backoff = new Backoff(options.MinBackoff);
        while (true)
        {
            ThrowIfClosed();
            try
            {
                var session = await link.ConnectAsync(deadline.Left, cancellation).ConfigureAwait(false);
                var answer = await WaitAsync(call(session.Node), session, deadline.Left, cancellation).ConfigureAwait(false);
                if (isFinal(answer) || !await PauseAsync(backoff, deadline, cancellation).ConfigureAwait(false))
                {
                    return answer;
                }
            }
            catch (QuicksilverException e) when (e.Outcome != WriteOutcome.NotAWrite)
            {
                // A link does not know what it was wanted for.
                throw new QuicksilverException(e.Code, e.Message, WriteOutcome.NotAWrite, e);
            }
            catch (Exception e) when (e is not (QuicksilverException or OutOfMemoryException) && !cancellation.IsCancellationRequested)
            {
                ThrowIfClosed();
                if (!await PauseAsync(backoff, deadline, cancellation).ConfigureAwait(false))
                {
                    throw new QuicksilverException(
                        QuicksilverErrorCode.Unavailable, $"The read was not answered within {deadline.Limit.TotalSeconds:0.###} s ({e.Message}). Try again, with a longer deadline where this one is short.", WriteOutcome.NotAWrite, e);
                }
            }
        }
    }

    /// <summary>Waits before the next try; false where no time is left for one.</summary>
    private async ValueTask<bool> PauseAsync(Backoff backoff, Deadline deadline, CancellationToken cancellation)
    {
        if (backoff.Next(null, deadline.Left) is not { } pause)
        {
            return false;
        }

        await Task.Delay(pause, time, cancellation).ConfigureAwait(false);
        return true;
    }

    /// <summary>The answer, until the time is over, the link is lost or the caller gives up. Most callers cannot.</summary>
    private async ValueTask<TAnswer> WaitAsync<TAnswer>(ValueTask<TAnswer> called, LinkSession session, TimeSpan left, CancellationToken cancellation)
    {
        if (called.IsCompleted)
        {
            // A node in this process had it at hand.
            return await called.ConfigureAwait(false);
        }

        var answered = called.AsTask();
        try
        {
            if (!cancellation.CanBeCanceled)
            {
                return await answered.WaitAsync(left, time, session.Lost).ConfigureAwait(false);
            }

            using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, session.Lost);
            return await answered.WaitAsync(left, time, bound.Token).ConfigureAwait(false);
        }
        catch when (!answered.IsCompleted)
        {
            answered.LookAtEnd();
            throw;
        }
    }

    /// <summary>
    /// Commits one encoded command until its outcome is certain, with the same bytes in every try. What is returned was judged by
    /// the hub, and no earlier try of this call can still change it. Everything else ends in a
    /// <see cref="QuicksilverException"/> with the operation id: NotCommitted only where nothing was ever sent or every try was
    /// certainly refused; else Unknown. A cancelled caller gets an <see cref="OperationCanceledException"/>, with that exception
    /// inside where something was sent. Closed meanwhile, it ends in that exception where something was sent, else in an
    /// <see cref="ObjectDisposedException"/>.
    /// </summary>
    public async ValueTask<(CommitOutcome Outcome, AnswerContext Context)> CommitAsync(
        Func<LinkSession, CancellationToken, Task<MergedOutcomes>> send, OperationId operationId, bool isKnownId, Deadline deadline, CancellationToken cancellation)
    {
        // Cancelled before it began, it was certainly not sent; later nobody can tell.
        cancellation.ThrowIfCancellationRequested();
        var tries = new CommitTries(operationId, isKnownId, options, deadline.Limit);
        while (true)
        {
            if (Volatile.Read(ref _isClosed))
            {
                throw tries.OnStoppedWaiting("the client was disposed", wasSent: false) ?? (Exception)new ObjectDisposedException(nameof(QuicksilverClient));
            }

            NextStep next;
            var isSending = false;
            try
            {
                var session = await writes.ConnectAsync(deadline.Left, cancellation).ConfigureAwait(false);
                isSending = true;
                var (outcome, context) = await TryAsync(send, session, deadline.Left, cancellation).ConfigureAwait(false);
                next = tries.OnAnswer(outcome, deadline.Left);
                if (next is { Failure: null, Pause: null })
                {
                    return (outcome, context);
                }
            }
            catch (OperationCanceledException e) when (cancellation.IsCancellationRequested)
            {
                throw tries.OnStoppedWaiting("the caller stopped waiting", e.Data.Contains(SentMark)) is { } uncertain ? StoppedWaiting(uncertain, cancellation) : e;
            }
            catch (QuicksilverException e) when (e.OperationId is null && e.Outcome == WriteOutcome.NotCommitted)
            {
                next = tries.OnNotSent(e, deadline.Left);
            }
            catch (ObjectDisposedException) when (!isSending && Volatile.Read(ref _isClosed))
            {
                // Closed while it waited for a link: this try sent nothing.
                continue;
            }
            catch (Exception e) when (e is not (QuicksilverException or OutOfMemoryException))
            {
                next = tries.OnUnanswered(e, deadline.Left);
            }

            if (next.Pause is not { } pause)
            {
                throw next.Failure!;
            }

            try
            {
                await Task.Delay(pause, time, cancellation).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (tries.OnStoppedWaiting(next.Why, wasSent: false) is { } uncertain)
            {
                throw StoppedWaiting(uncertain, cancellation);
            }
        }
    }

    private static OperationCanceledException StoppedWaiting(QuicksilverException uncertain, CancellationToken cancellation) =>
        new("The caller stopped waiting for a write that may have happened.", uncertain, cancellation);

    private const string SentMark = "Quicksilver.Sent";

    private async ValueTask<(CommitOutcome Outcome, AnswerContext Context)> TryAsync(
        Func<LinkSession, CancellationToken, Task<MergedOutcomes>> send, LinkSession session, TimeSpan left, CancellationToken cancellation)
    {
        if (!cancellation.CanBeCanceled)
        {
            // Most callers; tokens of their own would cost each write more than its encoding.
            return await TryAsync(send, session, left).ConfigureAwait(false);
        }

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

    private async ValueTask<(CommitOutcome Outcome, AnswerContext Context)> TryAsync(
        Func<LinkSession, CancellationToken, Task<MergedOutcomes>> send, LinkSession session, TimeSpan left)
    {
        var sent = send(session, session.Lost);
        try
        {
            var answer = await sent.WaitAsync(left, time).ConfigureAwait(false);
            return (answer.Outcomes[0], answer.Context);
        }
        catch (OperationCanceledException e)
        {
            throw new TimeoutException($"the link to {session.Gateway} was lost", e);
        }
        catch (TimeoutException e)
        {
            sent.LookAtEnd();
            throw new TimeoutException("no answer came in time", e);
        }
    }
}
