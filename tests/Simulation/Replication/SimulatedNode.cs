using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// One node: what is on its disk, and while its process lives a source of log and snapshots and, on a replica, what pulls. A crash takes the
/// process; a loss of power takes of the disk what was not written yet, too.
/// </summary>
internal sealed class SimulatedNode
{
    private readonly World _world;
    private readonly VirtualClock _time;
    private readonly HubClock _hubClock;
    private ReplicaLogClock? _replicaClock;
    private TimeSpan _changedAt;

    public SimulatedNode(World world, string name, string region, List<string> upstreams)
    {
        _world = world;
        _time = new(world.Simulator);
        _hubClock = new(_time);
        Id = NodeId.Parse(name);
        Region = RegionName.Parse(region);
        Upstreams = upstreams;
        Store = NewStore();
    }

    private sealed class HubClock(VirtualClock time) : ILogClock
    {
        public LogTime Now => new(time.GetUtcNow().ToUnixTimeMilliseconds());

        public TimeSpan? Age => TimeSpan.Zero;
    }

    public NodeId Id { get; }

    public RegionName Region { get; }

    /// <summary>Gateways outside the region; none for the hub.</summary>
    public List<string> Upstreams { get; }

    public bool IsHub => Upstreams.Count == 0;

    /// <summary>The keyspaces that it is to hold: what its next process is told.</summary>
    public Subscription Wanted { get; set; } = Subscription.All;

    public SimulatedStore Store { get; private set; }

    /// <summary>What there is on disk of a copy.</summary>
    public IncomingCopy? Incoming { get; set; }

    public bool IsUp { get; private set; }

    /// <summary>Which process of this node it is: another after each crash.</summary>
    public int Life { get; private set; }

    /// <summary>Its disk is slow.</summary>
    public bool IsSlow { get; set; }

    /// <summary>True where the membership table of its region names it.</summary>
    public bool IsListed => IsUp || _world.Now - _changedAt < Tuning.DeclaredDeadAfter;

    public SimulatedSource Source { get; private set; } = null!;

    public SimulatedSnapshots Snapshots { get; private set; } = null!;

    public SimulatedReplicator? Replicator { get; private set; }

    public SimulatedUpstream? Upstream { get; private set; }

    public VirtualClock Time => _time;

    public ILogClock LogClock => _replicaClock is { } clock ? clock : _hubClock;

    private SimulatedStore NewStore() => new(_world.Plant) { Applied = (before, revisions) => _world.Checks.Applied(this, before, revisions) };

    /// <summary>Its process begins, with what is on its disk.</summary>
    public void Start()
    {
        IsUp = true;
        _changedAt = _world.Now;
        Source = new(_world, this);
        Snapshots = new(_world, this);
        Store.Published = Source.Wake;
        if (!IsHub)
        {
            // It asks its store for nothing that is asked of it here.
            _replicaClock = new(null!, _time);
            Upstream = new(_world, this);
            Replicator = new(_world, this, Upstream, _replicaClock);
            Upstream.Start(Replicator);
        }

        LookAtTheLog();
    }

    /// <param name="losesPower">Nobody is told then, and the last batches are gone.</param>
    public void Crash(bool losesPower)
    {
        IsUp = false;
        Life++;
        _changedAt = _world.Now;
        _world.Simulator.Note($"{Id} {(losesPower ? "loses power" : "is killed")} at revision {Store.Last}");
        Upstream?.Abandon();
        (Upstream, Replicator) = (null, null);
        Store.Published = () => { };
        if (losesPower)
        {
            Incoming = null;
            var lost = Store.LosePower(_world.Random);
            _world.Verdict.Count(lost > 0 ? "losses of power with records" : "losses of power without");
            _world.Checks.WentBack(this);
            return;
        }

        foreach (var other in _world.Nodes.Where(other => other.Upstream is not null))
        {
            other.Upstream!.OnEnded(this);
        }
    }

    /// <summary>Starts again. One whose disk is damaged or was taken begins with an empty one.</summary>
    public void Restart(bool hasNewDisk)
    {
        if (hasNewDisk || Store.Damaged is not null)
        {
            _world.Verdict.Count("new disks");
            Store = NewStore();
            Incoming = null;
            _world.Checks.WentBack(this);
        }

        _world.Simulator.Note($"{Id} starts again at revision {Store.Last}");
        Start();
        _world.Checks.Shown(this);
    }

    /// <summary>Runs something later, where this process still lives.</summary>
    public void After(TimeSpan delay, string what, Action run) => _world.Simulator.After(delay, what, WhileAlive(run));

    public Action WhileAlive(Action run)
    {
        var life = Life;
        return () =>
        {
            if (IsUp && Life == life)
            {
                run();
            }
        };
    }

    /// <summary>How long its disk takes for a step.</summary>
    public TimeSpan DiskTime(double maxMilliseconds) => IsSlow ? _world.Simulator.Between(20, 400) : _world.Simulator.Between(0.05, maxMilliseconds);

    /// <summary>Retention, and what a source forgets with time.</summary>
    private void LookAtTheLog() => After(_world.Retention.Period, $"{Id} looks at its log", () =>
    {
        Source.LoseImpatient();
        if (!Store.Progress.Cluster.IsNone && RetentionPolicy.Decide(_world.Retention, Store, Holds()) is { } cut)
        {
            _world.Verdict.Count(Store.TryCut(cut.Oldest) ? "cuts" : "cuts refused");
            _world.Verdict.Count("cuts that somebody waited for", cut.Waiting is null ? 0 : 1);
        }

        LookAtTheLog();
    });

    /// <summary>As in NodeEngines: one that pulls has what it copied before.</summary>
    private List<RetentionHold> Holds()
    {
        var holds = Source.Children.ConvertAll(child => new RetentionHold(child.Node, child.Applied.Next));
        holds.AddRange(Snapshots.Holds.FindAll(copying => !holds.Exists(pulling => pulling.Child == copying.Child)));
        return holds;
    }
}
