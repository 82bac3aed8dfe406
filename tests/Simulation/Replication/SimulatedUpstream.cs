using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// The link of one process to its upstream: what UpstreamLink and GatewayLink do, with events in place of awaits. Which source it is says
/// the real <see cref="SourceChoice"/> over the real <see cref="RegionOrder"/>.
/// </summary>
internal sealed class SimulatedUpstream
{
    private readonly World _world;
    private readonly SimulatedNode _node;
    private readonly SourceChoice _choice;
    private SimulatedReplicator _replicator = null!;
    private TimeSpan _began;

    public SimulatedUpstream(World world, SimulatedNode node)
    {
        _world = world;
        _node = node;
        _choice = new(Tuning.Sources, new Random(world.Random.Next()));
    }

    /// <summary>The link that is up, or null.</summary>
    public Connection? Current { get; private set; }

    /// <summary>How many sources there are beside the one that is linked.</summary>
    public int Others => _choice.Others;

    public void Start(SimulatedReplicator replicator)
    {
        _replicator = replicator;
        Choose();
        Watch();
    }

    private List<string> Candidates() =>
        [.. RegionOrder.Of(_node.Id, _world.NeighboursOf(_node), _node.Upstreams, _world.Relays, _node.Store.Progress.Cluster.IsNone)];

    /// <summary>Asks all that may be tried at once, and takes the first in order of preference that answers.</summary>
    private void Choose()
    {
        _began = _world.Now;
        _choice.SetCandidates(Candidates());
        var order = _choice.Order(_world.Now);
        if (order.Count == 0)
        {
            _world.Verdict.Count("no source may be tried");
            ChooseLater();
            return;
        }

        var answers = new bool?[order.Count];
        var isOver = false;
        for (var i = 0; i < order.Count; i++)
        {
            var number = i;
            Probe(_world.Find(order[number]), isThere =>
            {
                answers[number] = isThere;
                Decide();
            });
        }

        void Decide()
        {
            if (isOver)
            {
                return;
            }

            for (var i = 0; i < answers.Length; i++)
            {
                if (answers[i] is not { } isThere)
                {
                    return;
                }

                if (isThere)
                {
                    isOver = true;
                    Connect(_world.Find(order[i]));
                    return;
                }
            }

            isOver = true;
            ChooseLater();
        }
    }

    private void ChooseLater()
    {
        var left = Tuning.RetryPeriod - (_world.Now - _began);
        _node.After(left > TimeSpan.Zero ? left : TimeSpan.Zero, $"{_node.Id} looks for a source", Choose);
    }

    /// <summary>Says hello, and once more while there is no answer. Reports once, later.</summary>
    private void Probe(SimulatedNode target, Action<bool> report)
    {
        var isOver = false;
        var ended = _node.WhileAlive(() => End(false));
        var greeted = _node.WhileAlive(() => End(true));
        Ask();
        _node.After(Tuning.ProbeAgainPeriod, $"{_node.Id} asks again", () =>
        {
            if (!isOver)
            {
                Ask();
            }
        });
        _node.After(Tuning.ProbeTimeout, $"{_node.Id} has waited for a hello", () => End(false));

        void Ask() => _world.Network.Send(_node, target, $"{_node.Id} greets {target.Id}", () =>
            _world.Network.Send(target, _node, $"{target.Id} answers {_node.Id}", target.IsUp ? greeted : ended));

        void End(bool isThere)
        {
            if (!isOver)
            {
                isOver = true;
                report(isThere);
            }
        }
    }

    private void Connect(SimulatedNode target)
    {
        var isOver = false;
        var life = target.Life;
        var connected = _node.WhileAlive(() =>
        {
            if (!isOver)
            {
                isOver = true;
                Hold(target, life);
            }
        });
        _world.Network.Send(_node, target, $"{_node.Id} connects to {target.Id}", () =>
        {
            if (target.IsUp)
            {
                life = target.Life;
                _world.Network.Send(target, _node, $"{_node.Id} is connected to {target.Id}", connected);
            }
        });
        _node.After(Tuning.ConnectTimeout, $"{_node.Id} has waited for a connection", () =>
        {
            if (!isOver)
            {
                isOver = true;
                ChooseLater();
            }
        });
    }

    private void Hold(SimulatedNode target, int life)
    {
        var connection = new Connection(_world, _node, target, life, Lose);
        Current = connection;
        _choice.OnUp(target.Id.Value, _world.Now);
        _world.Checks.Linked(_node, target);
        _replicator.OnConnected(connection);
        Beat(connection, 0);
    }

    private void Beat(Connection connection, int misses) => _node.After(Tuning.HeartbeatPeriod, $"{_node.Id} beats", () =>
    {
        if (connection.IsLost)
        {
            return;
        }

        connection.Expire();
        var isOver = false;
        connection.Call<bool>("ping", Tuning.CallTimeout, (_, answer) => answer(true), _ => End(0), _ => End(misses + 1));
        _node.After(Tuning.HeartbeatTimeout, $"{_node.Id} has waited for a beat", () => End(misses + 1));

        void End(int missed)
        {
            if (isOver || connection.IsLost)
            {
                return;
            }

            isOver = true;
            if (missed >= Tuning.MissesBeforeLost)
            {
                _world.Verdict.Count("links lost in silence");
                Lose(connection);
            }
            else
            {
                Beat(connection, missed);
            }
        }
    });

    /// <summary>The process of a node has ended. Who is linked to it hears of it, if the way is open.</summary>
    public void OnEnded(SimulatedNode other)
    {
        if (Current is { } connection && connection.Target == other)
        {
            _world.Network.Send(other, _node, $"{_node.Id} loses {other.Id}", _node.WhileAlive(() => Lose(connection)));
        }
    }

    private void Lose(Connection connection)
    {
        if (connection.IsLost)
        {
            return;
        }

        connection.Lose();
        Current = null;
        _world.Checks.Unlinked(_node, connection.Target);

        // Who hears of it first is a matter of threads.
        if (_world.Simulator.Chance(0.5))
        {
            connection.FailCalls();
            _replicator.OnLost(connection);
        }
        else
        {
            _replicator.OnLost(connection);
            connection.FailCalls();
        }

        ChooseLater();
    }

    /// <summary>Gives up a link, where it is not lost already: its source is avoided for a while.</summary>
    public void Leave(Connection connection, SourceFault fault, string why)
    {
        _world.Verdict.Count($"left: {fault}");
        _world.Simulator.Note($"{_node.Id} leaves {connection.Target.Id}: {why}");
        _choice.OnLeft(connection.Target.Id.Value, fault, _world.Now);
        Drop(connection);
    }

    private void Drop(Connection connection) => _node.After(TimeSpan.Zero, $"{_node.Id} drops its link", () => Lose(connection));

    public void Heard(Connection connection, TimeSpan? age, Revision revision)
    {
        if (_choice.Current == connection.Target.Id.Value)
        {
            _choice.OnHeard(age, revision, _world.Now);
        }
    }

    /// <summary>Looks at others from time to time, and leaves the current source for one that was seen to be better.</summary>
    private void Watch() => _node.After(Tuning.WatchPeriod, $"{_node.Id} watches", () =>
    {
        _choice.SetCandidates(Candidates());
        if (Current is null)
        {
            _choice.OnLost();
        }

        if (_choice.NextLook(_world.Now) is { } look && Current is { } current && _world.Plant != Plant.NeverLooks)
        {
            Look(_world.Find(look), current);
        }
        else
        {
            Watch();
        }
    });

    private void Look(SimulatedNode other, Connection current)
    {
        var isOver = false;
        SourceDescription? seen = null;
        var ended = _node.WhileAlive(End);
        _world.Network.Send(_node, other, $"{_node.Id} looks at {other.Id}", () =>
        {
            var description = other.IsUp ? other.Source.Describe() : null;
            _world.Network.Send(other, _node, $"{_node.Id} sees {other.Id}", () =>
            {
                seen = description;
                ended();
            });
        });
        _node.After(Tuning.LookTimeout, $"{_node.Id} has looked", End);

        void End()
        {
            if (isOver)
            {
                return;
            }

            isOver = true;
            if (_choice.Current == current.Target.Id.Value
                && _choice.OnDescribed(other.Id.Value, seen, _node.Id, _node.Store.Progress.Cluster, _world.Now))
            {
                _world.Verdict.Count("better sources");
                _world.Simulator.Note($"{_node.Id} leaves {current.Target.Id} for {other.Id}, which is better");
                Drop(current);
            }

            Watch();
        }
    }

    /// <summary>The process ends.</summary>
    public void Abandon()
    {
        if (Current is { } connection)
        {
            connection.Abandon();
            _world.Checks.Unlinked(_node, connection.Target);
            Current = null;
        }
    }
}
