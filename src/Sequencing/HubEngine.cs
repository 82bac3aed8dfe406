using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// Everything that makes a node a hub member, put together: applier, Raft, sequencer, and the first command of a new cluster.
/// </summary>
public sealed partial class HubEngine : IAsyncDisposable
{
    private readonly NodeStore _store;
    private readonly TimeProvider _time;
    private readonly Func<ulong> _random;
    private readonly ILogger _logger;
    private readonly Formation _formation;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource<Exception> _fault = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _forming = Task.CompletedTask;

    /// <param name="random">A good source of randomness: cluster uuid, history and proposal ids come from it.</param>
    public HubEngine(
        NodeStore store, RaftNodeOptions raft, SequencerOptions options, TimeProvider time, Func<ulong> random, ILoggerFactory loggers)
    {
        _store = store;
        _time = time;
        _random = random;
        _logger = loggers.CreateLogger<HubEngine>();
        _formation = new(raft.Self, raft.Members, raft.LogDirectory, time, loggers.CreateLogger<Formation>());
        Applier = new(store, options.OperationWindow);

        // Nothing is applied before Raft is started, so the sequencer is there when the first entry is.
        Raft = new(raft, store, Applier, options.RaftLog, applied => Sequencer!.OnApplied(applied), time, loggers);
        Clock = new(store, time);
        Sequencer = new(Raft, store, Clock, options, random(), time, loggers.CreateLogger<Sequencer>());
    }

    public EntryApplier Applier { get; }

    public RaftNode Raft { get; }

    public HubLogClock Clock { get; }

    public Sequencer Sequencer { get; }

    /// <summary>Completes with the first failure after which this member must stop.</summary>
    public Task<Exception> Fault => _fault.Task;

    public async Task StartAsync(CancellationToken cancellation)
    {
        await _formation.EnsureAsync(_store.Progress.AppliedIndex, cancellation).ConfigureAwait(false);
        Sequencer.Start();
        await Raft.StartAsync(cancellation).ConfigureAwait(false);
        _forming = FormAsync();
        _ = ReportAsync(Sequencer.Loop);
        _ = ReportAsync(_forming);
        _ = ReportFaultAsync();
    }

    /// <summary>A loop that ends by an exception is a fault of this member; nobody else would notice.</summary>
    private async Task ReportAsync(Task loop)
    {
        await loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (loop.Exception is { } e)
        {
            _fault.TrySetResult(e.InnerException ?? e);
        }
    }

    private async Task ReportFaultAsync() => _fault.TrySetResult(await Raft.Fault.ConfigureAwait(false));

    /// <summary>
    /// Gives a new cluster its uuid, once: whoever leads proposes it until the state has one. Of several proposals the first
    /// in the log counts.
    /// </summary>
    private async Task FormAsync()
    {
        try
        {
            while (_store.Progress.Cluster.IsNone)
            {
                if (Raft.Leadership.IsLeader)
                {
                    var command = new ByteWriter();
                    CommandWriter.WriteFormCluster(
                        command, new(LogTime.None, _random(), _random()), new(_random(), _random()), new(_random(), _random()));
                    await Sequencer.CommitAsync([command.ToArray()], _stop.Token).ConfigureAwait(false);
                }

                await Task.Delay(TimeSpan.FromMilliseconds(20), _time, _stop.Token).ConfigureAwait(false);
            }

            LogFormed(_store.Progress.Cluster);
        }
        catch (OperationCanceledException)
        {
            // Stopped before there was a leader.
        }
    }

    /// <summary>Stops taking commands, completes what was taken, hands the leadership over and leaves.</summary>
    public async Task StopAsync(CancellationToken cancellation)
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _forming.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Sequencer.StopAsync().WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Raft.ResignAsync(cancellation).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _forming.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Sequencer.DisposeAsync().ConfigureAwait(false);
        await Raft.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    [LoggerMessage(1, LogLevel.Information, "This hub is cluster {Cluster}.")]
    private partial void LogFormed(ClusterUuid cluster);
}
