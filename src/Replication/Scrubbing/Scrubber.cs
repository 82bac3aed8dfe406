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
/// <param name="onDamage">
/// Called once for damage that was found, with whether the store was filled anew for damage since it was last seen whole; it is looked for again
/// when the store was filled anew.
/// </param>
public sealed partial class Scrubber(
    NodeStore store, ScrubOptions options, Action<StorageException, bool> onDamage, TimeProvider time, ILogger<Scrubber> logger) : IAsyncDisposable
{
    private const int StepBytes = 256 * 1024;
    private const int ShareOfProcessor = 10;

    /// <summary>Passes in a row that the disk must fail: it may have been busy, or the process out of files.</summary>
    private const int MaxFailedReads = 3;

    /// <summary>Time until the next pass where the disk failed one, and the first of the waits between copies that are all damaged.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    private readonly CancellationTokenSource _stop = new();
    private readonly ILogger _logger = logger;
    private Task _loop = Task.CompletedTask;
    private long _copies;
    private int _failedReads;
    private int _healed;

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
            (_failedReads, _healed, Damage) = (0, 0, null);
            LogPassed(walk.Rows, walk.Records);
        }
        catch (StorageException) when (store.Progress.FullCopies != _copies)
        {
            // Of what is not there any more.
            Damage = null;
        }
        catch (StorageException e) when (e.Fault == StorageFault.Io && ++_failedReads < MaxFailedReads)
        {
            LogFailedRead(e.Message);
        }
        catch (StorageException e)
        {
            await SayAsync(e).ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // The store was closed under it.
            _stop.Token.ThrowIfCancellationRequested();
            throw;
        }
    }

    private async Task SayAsync(StorageException damage)
    {
        Damage = damage;
        _failedReads = 0;
        LogDamaged(damage.Message);
        if (_healed > 0)
        {
            // The copy has it as well. Copies of everything, one after the other, would take the sources' time and mend nothing.
            var wait = Pause * Math.Pow(2, Math.Min(_healed, 20));
            LogDamagedAgain(_healed);
            await Task.Delay(wait < options.Every ? wait : options.Every, time, _stop.Token).ConfigureAwait(false);
            if (store.Progress.FullCopies != _copies)
            {
                // One came meanwhile for another reason; the next pass says what it is worth.
                return;
            }
        }

        onDamage(damage, _healed > 0);
    }

    private async Task RestAsync(long begun)
    {
        if (_failedReads > 0)
        {
            await Task.Delay(Pause < options.Every ? Pause : options.Every, time, _stop.Token).ConfigureAwait(false);
            return;
        }

        if (Damage is null && store.Progress.FullCopies != _copies)
        {
            // A copy came under the pass, which saw what was there before: nobody has looked at it yet.
            return;
        }

        while (Damage is not null && time.GetElapsedTime(begun) < options.Every)
        {
            // Another copy mends it; for all else it is looked at again when its time has come.
            await Task.Delay(TimeSpan.FromSeconds(1), time, _stop.Token).ConfigureAwait(false);
            if (store.Progress.FullCopies != _copies)
            {
                Damage = null;
                _healed++;
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

    [LoggerMessage(3, LogLevel.Warning, "The disk failed while everything was looked through for damage; it is tried again: {What}")]
    private partial void LogFailedRead(string what);

    [LoggerMessage(4, LogLevel.Error, "Copies that were taken for damage so far: {Copies}. The last one is damaged as well, so its source may be: look at its log.")]
    private partial void LogDamagedAgain(int copies);

    [LoggerMessage(2, LogLevel.Error, "{What}")]
    private partial void LogDamaged(string what);
}
