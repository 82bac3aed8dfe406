namespace Quicksilver.Client;

/// <summary>Tasks whose end is not waited for any more. How they end is nobody's business then, but somebody has to look.</summary>
internal static class LeftTask
{
    /// <summary>Looks at how it ends, whenever that is.</summary>
    public static void LookAtEnd(this Task left) =>
        _ = left.ContinueWith(static ended => _ = ended.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);

    /// <summary>As <see cref="Task.WaitAsync(TimeSpan, TimeProvider, CancellationToken)"/>; what is left by it is looked at. For where a call is rare.</summary>
    public static Task WaitOrLeaveAsync(this Task task, TimeSpan limit, TimeProvider time, CancellationToken stop)
    {
        task.LookAtEnd();
        return task.WaitAsync(limit, time, stop);
    }

    /// <summary>The answer to a call, until the session that it is made over is lost. For every call: only what is left costs something.</summary>
    public static async Task<T> WaitOrLeaveAsync<T>(this Task<T> call, LinkSession session)
    {
        try
        {
            return await call.WaitAsync(session.Lost).ConfigureAwait(false);
        }
        catch when (!call.IsCompleted)
        {
            call.LookAtEnd();
            throw;
        }
    }

    /// <inheritdoc cref="WaitOrLeaveAsync(Task, TimeSpan, TimeProvider, CancellationToken)"/>
    public static Task<T> WaitOrLeaveAsync<T>(this Task<T> task, TimeSpan limit, TimeProvider time, CancellationToken stop)
    {
        task.LookAtEnd();
        return task.WaitAsync(limit, time, stop);
    }
}
