using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>Limits of a source of snapshots.</summary>
public sealed record SnapshotSourceOptions
{
    /// <summary>Most snapshots that are sent at the same time; each holds back compaction. Default 2.</summary>
    public int MaxSessions { get; init; } = 2;

    /// <summary>A session that is asked for nothing for this long ends. Default 2 minutes: a child may be restarted meanwhile, and go on.</summary>
    public TimeSpan SessionIdle { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>
    /// How long the change log after a snapshot is held for a child that has all of it and does not pull yet. Default 10 minutes: it makes a
    /// database of it meanwhile.
    /// </summary>
    public TimeSpan HoldAfter { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Blocks that are read at the same time. Default half the processors: the others serve reads.</summary>
    public int MaxReading { get; init; } = Math.Max(1, Environment.ProcessorCount / 2);

    /// <summary>Largest block, bytes of rows. Default 2 MiB; with one more largest row it fits a message.</summary>
    public int MaxBlockBytes { get; init; } = 2 << 20;
}

/// <summary>
/// Sends this node's state, as it was at one moment, to those who must begin with it. It pins the View for a while, and has nothing else
/// to remember: each question names where it goes on.
/// </summary>
/// <param name="termOf">Hub: the term of a Raft entry, or null where it is not known any more. Null on a replica.</param>
public sealed class SnapshotSource(
    NodeId self, NodeStore store, Func<LogIndex, Term?>? termOf, SnapshotSourceOptions options, TimeProvider time) : ISnapshotSource, IDisposable
{
    private static readonly TimeSpan SweepPeriod = TimeSpan.FromSeconds(15);

    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _reading = new(options.MaxReading);
    private readonly Dictionary<NodeId, Session> _sessions = [];
    private readonly Dictionary<NodeId, (Revision From, long At)> _sent = [];
    private ITimer? _sweeper;
    private bool _disposed;

    // A source that restarts must not give out the numbers of its last life.
    private long _lastSession = time.GetUtcNow().UtcTicks;

    private sealed class Session(long id, View view, SnapshotSelection? selection, Revision needs, long at)
    {
        public long Id { get; } = id;

        /// <summary>The first record of the log that the child will ask for.</summary>
        public Revision Needs { get; } = needs;

        public View View { get; } = view;

        public SnapshotSelection? Selection { get; } = selection;

        public long LastSeen { get; set; } = at;

        /// <summary>Blocks that are being read; the View goes when the last one is done.</summary>
        public int Reading { get; set; }

        public bool IsOver { get; set; }
    }

    /// <summary>Nodes that a snapshot is being sent to.</summary>
    public IReadOnlyList<NodeId> Children
    {
        get
        {
            lock (_gate)
            {
                return [.. _sessions.Keys];
            }
        }
    }

    /// <summary>What children that copy, or have just copied, will need of the change log.</summary>
    public IReadOnlyList<RetentionHold> Holds
    {
        get
        {
            lock (_gate)
            {
                foreach (var (child, _) in _sent.Where(sent => time.GetElapsedTime(sent.Value.At) > options.HoldAfter).ToList())
                {
                    _sent.Remove(child);
                }

                return
                [
                    .. _sessions.Select(session => new RetentionHold(session.Key, session.Value.Needs)),
                    .. _sent.Select(sent => new RetentionHold(sent.Key, sent.Value.From)),
                ];
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask<OpenSnapshotAnswer> OpenAsync(OpenSnapshotRequest request, CancellationToken cancellation)
    {
        static ValueTask<OpenSnapshotAnswer> Refuse(SnapshotStatus why) => new(new OpenSnapshotAnswer(why, 0, default));

        if (!NodeId.TryParse(request.Child.Value, out _) || !RegionName.TryParse(request.Region.Value, out _)
            || !Subscription.TryCreate(request.Keyspaces, out var wanted, out _) || !Subscription.TryCreate(request.Except, out var held, out _))
        {
            return Refuse(SnapshotStatus.Unavailable);
        }

        if (request.Child == self)
        {
            return Refuse(SnapshotStatus.Self);
        }

        lock (_gate)
        {
            ForgetIdle();
            if (_disposed || (_sessions.Count >= options.MaxSessions && !_sessions.ContainsKey(request.Child)))
            {
                return Refuse(SnapshotStatus.Unavailable);
            }

            var view = store.AcquireView();
            var progress = view.Progress;
            if (progress.Cluster.IsNone || (!request.Cluster.IsNone && request.Cluster != progress.Cluster))
            {
                view.Dispose();
                return Refuse(progress.Cluster.IsNone ? SnapshotStatus.Unavailable : SnapshotStatus.OtherCluster);
            }

            if (!progress.Subscription.Covers(wanted))
            {
                view.Dispose();
                return Refuse(SnapshotStatus.NotHeld);
            }

            SnapshotSelection? selection;
            SnapshotHeader content;
            try
            {
                selection = wanted.IsAll && !request.Adds ? null : new(view, wanted, request.Adds ? held : null);
                content = Describe(view, selection, wanted, request.Adds ? held : null);
            }
            catch (StorageException)
            {
                view.Dispose();
                return Refuse(SnapshotStatus.SourceDamaged);
            }

            _sent.Remove(request.Child);
            if (_sessions.Remove(request.Child, out var before))
            {
                End(before);
            }

            // One that adds pulls up to the snapshot first, by the log.
            var end = view.Position.Revision;
            var needs = request.Adds && request.Applied >= Revision.None && request.Applied < end ? request.Applied.Next : end.Next;
            var session = new Session(++_lastSession, view, selection, needs, time.GetTimestamp());
            _sessions.Add(request.Child, session);
            _sweeper ??= time.CreateTimer(_ => Sweep(), null, SweepPeriod, SweepPeriod);
            var header = new ByteWriter();
            content.Write(header);
            return new(new OpenSnapshotAnswer(SnapshotStatus.Ok, session.Id, new(header.WrittenMemory)));
        }
    }

    /// <summary>A snapshot of some keyspaces has no log: the receiver's begins behind it.</summary>
    private SnapshotHeader Describe(View view, SnapshotSelection? selection, Subscription wanted, Subscription? held)
    {
        var progress = view.Progress;
        var term = termOf?.Invoke(progress.AppliedIndex) ?? default;
        return selection is null
            ? new(self, progress, term, store.EstimatedBytes)
            : new(
                self, progress with { Subscription = wanted, Oldest = progress.Position.Revision.Next, OldestChain = progress.Chain }, term,
                selection.EstimateBytes(view), held);
    }

    /// <inheritdoc/>
    public async ValueTask<NextBlockAnswer> NextAsync(NextBlockRequest request, CancellationToken cancellation)
    {
        Session session;
        lock (_gate)
        {
            ForgetIdle();
            if (_sessions.Values.FirstOrDefault(candidate => candidate.Id == request.Session) is not { } found)
            {
                return new(SnapshotStatus.SessionLost, default);
            }

            session = found;
            session.LastSeen = time.GetTimestamp();
            session.Reading++;
        }

        try
        {
            if (request.Section is < SnapshotSection.Rows or >= SnapshotSection.End || request.After.Length > SnapshotBlock.MaxKeyBytes)
            {
                throw new MalformedDataException($"A snapshot has no part {(int)request.Section}, or no key of {request.After.Length} bytes.");
            }

            await _reading.WaitAsync(cancellation).ConfigureAwait(false);
            try
            {
                // Off the caller's scheduler: it comes from disk.
                var block = await Task.Run(
                    () => SnapshotBlock.Read(session.View, request.Section, request.After.Span, Math.Clamp(request.MaxBytes, 1, options.MaxBlockBytes), session.Selection),
                    cancellation).ConfigureAwait(false);
                return new(SnapshotStatus.Ok, new(block.WrittenMemory));
            }
            finally
            {
                _reading.Release();
            }
        }
        catch (StorageException e) when (e.Fault is StorageFault.Corrupt or StorageFault.Io)
        {
            return new(SnapshotStatus.SourceDamaged, default);
        }
        finally
        {
            lock (_gate)
            {
                session.LastSeen = time.GetTimestamp();
                if (--session.Reading == 0 && session.IsOver)
                {
                    session.View.Dispose();
                }
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask CloseAsync(long session, CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (_sessions.FirstOrDefault(open => open.Value.Id == session) is { Value: { } closed, Key: var child })
            {
                _sent[child] = (closed.Needs, time.GetTimestamp());
                Forget(open => open == closed);
            }
        }

        return ValueTask.CompletedTask;
    }

    private void Sweep()
    {
        lock (_gate)
        {
            ForgetIdle();
        }
    }

    private void ForgetIdle() => Forget(session => session.Reading == 0 && time.GetElapsedTime(session.LastSeen) > options.SessionIdle);

    private void Forget(Predicate<Session> isOver)
    {
        foreach (var (child, session) in _sessions.Where(pair => isOver(pair.Value)).ToList())
        {
            _sessions.Remove(child);
            End(session);
        }
    }

    private static void End(Session session)
    {
        session.IsOver = true;
        if (session.Reading == 0)
        {
            session.View.Dispose();
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _sweeper?.Dispose();
            Forget(_ => true);
        }

        // Not the semaphore: a block that is being read gives it back.
    }
}
