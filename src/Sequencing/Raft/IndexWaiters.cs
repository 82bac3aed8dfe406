using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>Where callers wait until a position that only grows has reached an index of the Raft log. Safe for concurrent use.</summary>
internal sealed class IndexWaiters
{
    private readonly Lock _gate = new();
    private readonly PriorityQueue<TaskCompletionSource, long> _waiting = new();
    private TaskCompletionSource? _next;
    private Exception? _failure;
    private long _reached;

    public LogIndex Reached => new(Volatile.Read(ref _reached));

    /// <summary>Completes when <paramref name="index"/> is reached; throws what <see cref="Fail"/> was told.</summary>
    public ValueTask WaitAsync(LogIndex index, CancellationToken cancellation)
    {
        if (Volatile.Read(ref _failure) is null && Volatile.Read(ref _reached) >= index.Value)
        {
            return ValueTask.CompletedTask;
        }

        TaskCompletionSource waiter;
        lock (_gate)
        {
            if (_failure is { } failure)
            {
                return ValueTask.FromException(failure);
            }

            if (_reached >= index.Value)
            {
                return ValueTask.CompletedTask;
            }

            waiter = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Enqueue(waiter, index.Value);
        }

        return cancellation.CanBeCanceled ? new(WaitAsync(waiter, cancellation)) : new(waiter.Task);
    }

    private async Task WaitAsync(TaskCompletionSource waiter, CancellationToken cancellation)
    {
        try
        {
            await waiter.Task.WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // Its place in the queue must not outlive it: an index that is lost with its leader may never be reached.
            lock (_gate)
            {
                _waiting.Remove(waiter, out _, out _);
            }

            throw;
        }
    }

    /// <summary>Waiting callers, those for the next move left out.</summary>
    internal int Count
    {
        get
        {
            lock (_gate)
            {
                return _waiting.Count;
            }
        }
    }

    /// <summary>Completes when the position has moved; throws what <see cref="Fail"/> was told.</summary>
    public ValueTask WaitNextAsync(CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (_failure is { } failure)
            {
                return ValueTask.FromException(failure);
            }

            _next ??= new(TaskCreationOptions.RunContinuationsAsynchronously);
            return new(_next.Task.WaitAsync(cancellation));
        }
    }

    /// <summary>The position is now at least <paramref name="index"/>.</summary>
    public void Reach(LogIndex index)
    {
        lock (_gate)
        {
            if (index.Value <= _reached)
            {
                return;
            }

            Volatile.Write(ref _reached, index.Value);
            while (_waiting.TryPeek(out var waiter, out var least) && least <= index.Value)
            {
                _waiting.Dequeue();
                waiter.TrySetResult();
            }

            _next?.TrySetResult();
            _next = null;
        }
    }

    /// <summary>The position went back: those who wait for more than <paramref name="index"/> from now on wait until it is there again.</summary>
    public void FallBackTo(LogIndex index)
    {
        lock (_gate)
        {
            if (index.Value < _reached)
            {
                Volatile.Write(ref _reached, index.Value);
            }
        }
    }

    /// <summary>The position moves no more: everybody who waits, or comes later, hears why.</summary>
    public void Fail(Exception failure)
    {
        lock (_gate)
        {
            _failure ??= failure;
            while (_waiting.TryDequeue(out var waiter, out _))
            {
                waiter.TrySetException(_failure);
            }

            _next?.TrySetException(_failure);
        }
    }
}
