using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Simulation.Replication;

/// <summary>The answer to whoever wants a snapshot.</summary>
internal sealed record SnapshotOffer(SnapshotStatus Status, long Session, SimulatedSnapshot? Snapshot);

/// <summary>The snapshot source of one process, as <see cref="SnapshotSource"/>: it pins a state for a while, and nothing else.</summary>
internal sealed class SimulatedSnapshots(World world, SimulatedNode node)
{
    private static readonly SnapshotSourceOptions s_options = Tuning.Snapshots;

    private readonly Dictionary<NodeId, Session> _sessions = [];
    private readonly Dictionary<NodeId, (Revision From, long At)> _sent = [];
    private long _lastSession = node.Time.GetUtcNow().UtcTicks;

    private sealed class Session(long id, SimulatedSnapshot snapshot, long at)
    {
        public long Id { get; } = id;

        public SimulatedSnapshot Snapshot { get; } = snapshot;

        public long LastSeen { get; set; } = at;
    }

    /// <summary>What children that copy, or have just copied, will need of the change log.</summary>
    public List<RetentionHold> Holds
    {
        get
        {
            foreach (var child in _sent.Where(sent => node.Time.GetElapsedTime(sent.Value.At) > s_options.HoldAfter).Select(sent => sent.Key).ToList())
            {
                _sent.Remove(child);
            }

            return
            [
                .. _sessions.Select(session => new RetentionHold(session.Key, session.Value.Snapshot.Progress.Position.Revision.Next)),
                .. _sent.Select(sent => new RetentionHold(sent.Key, sent.Value.From)),
            ];
        }
    }

    /// <param name="wanted">What the child will hold.</param>
    /// <param name="held">What it holds already, for a snapshot of what is to be added; null for one that takes the place of everything.</param>
    public SnapshotOffer Open(NodeId child, ClusterUuid cluster, Subscription wanted, Subscription? held)
    {
        ForgetIdle();
        var progress = node.Store.Progress;
        if (child == node.Id || progress.Cluster.IsNone || (_sessions.Count >= s_options.MaxSessions && !_sessions.ContainsKey(child)))
        {
            return new(child == node.Id ? SnapshotStatus.Self : SnapshotStatus.Unavailable, 0, null);
        }

        if (!cluster.IsNone && cluster != progress.Cluster)
        {
            return new(SnapshotStatus.OtherCluster, 0, null);
        }

        if (!progress.Subscription.Covers(wanted))
        {
            world.Verdict.Count("copies that were not held");
            world.Checks.Asked(node, wanted, isServed: false, isNotHeld: true);
            return new(SnapshotStatus.NotHeld, 0, null);
        }

        _sent.Remove(child);
        var snapshot = Pin(node.Store.TakeSnapshot(node.Id, wanted, held));
        var session = new Session(++_lastSession, snapshot, node.Time.GetTimestamp());
        world.Checks.Asked(node, wanted, isServed: true, isNotHeld: false);
        _sessions[child] = session;
        return new(SnapshotStatus.Ok, session.Id, session.Snapshot);
    }

    /// <summary>By the bug of <see cref="Plant.CopiesALaterState"/> its rows are of a later revision than it says.</summary>
    private SimulatedSnapshot Pin(SimulatedSnapshot snapshot)
    {
        const int Later = 3;

        var progress = snapshot.Progress;
        var said = new Revision(progress.Position.Revision.Value - Later);
        return world.Plant == Plant.CopiesALaterState && snapshot.Except is not null && said > Revision.None && node.Store.FindChain(said) is { } chain
            ? snapshot with { Progress = progress with { Position = progress.Position with { Revision = said }, Chain = chain, Oldest = said.Next, OldestChain = chain } }
            : snapshot;
    }

    /// <summary>The next block of a session. A damaged record is in the last one.</summary>
    public SnapshotStatus Next(long session, bool isLast)
    {
        ForgetIdle();
        if (_sessions.Values.FirstOrDefault(open => open.Id == session) is not { } found)
        {
            return SnapshotStatus.SessionLost;
        }

        found.LastSeen = node.Time.GetTimestamp();
        return isLast && found.Snapshot.IsDamaged ? SnapshotStatus.SourceDamaged : SnapshotStatus.Ok;
    }

    public void Close(long session)
    {
        foreach (var (child, closed) in _sessions.Where(open => open.Value.Id == session).ToList())
        {
            _sent[child] = (closed.Snapshot.Progress.Position.Revision.Next, node.Time.GetTimestamp());
            _sessions.Remove(child);
        }
    }

    private void ForgetIdle()
    {
        foreach (var (child, _) in _sessions.Where(open => node.Time.GetElapsedTime(open.Value.LastSeen) > s_options.SessionIdle).ToList())
        {
            _sessions.Remove(child);
        }
    }
}
