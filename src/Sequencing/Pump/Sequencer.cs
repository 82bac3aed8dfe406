using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// The thin driver of <see cref="SequencerPump"/>: waits for commands, hands entries to the consensus log one at a time, and
/// expires what nobody answers. Owns one loop, from <see cref="Start"/> to <see cref="StopAsync"/>.
/// </summary>
public sealed partial class Sequencer : ISequencer, IAsyncDisposable
{
    private readonly IConsensusLog _log;
    private readonly NodeStore _store;
    private readonly SequencerOptions _options;
    private readonly SequencerPump _pump;
    private readonly ILogClock _clock;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SemaphoreSlim _signal = new(0);
    private readonly CancellationTokenSource _stop = new();
    private Task _loop = Task.CompletedTask;
    private volatile bool _stopping;
    private volatile TaskCompletionSource? _drained;
    private int _signalled;

    public Sequencer(
        IConsensusLog log, NodeStore store, ILogClock clock, SequencerOptions options, ulong incarnation, TimeProvider time, ILogger<Sequencer> logger)
    {
        _log = log;
        _store = store;
        _clock = clock;
        _options = options;
        _time = time;
        _logger = logger;
        _pump = new(options, incarnation);
    }

    public Leadership Leadership => _log.Leadership;

    public int QueuedCommands => _pump.QueuedCommands;

    /// <summary>Commands refused because the queue was full, since the start.</summary>
    public long RefusedCommands => _pump.Refused;

    /// <summary>The loop; it ends only when stopped. A fault of it is the fault of this member.</summary>
    public Task Loop => _loop;

    public void Start() => _loop = RunAsync();

    /// <inheritdoc/>
    public async ValueTask<CommitOutcome[]> CommitAsync(IReadOnlyList<ReadOnlyMemory<byte>> commands, CancellationToken cancellation)
    {
        long bytes = 0;
        foreach (var command in commands)
        {
            bytes += command.Length;
        }

        using var span = Traces.StartBelow(Traces.Sequence)?.SetTag(Traces.CommandsTag, commands.Count);
        var submission = new Submission(commands, bytes) { Span = span };
        if (_stopping || _drained is not null || !_log.Leadership.IsLeader)
        {
            submission.CompleteAll(CommitOutcome.Unavailable);
        }
        else if (_pump.Enqueue(submission) is { } refusal)
        {
            submission.CompleteAll(refusal);
        }
        else
        {
            Signal();
        }

        return await submission.Outcomes.WaitAsync(cancellation).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask<Revision?> ReadBarrierAsync(CancellationToken cancellation) =>
        !_stopping && await _log.ReadBarrierAsync(cancellation).ConfigureAwait(false) ? _store.Progress.Position.Revision : null;

    /// <summary>The span below which an entry is applied: that of its way through Raft from here, where it is traced; else null.</summary>
    public Activity? SpanOf(ProposalId proposal) => _pump.SpanOf(proposal);

    /// <summary>To be called for every entry that this member applies, on the thread that applied it.</summary>
    public void OnApplied(AppliedEntry applied) => _pump.OnApplied(applied.Proposal, applied.Outcomes);

    /// <summary>
    /// Refuses new commands as Unavailable until <see cref="Resume"/>, and returns when the fate of what was taken is known here, or
    /// is known not to be. One caller at a time. Cancelling ends the wait and nothing else.
    /// </summary>
    public async Task PauseAsync(CancellationToken cancellation)
    {
        var drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _drained = drained;
        Signal();
        await drained.Task.WaitAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Takes commands again, where this member leads.</summary>
    public void Resume() => _drained = null;

    /// <summary>Refuses new commands and completes what was taken.</summary>
    public async Task StopAsync()
    {
        _stopping = true;
        Signal();
        await _loop.ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        await Task.Yield();

        // Nothing here belongs to whoever started the node.
        Activity.Current = null;
        while (true)
        {
            await _signal.WaitAsync(CancellationToken.None).ConfigureAwait(false);
            Volatile.Write(ref _signalled, 0);
            if (!_log.Leadership.IsLeader)
            {
                _pump.RefuseQueued();
            }

            while (_pump.MakeEntry(_store.Progress, _clock.Now) is { } proposal)
            {
                await ProposeAsync(proposal).ConfigureAwait(false);
            }

            _drained?.TrySetResult();
            if (_stopping)
            {
                _pump.Close();
                return;
            }
        }
    }

    private async Task ProposeAsync(Proposal proposal)
    {
        using var traced = Traces.Source.HasListeners()
            ? Traces.Guard(() => Traces.StartShared(Traces.Raft, ActivityKind.Internal, proposal.Submissions.Select(submission => submission.Span)))
            : default;
        var span = traced.Span;
        proposal.Span = span?.SetTag(Traces.BytesTag, proposal.Entry.Length);
        ProposeResult result;
        try
        {
            result = await _log.ProposeAsync(proposal.Entry, _stop.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Whatever the log says here, the entry may be on a disk: never a failure, always unknown.
            LogProposalFailed(proposal.Id.Number, e);
            result = ProposeResult.Unknown;
        }

        span?.SetTag(Traces.OutcomeTag, result.ToString());
        if (_pump.OnResult(proposal.Id, result))
        {
            _ = ExpireAsync(proposal.Id, _stop.Token);
        }
    }

    /// <summary>Gives the next leader time to commit the entry after all, then says that its fate is unknown.</summary>
    private async Task ExpireAsync(ProposalId id, CancellationToken stop)
    {
        await Task.Delay(_options.UnknownGrace, _time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _pump.OnExpired(id);
    }

    private void Signal()
    {
        if (Interlocked.Exchange(ref _signalled, 1) == 0)
        {
            _signal.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        // Order matters: the loop ends first, so that nothing is proposed or taken after everybody was answered.
        _stopping = true;
        await _stop.CancelAsync().ConfigureAwait(false);
        _pump.Close();
        Signal();
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _pump.ExpireAll();
        _stop.Dispose();
    }

    [LoggerMessage(1, LogLevel.Warning, "The fate of proposal {Number} is not known yet: the consensus log failed while it was on its way.")]
    private partial void LogProposalFailed(ulong number, Exception e);
}
