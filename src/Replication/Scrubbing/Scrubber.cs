using Microsoft.Extensions.Logging;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>How everything is looked through for damage.</summary>
public sealed record ScrubOptions
{
    /// <summary>Most bytes of rows and records a second. Default 4 MiB; 0 for never.</summary>
    public long BytesPerSecond { get; init; } = 4L << 20;

    /// <summary>Time between the beginnings of two passes. Default 1 day.</summary>
    public TimeSpan Every { get; init; } = TimeSpan.FromDays(1);
}

/// <summary>
/// Looks through a store for damage in the background, at most at a rate and with a tenth of a processor. Owns one loop, from
/// <see cref="Start"/> to <see cref="DisposeAsync"/>.
/// </summary>
/// <param name="onDamage">Called once for damage that was found; it is looked for again when the store was filled anew.</param>
public sealed partial class Scrubber(
    NodeStore store, ScrubOptions options, Action<StorageException> onDamage, TimeProvider time, ILogger<Scrubber> logger) : IAsyncDisposable
{
    private const int StepBytes = 256 * 1024;
    private const int ShareOfProcessor = 10;

    private readonly CancellationTokenSource _stop = new();
    private readonly ILogger _logger = logger;
    private Task _loop = Task.CompletedTask;
    private long _copies;

    /// <summary>What is damaged, or null.</summary>
    public StorageException? Damage { get; private set; }

    /// <summary>Passes that found nothing.</summary>
    public long Passes { get; private set; }

    /// <summary>Bytes looked at.</summary>
    public long Bytes { get; private set; }

    public void Start() => _loop = options.BytesPerSecond > 0 ? RunAsync() : Task.CompletedTask;

    private async Task RunAsync()
    {
        await Task.Yield();
        try
        {
            while (true)
            {
                var begun = time.GetTimestamp();
                await PassAsync().ConfigureAwait(false);
                await RestAsync(begun).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in order.
        }
    }

    /// <summary>One pass, at its pace; it ends early where damage is found. Throws only where it is cancelled.</summary>
    private async Task PassAsync()
    {
        _copies = store.Progress.FullCopies;
        var walk = new ScrubWalk(store);
        try
        {
            while (true)
            {
                _stop.Token.ThrowIfCancellationRequested();
                var start = time.GetTimestamp();
                var bytes = walk.Step(StepBytes);
                if (bytes == 0)
                {
                    break;
                }

                Bytes += bytes;
                var worked = time.GetElapsedTime(start);
                var due = TimeSpan.FromSeconds((double)bytes / options.BytesPerSecond);
                var pause = due > ShareOfProcessor * worked ? due : ShareOfProcessor * worked;
                await Task.Delay(pause - worked, time, _stop.Token).ConfigureAwait(false);
            }

            Passes++;
            LogPassed(walk.Rows, walk.Records);
        }
        catch (StorageException e)
        {
            Damage = e;
            LogDamaged(e.Message);
            onDamage(e);
        }
        catch (ObjectDisposedException)
        {
            // The store was closed under it.
            _stop.Token.ThrowIfCancellationRequested();
            throw;
        }
    }

    private async Task RestAsync(long begun)
    {
        while (Damage is not null)
        {
            // What is damaged does not mend itself: only another copy does.
            await Task.Delay(TimeSpan.FromSeconds(1), time, _stop.Token).ConfigureAwait(false);
            if (store.Progress.FullCopies != _copies)
            {
                Damage = null;
                return;
            }
        }

        var rest = options.Every - time.GetElapsedTime(begun);
        if (rest > TimeSpan.Zero)
        {
            await Task.Delay(rest, time, _stop.Token).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    [LoggerMessage(1, LogLevel.Information, "Everything was looked through: {Rows} rows and {Records} records, no damage.")]
    private partial void LogPassed(long rows, long records);

    [LoggerMessage(2, LogLevel.Error, "{What}")]
    private partial void LogDamaged(string what);
}
