namespace Quicksilver.Client;

/// <summary>The session of a link, and those who wait for one. Thread-safe.</summary>
internal sealed class SessionSlot(TimeProvider time)
{
    private TaskCompletionSource<LinkSession> _up = Empty();

    /// <summary>The session, or null while there is none.</summary>
    public LinkSession? Current
    {
        get
        {
            var up = Volatile.Read(ref _up).Task;
            return up.IsCompletedSuccessfully && !up.Result.Lost.IsCancellationRequested ? up.Result : null;
        }
    }

    private static TaskCompletionSource<LinkSession> Empty() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Waits for a session. Throws <see cref="TimeoutException"/>, and what the slot was closed with.</summary>
    public async ValueTask<LinkSession> WaitAsync(TimeSpan timeout, CancellationToken cancellation)
    {
        var start = time.GetTimestamp();
        while (true)
        {
            var up = Volatile.Read(ref _up);
            var left = timeout - time.GetElapsedTime(start);
            var session = await up.Task.WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, time, cancellation).ConfigureAwait(false);
            if (!session.Lost.IsCancellationRequested)
            {
                return session;
            }

            // Lost this moment, and its link has not made room for the next one yet. Whoever sees it does.
            Interlocked.CompareExchange(ref _up, Empty(), up);
        }
    }

    /// <summary>Puts a session in, in place of one that is there. Does nothing once the slot is closed.</summary>
    public void Set(LinkSession session)
    {
        while (true)
        {
            var up = Volatile.Read(ref _up);
            if (up.TrySetResult(session) || up.Task.IsFaulted)
            {
                return;
            }

            var next = Empty();
            next.SetResult(session);
            if (Interlocked.CompareExchange(ref _up, next, up) == up)
            {
                return;
            }
        }
    }

    /// <summary>Takes the session out. One who waits may have made room for the next already, and waits for that.</summary>
    public void Clear()
    {
        if (Volatile.Read(ref _up) is { Task.IsCompletedSuccessfully: true } up)
        {
            Interlocked.CompareExchange(ref _up, Empty(), up);
        }
    }

    /// <summary>Whoever waits, and whoever comes later, hears this.</summary>
    public void Close(Exception e)
    {
        for (var up = Volatile.Read(ref _up); !up.Task.IsFaulted; up = Volatile.Read(ref _up))
        {
            if (up.TrySetException(e))
            {
                // Whether somebody waits or not.
                _ = up.Task.Exception;
            }
            else
            {
                Interlocked.CompareExchange(ref _up, Empty(), up);
            }
        }
    }
}
