namespace Quicksilver.Client;

/// <summary>Links that are not used any more. Each is kept for a while, because calls may be on it, and then closed. Thread-safe.</summary>
/// <param name="keepFor">How long.</param>
internal sealed class RetiredLinks(TimeSpan keepFor, TimeProvider time) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly HashSet<Task> _closing = [];
    private readonly CancellationTokenSource _stop = new();

    /// <summary>Takes a link over.</summary>
    public void Add(ILink link)
    {
        var closing = CloseAsync(link);
        lock (_gate)
        {
            _closing.Add(closing);
        }

        _ = closing.ContinueWith(
            ended =>
            {
                lock (_gate)
                {
                    _closing.Remove(ended);
                }
            },
            CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    private async Task CloseAsync(ILink link)
    {
        await Task.Delay(keepFor, time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await link.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Closes all of them now. Nothing may be added any more.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        Task[] closing;
        lock (_gate)
        {
            closing = [.. _closing];
        }

        await Task.WhenAll(closing).ConfigureAwait(false);
        _stop.Dispose();
    }
}
