using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// The driver of the real <see cref="Progress"/>: <see cref="Replicator"/> with events in place of awaits. One event at a time; while a page
/// is applied or a copy put in place, those that come wait.
/// </summary>
internal sealed class SimulatedReplicator
{
    private readonly World _world;
    private readonly SimulatedNode _node;
    private readonly SimulatedUpstream _upstream;
    private readonly ReplicaLogClock _clock;
    private readonly Progress _progress;
    private readonly SimulatedCopy _copy;
    private readonly Queue<(ProgressEvent Event, Connection? Connection)> _events = new();
    private readonly List<ProgressEffect> _effects = [];

    // The link that Progress knows of: another may be up already.
    private Connection? _followed;
    private Connection? _measuring;
    private bool _isBusy;
    private bool _isStepping;
    private (ProgressState State, PullProblem Problem) _logged;

    public SimulatedReplicator(World world, SimulatedNode node, SimulatedUpstream upstream, ReplicaLogClock clock)
    {
        _world = world;
        _node = node;
        _upstream = upstream;
        _clock = clock;
        _progress = new(Tuning.Pull, new Random(world.Random.Next()), node.Id, world.Plant == Plant.ForgetsToAdd ? null : node.Wanted);
        Subscribe();
        _progress.Reset(node.Store.Progress);
        _copy = new(world, node, this);
        if (world.Plant == Plant.AlsoPullsFromTheHub)
        {
            new SidePull(world, node).Start();
        }
    }

    /// <summary>The node that is pulled from, the one that it pulls from, and so on.</summary>
    public NodeId[] Path => _progress.Path;

    public Connection? Connection => _upstream.Current;

    /// <summary>For people.</summary>
    public string Status => $"{_progress.State} {_progress.StopReason} {_progress.Problem} {_progress.Trouble}";

    /// <summary>What is not wanted any more goes at once; what is wanted newly comes with a copy.</summary>
    private void Subscribe()
    {
        var before = _node.Store.Progress.Subscription;
        var adds = _node.Store.Subscribe(_node.Wanted);
        var now = _node.Store.Progress.Subscription;
        if (adds || !before.Equals(now))
        {
            _world.Simulator.Note($"{_node.Id} is to hold {_node.Wanted}, held {before} and holds {now}");
            _world.Verdict.Count("keyspaces let go", _node.Store.Last > Revision.None && !before.Equals(now) ? 1 : 0);
        }
    }

    /// <summary>A link is up. It is told to Progress when it is known how long its way is.</summary>
    public void OnConnected(Connection connection)
    {
        _measuring = connection;
        var roundTrip = _world.Network.Way(_node, connection.Target) * 2 * (1 + (0.3 * _world.Random.NextDouble()));
        _node.After(roundTrip * 4, $"{_node.Id} has measured its way", () => Follow(connection, _world.Simulator.Chance(0.03) ? TimeSpan.Zero : roundTrip));
    }

    private void Follow(Connection connection, TimeSpan roundTrip)
    {
        if (_measuring == connection)
        {
            _measuring = null;
            Happen(new ProgressEvent.LinkUp(connection.Target.Id, _upstream.Others, roundTrip), connection);
        }
    }

    public void OnLost(Connection connection)
    {
        // The measurement ends with the link, and what follows comes in its order.
        Follow(connection, TimeSpan.Zero);
        Happen(new ProgressEvent.LinkLost());
    }

    public void Happen(ProgressEvent happened, Connection? connection = null)
    {
        _events.Enqueue((happened, connection));
        Drain();
    }

    private void Drain()
    {
        if (_isStepping)
        {
            return;
        }

        while (!_isBusy && _events.TryDequeue(out var next))
        {
            _followed = next.Connection ?? _followed;
            Step(next.Event);
        }
    }

    private void Step(ProgressEvent happened)
    {
        _isStepping = true;
        _effects.Clear();
        _progress.Step(happened, _effects);
        foreach (var effect in _effects)
        {
            Do(effect);
        }

        Publish();
        _isStepping = false;
    }

    private void Do(ProgressEffect effect)
    {
        switch (effect)
        {
            case ProgressEffect.Open open:
                Open(open);
                break;
            case ProgressEffect.Next next:
                Call<LogPage>(
                    next.Attempt, "next", (source, answer) => source.Source.Next(next.Request, answer), (connection, page) => OnPage(connection, next, page));
                break;
            case ProgressEffect.Apply apply:
                Busy(_node.DiskTime(1), $"{_node.Id} applies up to {apply.Page.To}", () => Apply(apply));
                break;
            case ProgressEffect.Level level:
                Level(level.Page, level.At);
                break;
            case ProgressEffect.AddLater later:
                _node.After(later.Duration, $"{_node.Id} may try to add again", () => Happen(new ProgressEvent.AddDue()));
                break;
            case ProgressEffect.Wait wait:
                _world.Simulator.Note($"{_node.Id} waits: {_progress.Trouble}");
                _node.After(wait.Duration, $"{_node.Id} has waited", () => Happen(new ProgressEvent.WaitOver(wait.Attempt)));
                break;
            case ProgressEffect.Bootstrap bootstrap:
                _world.Simulator.Note($"{_node.Id} takes a copy{(bootstrap.Adds ? " of what it lacks" : "")}");
                _copy.Receive(bootstrap.Attempt, bootstrap.Adds);
                break;
            case ProgressEffect.Install install:
                Busy(_node.DiskTime(20), $"{_node.Id} puts a copy in place", () => Install(install));
                break;
            case ProgressEffect.LeaveSource leave:
                if (_followed is { } left)
                {
                    _upstream.Leave(left, leave.Fault, leave.Why);
                }

                break;
            default:
                throw new InvalidOperationException($"Unknown effect {effect}.");
        }
    }

    /// <summary>Does what must be answered before the next event; it takes its time.</summary>
    private void Busy(TimeSpan duration, string what, Func<ProgressEvent> run)
    {
        _isBusy = true;
        _node.After(duration, what, () =>
        {
            var answer = run();
            _isBusy = false;
            Step(answer);
            Drain();
        });
    }

    private void Open(ProgressEffect.Open open)
    {
        var request = new OpenPullRequest(
            _node.Id, _node.Region, _node.Id.Value, open.Cluster, open.Position, open.Chain, open.Accepts, _node.Store.Progress.Subscription.Patterns?.ToArray());
        Call<OpenPullAnswer>(open.Attempt, "open", (source, answer) => answer(source.Source.Open(request)), (_, opened) =>
        {
            if (opened.Status == OpenPullStatus.Open)
            {
                _clock.Hear(opened.LogTime, opened.Source.Revision, _node.Time.GetTimestamp());
            }

            Happen(new ProgressEvent.Opened(open.Attempt, opened));
        });
    }

    private void Call<T>(long attempt, string what, Action<SimulatedNode, Action<T>> serve, Action<Connection, T> answered)
    {
        if (Connection is not { } connection)
        {
            Happen(new ProgressEvent.CallFailed(attempt, "the link is down"));
            return;
        }

        connection.Call(
            what, Tuning.CallTimeout, serve, answer => answered(connection, answer), why => Happen(new ProgressEvent.CallFailed(attempt, why)));
    }

    private void OnPage(Connection connection, ProgressEffect.Next next, LogPage sent)
    {
        var page = _world.Network.Pass(sent);
        var at = _node.Time.GetTimestamp();
        if (page.Status == PageStatus.Ok)
        {
            _clock.Hear(page.LogTime, page.Source.Revision, at);
            _upstream.Heard(connection, page.SourceAge == TimeSpan.MaxValue ? null : page.SourceAge, page.Source.Revision);
        }

        if (_world.Plant == Plant.NeverReopens && page.Status == PageStatus.SessionLost)
        {
            return;
        }

        Happen(new ProgressEvent.PageArrived(next.Attempt, next.Request.Number, page, at));
        if (_world.Network.Repeats())
        {
            _node.After(
                _world.Simulator.Between(0, 100), $"{_node.Id} hears a page again",
                () => Happen(new ProgressEvent.PageArrived(next.Attempt, next.Request.Number, page, at)));
        }
    }

    private ProgressEvent Apply(ProgressEffect.Apply apply)
    {
        var (page, at) = (apply.Page, apply.At);
        try
        {
            // Whole, where it says how far to go: Progress was told so.
            var upTo = apply.UpTo is { } end ? (end, _node.Incoming!.Snapshot.Progress.Chain) : default((Revision, ChainHash)?);
            _node.Store.Apply(page, upTo);
            if (_world.Plant == Plant.AppliesTwice && _world.Simulator.Chance(0.05))
            {
                _node.Store.Apply(page, upTo);
            }

            var progress = _node.Store.Progress;
            _clock.Applied(upTo is null ? page : page with { To = progress.Position.Revision.Next }, at);
            _world.Verdict.Count("pages applied");
            _world.Verdict.Count("pages applied in part", upTo is null ? 0 : 1);
            return new ProgressEvent.Applied(progress.Position, progress.Chain);
        }
        catch (MalformedDataException e)
        {
            _world.Verdict.Count("pages refused");
            return new ProgressEvent.Refused(e.Message);
        }
    }

    /// <summary>A replica of a cluster without records is part of it all the same.</summary>
    private void Level(LogPage page, long at)
    {
        if (_node.Store.Last == Revision.None && _node.Store.Progress.Cluster != page.Cluster)
        {
            _node.Store.Apply(page);
        }

        _clock.Applied(page, at);
    }

    private ProgressEvent Install(ProgressEffect.Install install)
    {
        var before = _node.Store.TakeSnapshot(_node.Id);
        try
        {
            // Whole, because Progress was told so.
            var copy = _node.Incoming!.Snapshot;
            if (install.Adds)
            {
                _node.Store.Add(copy);
            }
            else
            {
                _node.Store.Install(copy);
            }

            _node.Incoming = null;
            _world.Verdict.Count(install.Adds ? "keyspaces added" : "bootstraps");
            _world.Checks.Shown(_node);
            var progress = _node.Store.Progress;
            if (_world.Plant == Plant.ShowsTheOldStateAgain && !install.Adds)
            {
                _node.Store.Replace(before);
                _world.Checks.Shown(_node);
            }

            return new ProgressEvent.Installed(progress);
        }
        catch (ArgumentException e)
        {
            _node.Incoming = null;
            _world.Verdict.Count("copies of no use");
            return new ProgressEvent.BootstrapFailed(install.Attempt, e.Message);
        }
    }

    /// <summary>As the driver does where the state that people see changes: a copy that was begun and is not needed is thrown away.</summary>
    private void Publish()
    {
        var (state, problem) = (_progress.State, _progress.State == ProgressState.Waiting ? _progress.Problem : PullProblem.None);
        if (state == ProgressState.Probing || (state == ProgressState.Pulling && _progress.Problem != PullProblem.None) || (state, problem) == _logged)
        {
            return;
        }

        _logged = (state, problem);
        if (state == ProgressState.Pulling && !_progress.IsAdding)
        {
            _node.Incoming = null;
        }
    }
}
