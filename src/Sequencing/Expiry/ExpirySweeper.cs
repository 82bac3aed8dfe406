using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// Has the keys deleted whose time is over: while this member leads, it proposes so, and the log decides. Keys go nowhere else and by no
/// other clock, so all nodes lose them at one revision. Owns one loop, from <see cref="Start"/> to <see cref="DisposeAsync"/>.
/// </summary>
/// <param name="random">Part of the operation ids.</param>
public sealed partial class ExpirySweeper(
    NodeStore store, ISequencer sequencer, ILogClock clock, Func<ulong> random, TimeProvider time, ILogger<ExpirySweeper> logger) : IAsyncDisposable
{
    /// <summary>How often it looks. With the time of a commit this is how late a key goes.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromMilliseconds(250);

    /// <summary>Keys of one round: what one command may hold well.</summary>
    private const int RoundKeys = 1_000;

    private readonly CancellationTokenSource _stop = new();
    private readonly ILogger _logger = logger;
    private Task _loop = Task.CompletedTask;

    // Everything to expire before this was seen to: the deleted rows before it need not be passed again.
    private LogTime _doneUpTo;
    private bool _led;

    /// <summary>Keys that this process had looked at because their time was over.</summary>
    public long Swept { get; private set; }

    /// <summary>The loop; it ends only when stopped. A fault of it is the fault of this member.</summary>
    public Task Loop => _loop;

    public void Start() => _loop = RunAsync();

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false))
            {
                while (await SweepOnceAsync(_stop.Token).ConfigureAwait(false))
                {
                    _stop.Token.ThrowIfCancellationRequested();
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in order.
        }
        catch (ObjectDisposedException) when (_stop.IsCancellationRequested)
        {
            // The store was closed first.
        }
    }

    /// <summary>One round; true where there is more to do at once. Throws <see cref="StorageException"/>.</summary>
    public async Task<bool> SweepOnceAsync(CancellationToken cancellation)
    {
        if (!sequencer.Leadership.IsLeader)
        {
            _led = false;
            return false;
        }

        if (!_led)
        {
            // Another has led meanwhile, and may have left something.
            (_led, _doneUpTo) = (true, LogTime.None);
        }

        List<Expiry> due;
        LogTime applied;
        using (var view = store.AcquireView())
        {
            applied = view.Progress.LogTime;
            due = ExpiryCursor.ReadDue(view, _doneUpTo, clock.Now, RoundKeys);
        }

        if (due.Count == 0)
        {
            // What is put from now on bears at least the log time of what was applied last.
            _doneUpTo = applied;
            return false;
        }

        var commands = due.GroupBy(expiry => expiry.Keyspace).Select(ReadOnlyMemory<byte> (expiries) =>
        {
            var command = new ByteWriter();
            CommandWriter.WriteExpire(command, new(clock.Now, random(), random()), expiries.Key, [.. expiries]);
            return command.WrittenMemory;
        }).ToList();
        var outcomes = await sequencer.CommitAsync(commands, cancellation).ConfigureAwait(false);
        if (outcomes.FirstOrDefault(outcome => !outcome.IsSuccess) is { Kind: not CommitKind.Unspecified } failed)
        {
            // Nothing is lost: they are found again.
            LogPutOff(due.Count, failed.Kind);
            return false;
        }

        Swept += due.Count;
        return due.Count == RoundKeys;
    }

    public async Task StopAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    [LoggerMessage(1, LogLevel.Debug, "{Count} keys whose time is over were not deleted yet: {Why}.")]
    private partial void LogPutOff(int count, CommitKind why);
}
