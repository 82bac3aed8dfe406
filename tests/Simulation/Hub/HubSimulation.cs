using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Simulation.Hub;

/// <summary>What a simulated history came to.</summary>
/// <param name="TraceHash">Of all that happened.</param>
/// <param name="Wrong">What broke a promise; empty where nothing did.</param>
/// <param name="Counts">How often what happened.</param>
internal sealed record HubOutcome(string TraceHash, IReadOnlyList<string> Wrong, IReadOnlyDictionary<string, int> Counts);

/// <summary>
/// A hub of three and its clients on virtual time, from one seed. Workload: clients on few keys. Faults: leaders that lose their
/// leadership, crashes, wall clocks that are set, members that lag, a network that loses, repeats and delays. Then everything heals, and
/// the checks are made.
/// </summary>
internal sealed class HubSimulation
{
    private const int Clients = 6;
    private const int OperationsOfClient = 20;
    private const int MaxEvents = 200_000;

    private static readonly KeyspaceId Keyspace = new(1);

    private readonly Simulator _simulator;
    private readonly Trace _trace;
    private readonly SimulatedRaft _raft;
    private readonly SimulatedNetwork _network;
    private readonly History _history = new();
    private readonly List<SimulatedClient> _clients = [];
    private bool _isHealed;

    private HubSimulation(int seed, string path, Plant plant, TextWriter? text)
    {
        _trace = new(text);
        _simulator = new(seed, _trace);
        _raft = new(_simulator, plant);
        _network = new(_simulator);

        // Small, so that ids are forgotten and queues are full within a minute.
        var options = new SequencerOptions
        {
            OperationWindow = new(40, TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(2)), MaxQueuedCommands = 3, MaxEntryCommands = 3,
        };
        for (var i = 0; i < 3; i++)
        {
            _raft.Members.Add(new(_simulator, _raft, $"hub-{i}", Path.Combine(path, $"hub-{i}"), options, plant));
        }

        for (var i = 0; i < Clients; i++)
        {
            _clients.Add(new(i, _simulator, _network, _raft, _history, Keyspace, OperationsOfClient, plant));
        }
    }

    /// <param name="text">Gets the trace as text; null for none.</param>
    public static HubOutcome Run(int seed, string path, Plant plant = Plant.None, TextWriter? text = null)
    {
        var simulation = new HubSimulation(seed, path, plant, text);
        try
        {
            simulation.Live();
            return new(simulation._trace.Hash, [.. simulation._history.Wrong, .. simulation.Check()], simulation._history.Counts);
        }
        catch (Exception e) when (e is StorageException or MalformedDataException)
        {
            // A member that cannot go on: nothing in here may lead to that.
            return new(simulation._trace.Hash, [e.Message], simulation._history.Counts);
        }
        finally
        {
            simulation._raft.Members.ForEach(member => member.Dispose());
        }
    }

    private void Live()
    {
        _simulator.Stepped = () => _history.Step++;
        Form();
        _raft.Elect();
        _clients.ForEach(client => client.Start());
        _simulator.After(_simulator.Between(100, 4_000), "fault", Strike);
        _simulator.Run(MaxEvents);
    }

    /// <summary>The entries with which the cluster and its keyspace begin.</summary>
    private void Form()
    {
        var form = new ByteWriter();
        CommandWriter.WriteFormCluster(form, default, new(1, 2), new(3, 4));
        var begin = new LogTime(_raft.Members[0].WallClock.GetUtcNow().ToUnixTimeMilliseconds());
        foreach (var (number, command) in new[] { (1UL, form.ToArray()), (2UL, new Commands(begin).Create("flags").ToArray()) })
        {
            var entry = new ByteWriter();
            EntryFormat.WriteHeader(entry, new(new(0, number), begin, default, ChainHash.Empty), 1);
            EntryFormat.WriteCommand(entry, default, command);
            _raft.Begin(entry.ToArray());
        }
    }

    private void Strike()
    {
        if (_clients.TrueForAll(client => client.IsDone))
        {
            Heal();
            return;
        }

        var member = _raft.Members[_simulator.Random.Next(_raft.Members.Count)];
        switch (_simulator.Random.Next(8))
        {
            case 0:
                _raft.Elect();
                break;
            case 1 or 6:
                _raft.OnNextProposal = _raft.Elect;
                break;
            case 2 when member.IsUp:
                Crash(member);
                break;
            case 3:
                member.WallClock.Offset = _simulator.Between(0, 60_000) - TimeSpan.FromSeconds(15);
                _simulator.Note($"the clock of {member.Node} is {member.WallClock.Offset.TotalMilliseconds} ms ahead");
                break;
            case 4:
                member.IsSlow = !member.IsSlow;
                break;
            case 5 or 7:
                _raft.OnNextProposal = () =>
                {
                    if (_raft.Leader is { IsUp: true } leader)
                    {
                        Crash(leader);
                    }
                };
                break;
        }

        _simulator.After(_simulator.Between(50, 6_000), "fault", Strike);
    }

    private void Crash(SimulatedMember member)
    {
        _simulator.Note($"{member.Node} crashes");
        member.Crash();
        if (_raft.Leader == member)
        {
            _simulator.After(_simulator.Between(300, 2_000), "election", ElectWhereNeeded);
        }

        _simulator.After(_simulator.Between(50, 6_000), $"{member.Node} starts again", () =>
        {
            member.Restart();
            ElectWhereNeeded();
        });
    }

    private void ElectWhereNeeded()
    {
        if (_raft.Leader is not { IsUp: true, IsLeading: true })
        {
            _raft.Elect();
        }
    }

    /// <summary>Faults end. Every member is started again, and applies everything.</summary>
    private void Heal()
    {
        if (_isHealed)
        {
            return;
        }

        _isHealed = _network.IsHealed = true;
        _simulator.After(TimeSpan.FromSeconds(10), "everything heals", () =>
        {
            foreach (var member in _raft.Members)
            {
                member.IsSlow = false;
                if (member.IsUp)
                {
                    member.Crash();
                }

                member.Restart();
            }

            _raft.Elect();
        });
    }

    private List<string> Check()
    {
        _history.Counts["entries kept"] = _raft.Orphans.Kept;
        _history.Counts["entries lost"] = _raft.Orphans.Lost;
        var views = _raft.Members.ConvertAll(member => (Node: member.Node.Value, View: member.AcquireView()));
        try
        {
            var logs = views.ConvertAll(member => LogChecks.Read(member.View));
            List<string> wrong =
            [
                .. LogChecks.Dense(views[0].Node, logs[0]), .. LogChecks.Once(logs[0]), .. LogChecks.Durable(logs[0], _history.Acknowledged),
                .. LogChecks.Agree(views[0].Node, logs[0], views[1].Node, logs[1]), .. LogChecks.Agree(views[0].Node, logs[0], views[2].Node, logs[2]),
            ];
            var done = logs[0].Select(record => record.Operation).ToHashSet();
            wrong.AddRange(_history.Denied.Where(done.Contains).Select(id => $"{id} was said not to have happened, and is in the log"));
            if (views.Select(member => StateHash.Compute(member.View, member.View, member.View.Position.Revision, CancellationToken.None)).Distinct().Count() != 1)
            {
                wrong.Add($"members differ: {string.Join(", ", views.Select(member => $"{member.Node} is at {member.View.Position.Revision}"))}");
            }

            if (_raft.Members.Select(member => member.RememberedOperations).Distinct().Count() != 1)
            {
                wrong.Add($"members remember {string.Join(", ", _raft.Members.Select(member => member.RememberedOperations))} operations");
            }

            wrong.AddRange(_raft.Members.Where(member => member.OpenSubmissions > 0).Select(member => $"{member.Node} has {member.OpenSubmissions} submissions without an answer"));
            wrong.AddRange(Linearizability.Check(_history.Operations).Where(key => key.Verdict != Verdict.Linearizable).Select(key => $"{key.Key} is {key.Verdict} after {key.Longest} operations"));
            return wrong;
        }
        finally
        {
            views.ForEach(member => member.View.Dispose());
        }
    }
}
