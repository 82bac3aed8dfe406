using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>Who pulls, as its source will know it.</summary>
public sealed record ReplicaIdentity(NodeId Node, RegionName Region, string Gateway);

/// <summary>What a replica says of its pulling.</summary>
public sealed record ReplicationStatus(
    ProgressState State, StopReason StopReason, PullProblem Problem, string? Trouble, string? Source, LogPosition? SourcePosition,
    long Sessions, long RefusedPages, long Bootstraps, long AppliedPages, long AppliedRecords,
    long ReceivedBytes);

/// <summary>
/// The thin driver of <see cref="Progress"/>: does what it asks and tells it what happened, one event at a time. Owns one loop,
/// from <see cref="Start"/> to <see cref="StopAsync"/>; a stop between any two steps loses nothing, because the store holds
/// the position.
/// </summary>
public sealed partial class Replicator : IAsyncDisposable
{
    private const int Measurements = 4;
    private static readonly TimeSpan MeasureTimeout = TimeSpan.FromSeconds(5);

    private readonly ReplicaIdentity _self;
    private readonly NodeStore _store;
    private readonly Subscription _wanted;
    private readonly IUpstream _upstream;
    private readonly ReplicaLogClock _clock;
    private readonly Progress _progress;
    private readonly SnapshotCopy _copy;
    private PageApplier _applier;
    private PageCompression _compression = new();
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Channel<Happened> _events = Channel.CreateUnbounded<Happened>(new() { SingleReader = true });

    // The link that is up, and the one that Progress knows of: it may not have heard yet.
    private UpstreamConnection? _connection;
    private UpstreamConnection? _followed;
    private Task _loop = Task.CompletedTask;
    private Task<IncomingSnapshot?> _receiving = Task.FromResult<IncomingSnapshot?>(null);
    private ReplicationStatus _status;
    private NodeId[] _path = [];
    private (ProgressState State, PullProblem Problem) _logged = (ProgressState.Disconnected, PullProblem.None);
    private long _appliedPages;
    private long _appliedRecords;
    private long _receivedBytes;

    // Beside the events: what a page came with must not be a part of what is decided about it.
    private readonly ConditionalWeakTable<LogPage, Activity> _spans = new();

    public Replicator(
        ReplicaIdentity self, NodeStore store, IUpstream upstream, ReplicaLogClock clock, PullOptions options, Random random,
        TimeProvider time, ILogger<Replicator> logger, Subscription? wanted = null)
    {
        _self = self;
        _store = store;
        _wanted = wanted ?? Subscription.All;
        _upstream = upstream;
        _clock = clock;
        _progress = new(options, random, self.Node, _wanted);
        _copy = new(self, store, logger);
        _applier = new(store);
        _time = time;
        _logger = logger;
        _status = new(ProgressState.Disconnected, StopReason.None, PullProblem.None, null, null, null, 0, 0, 0, 0, 0, 0);
    }

    private readonly record struct Happened(ProgressEvent Event, UpstreamConnection? Connection = null);

    /// <summary>The node that is pulled from, the one that it pulls from, and so on up to the hub; empty where nobody is.</summary>
    public NodeId[] Path => Volatile.Read(ref _path);

    public ReplicationStatus Status => Volatile.Read(ref _status);

    /// <summary>When it returns, the store holds nothing that is not wanted.</summary>
    public void Start()
    {
        Subscribe();
        _progress.Reset(_store.Progress);
        _loop = RunAsync();
    }

    /// <summary>What is on disk is damaged: a copy of a source that has the same history takes its place.</summary>
    /// <param name="again">The copy that was taken last is damaged as well.</param>
    public void Heal(string why, bool again) => _events.Writer.TryWrite(new(new ProgressEvent.Damaged(why, again)));

    public async Task StopAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        await Task.Yield();

        // Nothing here belongs to whoever started the node.
        Activity.Current = null;
        var links = FollowLinksAsync();
        var effects = new List<ProgressEffect>();
        try
        {
            while (true)
            {
                var happened = await _events.Reader.ReadAsync(_stop.Token).ConfigureAwait(false);
                _followed = happened.Connection ?? _followed;
                for (ProgressEvent? next = happened.Event; next is not null;)
                {
                    effects.Clear();
                    _progress.Step(next, effects);
                    next = null;
                    foreach (var effect in effects)
                    {
                        // An applied page is answered before any other event is looked at.
                        next = Do(effect) ?? next;
                    }

                    Publish();
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in order.
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // A fault of this code: it must be seen, and reads must go on.
            LogFailed(e);
            Volatile.Write(ref _status, Status with { State = ProgressState.Stopped, StopReason = StopReason.InternalError, Trouble = e.Message });
        }

        await links.ConfigureAwait(false);
        (await _receiving.ConfigureAwait(false))?.Dispose();
    }

    private ProgressEvent? Do(ProgressEffect effect)
    {
        switch (effect)
        {
            case ProgressEffect.Open open:
                // A new session knows nothing of the pages of the last one.
                _compression = new();
                _ = CallAsync(open.Attempt, async (source, cancellation) => new ProgressEvent.Opened(
                    open.Attempt,
                    await source.OpenAsync(
                        new(_self.Node, _self.Region, _self.Gateway, open.Cluster, open.Position, open.Chain, open.Accepts, _store.Progress.Subscription.Patterns?.ToArray()), cancellation).ConfigureAwait(false)));
                return null;
            case ProgressEffect.Next next:
                _ = CallAsync(next.Attempt, async (source, cancellation) => new ProgressEvent.PageArrived(
                    next.Attempt, next.Request.Number, await PullAsync(source, next.Request, cancellation).ConfigureAwait(false), _time.GetTimestamp()));
                return null;
            case ProgressEffect.Apply apply:
                return Apply(apply);
            case ProgressEffect.Level level:
                return Level(level.Page, level.At);
            case ProgressEffect.Wait wait:
                _ = WaitAsync(wait.Duration, new ProgressEvent.WaitOver(wait.Attempt));
                return null;
            case ProgressEffect.AddLater later:
                _ = WaitAsync(later.Duration, new ProgressEvent.AddDue());
                return null;
            case ProgressEffect.Bootstrap bootstrap:
                _receiving = ReceiveAsync(bootstrap, _receiving);
                return null;
            case ProgressEffect.Install install:
                return Install(install);
            case ProgressEffect.LeaveSource leave:
                LogLeaves(_followed?.Gateway ?? "", leave.Why);
                if (_followed is { } left)
                {
                    _upstream.Leave(left, leave.Fault, leave.Why);
                }

                return null;
            default:
                throw new InvalidOperationException($"Unknown effect {effect}.");
        }
    }

    private async Task<LogPage> PullAsync(ILogSource source, NextPageRequest request, CancellationToken cancellation)
    {
        using var traced = Traces.Guard(() => StartSpan(Traces.Pull, ActivityKind.Client, default));
        var span = traced.Span;
        try
        {
            var page = await source.NextAsync(request, cancellation).ConfigureAwait(false);
            if (span is not null && page.Records.Length > 0)
            {
                span.SetTag(Traces.FromTag, page.From.Value).SetTag(Traces.ToTag, page.To.Value).SetTag(Traces.BytesTag, page.Records.Length);
                _spans.AddOrUpdate(page, span);
            }
            else if (span is not null)
            {
                // A poll that found nothing is of no interest to anybody, and there is one every few seconds.
                span.ActivityTraceFlags &= ~ActivityTraceFlags.Recorded;
            }

            return page;
        }
        catch (Exception e) when (span.Fails(e))
        {
            throw;
        }
    }

    private Activity? StartSpan(string name, ActivityKind kind, ActivityContext parent) =>
        Traces.Source.StartActivity(name, kind, parent)?.SetTag(Traces.NodeTag, _self.Node.Value).SetTag(Traces.RegionTag, _self.Region.Value);

    /// <summary>A replica of a cluster without records is part of it all the same, for its readers and children.</summary>
    private ProgressEvent? Level(LogPage page, long at)
    {
        if (_store.Progress.Position.Revision == Revision.None && _store.Progress.Cluster != page.Cluster)
        {
            try
            {
                _applier.Apply(page);
            }
            catch (MalformedDataException e)
            {
                LogRefused(page.From.Value, e.Message);
                return new ProgressEvent.Refused(e.Message);
            }
            catch (StorageException e)
            {
                LogStorageFailed(e);
                return new ProgressEvent.ApplyFailed(e.Message);
            }
        }

        _clock.Applied(page, at);
        return null;
    }

    private ProgressEvent Apply(ProgressEffect.Apply apply)
    {
        var (page, at) = (apply.Page, apply.At);
        using var traced = _spans.TryGetValue(page, out var pull) ? Traces.Guard(() => StartSpan(Traces.ApplyPage, ActivityKind.Internal, pull.Context)) : default;
        var span = traced.Span;
        try
        {
            // Whole, where it says how far to go: Progress was told so.
            var upTo = apply.UpTo is { } end ? (end, _receiving.Result!.Header!.Progress.Chain) : default((Revision, ChainHash)?);
            var progress = _applier.Apply(_compression.Decompress(page), upTo);
            _appliedPages++;
            _receivedBytes += page.Records.Length;
            _appliedRecords += progress.Position.Revision.Value - page.From.Value + 1;
            _clock.Applied(upTo is null ? page : page with { To = progress.Position.Revision.Next }, at);
            span?.SetTag(Traces.RevisionTag, progress.Position.Revision.Value);
            return new ProgressEvent.Applied(progress.Position, progress.Chain);
        }
        catch (MalformedDataException e)
        {
            span.Fails(e);
            LogRefused(page.From.Value, e.Message);
            return new ProgressEvent.Refused(e.Message);
        }
        catch (StorageException e)
        {
            span.Fails(e);
            LogStorageFailed(e);
            return new ProgressEvent.ApplyFailed(e.Message);
        }
    }

    private async Task CallAsync(long attempt, Func<ILogSource, CancellationToken, Task<ProgressEvent>> call)
    {
        var connection = Volatile.Read(ref _connection);
        if (connection is null)
        {
            _events.Writer.TryWrite(new(new ProgressEvent.CallFailed(attempt, "the link is down")));
            return;
        }

        try
        {
            using var linked = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, connection.Lost);
            var answered = await call(connection.Source, linked.Token).ConfigureAwait(false);
            switch (answered)
            {
                case ProgressEvent.Opened { Answer.Status: OpenPullStatus.Open } opened:
                    _clock.Hear(opened.Answer.LogTime, opened.Answer.Source.Revision, _time.GetTimestamp());
                    break;
                case ProgressEvent.PageArrived { Page.Status: PageStatus.Ok } arrived:
                    _clock.Hear(arrived.Page.LogTime, arrived.Page.Source.Revision, arrived.At);
                    _upstream.Heard(connection, arrived.Page.SourceAge, arrived.Page.Source.Revision);
                    break;
            }

            _events.Writer.TryWrite(new(answered));
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Whatever it was: nothing is lost by asking again.
            _events.Writer.TryWrite(new(new ProgressEvent.CallFailed(attempt, e.Message)));
        }
    }

    private async Task WaitAsync(TimeSpan duration, ProgressEvent over)
    {
        await Task.Delay(duration, _time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _events.Writer.TryWrite(new(over));
    }

    private async Task FollowLinksAsync()
    {
        try
        {
            while (true)
            {
                var connection = await _upstream.ConnectAsync(_stop.Token).ConfigureAwait(false);
                Volatile.Write(ref _connection, connection);
                var roundTrip = await MeasureAsync(connection).ConfigureAwait(false);
                _events.Writer.TryWrite(new(new ProgressEvent.LinkUp(connection.Node, _upstream.Others, roundTrip), connection));

                var lost = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                using var registration = connection.Lost.Register(() => lost.TrySetResult());
                await lost.Task.WaitAsync(_stop.Token).ConfigureAwait(false);
                Volatile.Write(ref _connection, null);
                _events.Writer.TryWrite(new(new ProgressEvent.LinkLost()));
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in order.
        }
    }

    /// <summary>How long a call takes there and back: the shortest of a few, because the first makes connections and code.</summary>
    private async Task<TimeSpan> MeasureAsync(UpstreamConnection connection)
    {
        var shortest = TimeSpan.MaxValue;
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, connection.Lost);
        try
        {
            for (var i = 0; i < Measurements; i++)
            {
                var start = _time.GetTimestamp();
                await connection.Source.DescribeAsync(bound.Token).AsTask().WaitAsync(MeasureTimeout, _time, bound.Token).ConfigureAwait(false);
                var elapsed = _time.GetElapsedTime(start);
                shortest = elapsed < shortest ? elapsed : shortest;
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException && !_stop.IsCancellationRequested)
        {
            // It will be seen whether the source answers.
        }

        return shortest == TimeSpan.MaxValue ? TimeSpan.Zero : shortest;
    }

    private void Publish()
    {
        Volatile.Write(ref _path, _progress.Path);
        var connection = Volatile.Read(ref _connection);
        Volatile.Write(ref _status, new(
            _progress.State, _progress.StopReason, _progress.Problem, _progress.Trouble, connection?.Gateway, _progress.Source,
            _progress.Sessions, _progress.RefusedPages, _progress.Bootstraps, _appliedPages, _appliedRecords, _receivedBytes));

        // One line for a change that means something. Tries and waits go in circles while a problem lasts.
        var (state, problem) = (_progress.State, _progress.State == ProgressState.Waiting ? _progress.Problem : PullProblem.None);
        if (state == ProgressState.Probing || (state == ProgressState.Pulling && _progress.Problem != PullProblem.None) || (state, problem) == _logged)
        {
            return;
        }

        _logged = (state, problem);
        var revision = _store.Progress.Position.Revision.Value;
        switch (state)
        {
            case ProgressState.Pulling:
                if (!_progress.IsAdding)
                {
                    // Begun and not needed after all.
                    DiscardSnapshot();
                }

                LogPulling(connection?.Gateway ?? "its source", revision);
                break;
            case ProgressState.Disconnected:
                LogDisconnected(revision);
                break;
            case ProgressState.Waiting:
                LogHeldUp(revision, _progress.Trouble ?? "");
                break;
            case ProgressState.Bootstrapping:
                LogBootstrapping(connection?.Gateway ?? "its source", revision);
                break;
            case ProgressState.Stopped:
                LogStopped(_progress.StopReason, _progress.Trouble ?? "");
                break;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    [LoggerMessage(1, LogLevel.Information, "Replication pulls from {Source} (this node is at revision {Revision}).")]
    private partial void LogPulling(string source, long revision);

    [LoggerMessage(7, LogLevel.Warning, "Replication is held up at revision {Revision} and tried again: {Why}.")]
    private partial void LogHeldUp(long revision, string why);

    [LoggerMessage(8, LogLevel.Warning, "Replication has no link to a source (this node is at revision {Revision}). Reads go on.")]
    private partial void LogDisconnected(long revision);

    [LoggerMessage(2, LogLevel.Error, "Replication stopped ({Reason}): {Why}. Reads go on from the last state.")]
    private partial void LogStopped(StopReason reason, string why);

    [LoggerMessage(3, LogLevel.Warning, "The page from revision {From} on was refused and nothing of it applied: {Why}")]
    private partial void LogRefused(long from, string why);

    [LoggerMessage(4, LogLevel.Error, "The store failed while a page was applied.")]
    private partial void LogStorageFailed(Exception e);

    [LoggerMessage(6, LogLevel.Error, "Replication failed and does not go on until this node is started again. Reads go on from the last state.")]
    private partial void LogFailed(Exception e);

    [LoggerMessage(9, LogLevel.Warning, "Replication cannot go on from revision {Revision}, and takes a copy of the state of {Source}. Reads go on from the last state.")]
    private partial void LogBootstrapping(string source, long revision);

    [LoggerMessage(13, LogLevel.Warning, "Replication leaves {Source} for another source: {Why}.")]
    private partial void LogLeaves(string source, string why);
}
