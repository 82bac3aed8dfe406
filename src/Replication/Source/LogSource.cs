using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>Limits of a source.</summary>
public sealed record LogSourceOptions
{
    /// <summary>Most children with an open session. Default 1,000.</summary>
    public int MaxChildren { get; init; } = 1_000;

    /// <summary>Largest page a child can get, bytes of records. Default 1 MiB.</summary>
    public int MaxPageBytes { get; init; } = 1024 * 1024;

    /// <summary>Longest wait for something to send. Default 3 s.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Longest time between two pages that a child may ask for. Default 250 ms.</summary>
    public TimeSpan MaxPace { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>With more records than this waiting, pages are sent as fast as they are asked for. Default 1,000.</summary>
    public long PaceRecords { get; init; } = 1_000;

    /// <summary>
    /// With more records than this ahead, the source looks for those of a child's keyspaces one by one, and not at all of them. Default 8,192.
    /// </summary>
    public long FarRecords { get; init; } = LogSelection.Far;

    /// <summary>A session that asks for nothing for this long is forgotten. Default 15 s.</summary>
    public TimeSpan SessionIdle { get; init; } = TimeSpan.FromSeconds(15);
}

/// <summary>A child with an open session.</summary>
public sealed record PullChild(NodeId Node, RegionName Region, string Gateway, Revision Applied);

/// <summary>
/// Serves this node's change log to children. Every record is checked against the chain before it leaves; a damaged one ends
/// in <see cref="PageStatus.SourceDamaged"/> and is never sent.
/// </summary>
/// <param name="upstream">The node that this one pulls from, that one's, and so on up to the hub; empty where it pulls from nobody.</param>
public sealed class LogSource(
    NodeId self, NodeStore store, ILogClock clock, LogSourceOptions options, TimeProvider time, Func<NodeId[]>? upstream = null) : ILogSource, IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private const int MaxGatewayLength = 512;

    /// <summary>Pages that only say that there is nothing for the child do not come more often than this.</summary>
    private static readonly TimeSpan EmptyPace = TimeSpan.FromMilliseconds(10);

    private readonly Lock _gate = new();
    private readonly Dictionary<NodeId, PullSession> _sessions = [];
    private readonly Dictionary<long, PullSession> _byId = [];

    private long _rawBytes;
    private long _sentBytes;

    // The path as it was last put together, and of what: children are told by reference whether it changed.
    private (NodeId[] Upstream, NodeId[] Path) _path = ([], [self]);

    // A source that restarts must not give out the numbers of its last life: a late request would take another child's turn.
    private long _lastSession = time.GetUtcNow().UtcTicks;

    /// <summary>Children with an open session.</summary>
    public IReadOnlyList<PullChild> Children
    {
        get
        {
            lock (_gate)
            {
                ForgetIdle();
                return [.. _sessions.Values.Select(session => session.Child)];
            }
        }
    }

    /// <summary>This node, the one it pulls from, and so on.</summary>
    private NodeId[] Path
    {
        get
        {
            var above = upstream?.Invoke() ?? [];
            lock (_gate)
            {
                if (!_path.Upstream.AsSpan().SequenceEqual(above))
                {
                    _path = (above, [self, .. above]);
                }

                return _path.Path;
            }
        }
    }

    /// <summary>How this source is.</summary>
    public SourceDescription Describe()
    {
        var progress = store.Progress;
        return new(self, progress.Cluster, progress.Position, progress.Oldest, clock.Age, Path);
    }

    /// <inheritdoc/>
    public ValueTask<SourceDescription> DescribeAsync(CancellationToken cancellation) => new(Describe());

    /// <summary>Bytes of records in pages that were sent, before and after compression.</summary>
    public (long Raw, long Sent) Bytes => (Interlocked.Read(ref _rawBytes), Interlocked.Read(ref _sentBytes));

    /// <inheritdoc/>
    public ValueTask<OpenPullAnswer> OpenAsync(OpenPullRequest request, CancellationToken cancellation)
    {
        using var view = store.AcquireView();
        var progress = view.Progress;
        if (!NodeId.TryParse(request.Child.Value, out _) || !RegionName.TryParse(request.Region.Value, out _) || request.Gateway is not { Length: <= MaxGatewayLength }
            || !Subscription.TryCreate(request.Keyspaces, out var subscription, out _))
        {
            return new(new OpenPullAnswer(OpenPullStatus.Unavailable, 0, progress.Cluster, progress.Position, progress.Oldest, clock.Now, [self], default));
        }

        var path = Path;
        var (status, chain) = progress.Subscription.Covers(subscription) ? Judge(view, request, path) : (OpenPullStatus.NotHeld, null);
        long session = 0;
        if (status == OpenPullStatus.Open)
        {
            lock (_gate)
            {
                ForgetIdle();
                if (_sessions.Count >= options.MaxChildren && !_sessions.ContainsKey(request.Child))
                {
                    status = OpenPullStatus.Unavailable;
                }
                else
                {
                    session = ++_lastSession;
                    var child = new PullChild(request.Child, request.Region, request.Gateway, request.Position.Revision);
                    if (_sessions.TryGetValue(request.Child, out var before))
                    {
                        _byId.Remove(before.Id);
                    }

                    _byId[session] = _sessions[request.Child] =
                        new(session, child, request.Position.Revision.Next, chain, subscription, options.FarRecords, path, request.Accepts, time.GetTimestamp());
                }
            }
        }

        return new(new OpenPullAnswer(status, session, progress.Cluster, progress.Position, progress.Oldest, clock.Now, path, chain ?? default));
    }

    /// <summary>With the chain at the child's position; null where this source holds some keyspaces only, and does not know it.</summary>
    private (OpenPullStatus Status, ChainHash? Chain) Judge(View view, OpenPullRequest request, NodeId[] path)
    {
        var progress = view.Progress;
        if (request.Child == self)
        {
            return (OpenPullStatus.Self, null);
        }

        if (path.Contains(request.Child))
        {
            return (OpenPullStatus.Cycle, null);
        }

        if (progress.Cluster.IsNone)
        {
            return (OpenPullStatus.Unavailable, null);
        }

        if (!request.Cluster.IsNone && request.Cluster != progress.Cluster)
        {
            return (OpenPullStatus.OtherCluster, null);
        }

        if (request.Cluster.IsNone)
        {
            return progress.Oldest > Revision.None.Next
                ? (OpenPullStatus.TooOld, null)
                : (OpenPullStatus.Open, StoreProgress.FirstChain(progress.Cluster, progress.Position.History));
        }

        if (request.Position.History != progress.Position.History || request.Position.Log != progress.Position.Log)
        {
            return (OpenPullStatus.Diverged, request.Position.Revision <= progress.Position.Revision ? view.FindChain(request.Position.Revision) : null);
        }

        if (request.Position.Revision > progress.Position.Revision)
        {
            return (OpenPullStatus.SourceBehind, null);
        }

        if (request.Position.Revision.Next < progress.Oldest)
        {
            return (OpenPullStatus.TooOld, null);
        }

        if (view.FindChain(request.Position.Revision) is not { } chain)
        {
            // Of a whole log it should be there, and a child must not take a copy of what is damaged. A log with gaps need not have it: the
            // chains of the keyspaces tell, with the next record of each.
            return (progress.Subscription.IsAll ? OpenPullStatus.Unavailable : OpenPullStatus.Open, null);
        }

        return (chain == request.Chain ? OpenPullStatus.Open : OpenPullStatus.Diverged, chain);
    }

    /// <inheritdoc/>
    public async ValueTask<LogPage> NextAsync(NextPageRequest request, CancellationToken cancellation)
    {
        // The wait counts from here: a request that spent it waiting for its turn must not wait again, or an idle session would
        // run into the caller's time-out.
        var arrived = time.GetTimestamp();
        var session = Find(request.Session);
        if (session is null || !await session.EnterAsync(request.Number, options.MaxWait + TimeSpan.FromSeconds(1), time, cancellation).ConfigureAwait(false))
        {
            return Header(PageStatus.SessionLost, store.Progress, default);
        }

        var answered = false;
        try
        {
            session.Touch(request.Applied, time.GetTimestamp());
            var wait = (request.MaxWait < options.MaxWait ? request.MaxWait : options.MaxWait) - time.GetElapsedTime(arrived);
            using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _stop.Token);
            await store.Polls.WaitAsync(session.Cursor, wait, time, bound.Token).ConfigureAwait(false);
            var pace = session.WasEmpty && request.Pace < EmptyPace ? EmptyPace : request.Pace;
            var pause = (pace < options.MaxPace ? pace : options.MaxPace) - time.GetElapsedTime(session.SentAt);
            if (pause > TimeSpan.Zero && store.Progress.Position.Revision.Value - session.Cursor.Value < options.PaceRecords)
            {
                await Task.Delay(pause, time, bound.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }

            // Off the caller's scheduler: the page comes from disk.
            var page = await Task.Run(() => ReadPage(session, Math.Clamp(request.MaxBytes, 1, options.MaxPageBytes)), cancellation).ConfigureAwait(false);
            answered = page.Status == PageStatus.Ok;
            if (answered)
            {
                Interlocked.Add(ref _rawBytes, page.Records.Length);
                page = session.Compression?.Compress(page) ?? page;
                Interlocked.Add(ref _sentBytes, page.Records.Length);
            }

            session.SentAt = time.GetTimestamp();
            return page with { Path = session.TellPath(Path) };
        }
        finally
        {
            session.Leave(answered);
        }
    }

    /// <summary>Ends all long polls, so that a node that stops is not held up by them.</summary>
    public void Stop() => _stop.Cancel();

    private LogPage ReadPage(PullSession session, int maxBytes)
    {
        using var view = store.AcquireView();
        var from = session.Cursor;
        if (!session.IsCoveredBy(view.Progress.Subscription))
        {
            // Pages from here on would lack what this node has let go, and nothing in them would show it.
            return Header(PageStatus.SessionLost, view.Progress, from);
        }

        if (view.Position.Revision < from)
        {
            return Header(PageStatus.Ok, view.Progress, from);
        }

        if (view.Progress.Oldest > from)
        {
            return Header(PageStatus.TooOld, view.Progress, from);
        }

        try
        {
            var records = new ByteWriter(Math.Min(maxBytes, 64 * 1024));
            if (session.Selection is { } selection)
            {
                var known = session.Chain;
                var end = selection.ReadPage(view, from, ref known, maxBytes, records);
                session.Move(end, known);
                session.WasEmpty = records.Length == 0;
                return (Header(PageStatus.Ok, view.Progress, from) with { To = end, Records = new(records.WrittenMemory), Chain = known ?? default }).Sealed();
            }

            var chain = session.Chain!.Value;
            var to = ChangeLog.ReadPage(view, from, ref chain, maxBytes, records);
            session.Move(to, chain);
            return Header(PageStatus.Ok, view.Progress, from) with { To = to, Records = new(records.WrittenMemory) };
        }
        catch (StorageException e) when (e.Fault is StorageFault.Corrupt or StorageFault.Io)
        {
            return Header(PageStatus.SourceDamaged, view.Progress, from);
        }
    }

    private LogPage Header(PageStatus status, StoreProgress progress, Revision from) => new(
        status, progress.Cluster, progress.Position, progress.Oldest, clock.Now, clock.Age ?? TimeSpan.MaxValue, from, from, default);

    private PullSession? Find(long id)
    {
        lock (_gate)
        {
            return _byId.GetValueOrDefault(id);
        }
    }

    private void ForgetIdle()
    {
        foreach (var session in _sessions.Values.Where(session => time.GetElapsedTime(session.LastSeen) > options.SessionIdle).ToList())
        {
            _sessions.Remove(session.Child.Node);
            _byId.Remove(session.Id);
        }
    }

    public void Dispose()
    {
        _stop.Cancel();
        _stop.Dispose();
    }
}
