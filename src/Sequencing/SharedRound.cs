namespace Quicksilver.Sequencing;

/// <summary>
/// One round of something for everybody who asks at the same time. A round serves those who asked before it began; who comes while one
/// is under way shares the next. So a thousand readers cost two rounds, and what a reader is told is never older than its question.
/// Safe for concurrent use.
/// </summary>
public sealed class SharedRound<T>(Func<Task<T>> run)
{
    private readonly Lock _gate = new();
    private Task<T>? _current;
    private Task<T>? _next;

    /// <summary>The outcome of a round that begins after this call, or with it. A failure is everybody's who shares it.</summary>
    public Task<T> RunAsync()
    {
        lock (_gate)
        {
            if (_current is not { IsCompleted: false } current)
            {
                return _current = Begin();
            }

            return _next ??= AfterAsync(current);
        }
    }

    private async Task<T> AfterAsync(Task<T> current)
    {
        await ((Task)current).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
        Task<T> mine;
        lock (_gate)
        {
            // From here on it has begun, and nobody else may join it.
            _current = mine = Begin();
            _next = null;
        }

        return await mine.ConfigureAwait(false);
    }

    private Task<T> Begin()
    {
        try
        {
            return run();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return Task.FromException<T>(e);
        }
    }
}
