namespace Quicksilver.Client;

/// <summary>Links that are not used any more. Each is kept for a while, because calls may be on it, and then closed. Thread-safe.</summary>
/// <param name="keepFor">How long.</param>
internal sealed class RetiredLinks(TimeSpan keepFor, TimeProvider time) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly HashSet<Task> _closing = [];
    private readonly CancellationTokenSource _stop = new();

    /// <summary>Takes a link over.</summary>
    public void Add(ILink link) => Add(link, keepFor);

    /// <summary>Takes over a link that carries no calls: it is closed at once, and nobody waits for that.</summary>
    public void AddUnused(ILink link) => Add(link, TimeSpan.Zero);

    private void Add(ILink link, TimeSpan keep)
    {
        var closing = CloseAsync(link, keep);
        lock (_gate)
        {
            _closing.Add(closing);
        }

        _ = closing.ContinueWith(
            ended =>
            {
                // Whatever the link threw: there is nobody left to whom it would mean anything.
                _ = ended.Exception;
                lock (_gate)
                {
                    _closing.Remove(ended);
                }
            },
            CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    private async Task CloseAsync(ILink link, TimeSpan keep)
    {
        await Task.Delay(keep, time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
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
