using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>How a wait for a revision ended.</summary>
public enum WaitResult
{
    Unspecified = 0,

    /// <summary>The revision, or a later one, is published.</summary>
    Reached = 1,

    /// <summary>The time passed first.</summary>
    TimedOut = 2,

    /// <summary>The room is full; there was no wait.</summary>
    Full = 3,
}

/// <summary>
/// A room in which reads, or long polls, wait for a revision. Bounded: beyond its capacity nobody is let in.
/// </summary>
public sealed class RevisionWaiters(int capacity)
{
    private readonly Lock _gate = new();
    private readonly PriorityQueue<TaskCompletionSource, long> _waiting = new();
    private long _published;
    private int _inside;
    private long _refused;

    /// <summary>How many were not let in, since the start.</summary>
    public long Refused => Volatile.Read(ref _refused);

    /// <summary>How many wait now.</summary>
    public int Inside => Volatile.Read(ref _inside);

    /// <summary>
    /// Waits until <paramref name="revision"/> or a later one is published, for at most <paramref name="timeout"/>.
    /// </summary>
    public async ValueTask<WaitResult> WaitAsync(Revision revision, TimeSpan timeout, TimeProvider time, CancellationToken cancellation)
    {
        if (Volatile.Read(ref _published) >= revision.Value)
        {
            return WaitResult.Reached;
        }

        if (timeout <= TimeSpan.Zero)
        {
            return WaitResult.TimedOut;
        }

        TaskCompletionSource waiter;
        lock (_gate)
        {
            if (_published >= revision.Value)
            {
                return WaitResult.Reached;
            }

            if (_inside >= capacity)
            {
                _refused++;
                return WaitResult.Full;
            }

            _inside++;
            waiter = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Enqueue(waiter, revision.Value);
        }

        try
        {
            await waiter.Task.WaitAsync(timeout, time, cancellation).ConfigureAwait(false);
            return WaitResult.Reached;
        }
        catch (TimeoutException)
        {
            return WaitResult.TimedOut;
        }
        finally
        {
            Leave(waiter);
        }
    }

    /// <summary>Lets everybody go who waits for this revision or an earlier one.</summary>
    public void Publish(Revision revision)
    {
        List<TaskCompletionSource>? ready = null;
        lock (_gate)
        {
            _published = Math.Max(_published, revision.Value);
            while (_waiting.TryPeek(out var waiter, out var wanted) && wanted <= _published)
            {
                _waiting.Dequeue();
                (ready ??= []).Add(waiter);
            }
        }

        ready?.ForEach(waiter => waiter.TrySetResult());
    }

    private void Leave(TaskCompletionSource waiter)
    {
        lock (_gate)
        {
            _inside--;
            if (!waiter.Task.IsCompleted)
            {
                // Gave up: its place in the queue must not outlive it, or a thousand impatient readers would fill the room.
                waiter.TrySetCanceled();
                _waiting.Remove(waiter, out _, out _);
            }
        }
    }
}
