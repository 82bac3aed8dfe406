using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>
/// Cuts the change log of a node from time to time, as <see cref="RetentionPolicy"/> says. Owns one loop, from <see cref="Start"/> to
/// <see cref="DisposeAsync"/>.
/// </summary>
/// <param name="holds">The children that still need something.</param>
public sealed partial class Retainer(
    NodeStore store, Func<IReadOnlyCollection<RetentionHold>> holds, RetentionOptions options, TimeProvider time,
    ILogger<Retainer> logger) : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly ILogger _logger = logger;
    private Task _loop = Task.CompletedTask;
    private NodeId? _warnedOf;

    /// <summary>Revisions cut by this process.</summary>
    public long CutRevisions { get; private set; }

    public void Start() => _loop = RunAsync();

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(options.Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false))
            {
                try
                {
                    LookOnce(_stop.Token);
                }
                catch (StorageException e)
                {
                    // Damage is found out by whoever reads it, and a failed write has stopped the store; the log is only longer than it should be.
                    LogFailed(e.Message);
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in order.
        }
    }

    /// <summary>Cuts what is due now. Throws <see cref="StorageException"/>.</summary>
    public void LookOnce(CancellationToken cancellation)
    {
        if (store.Failure is not null)
        {
            return;
        }

        RetentionCut? cut;
        using (var view = store.AcquireView())
        {
            cut = view.Progress.Cluster.IsNone ? null : RetentionPolicy.Decide(options, new Log(view), holds());
        }

        if (cut is not null)
        {
            var before = store.Progress.Oldest;
            store.CutLog(cut.Oldest, cancellation);
            CutRevisions += store.Progress.Oldest.Value - before.Value;
            if (cut.Waiting is { } child && child != _warnedOf)
            {
                LogNotHeld(child, options.MaxBytes + options.MaxHoldBytes);
            }

            _warnedOf = cut.Waiting;
        }

        store.ReclaimLog();
    }

    private sealed class Log(View view) : IRetainedLog
    {
        public Revision Oldest => view.Progress.Oldest;

        public Revision Last => view.Position.Revision;

        public LogTime LogTime => view.Progress.LogTime;

        public long BytesFrom(Revision from) => NodeStore.LogBytes(view, from);

        public Revision FirstSince(LogTime time) => ChangeLog.FirstSince(view, time);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        _stop.Dispose();
    }

    [LoggerMessage(1, LogLevel.Warning, "The change log was cut although '{Child}' has not read it: it is larger than {Bytes} bytes (Quicksilver:Retention:MaxBytes and MaxHoldBytes). The child begins with a copy.")]
    private partial void LogNotHeld(NodeId child, long bytes);

    [LoggerMessage(2, LogLevel.Warning, "The change log could not be cut: {Why}")]
    private partial void LogFailed(string why);
}
