using Quicksilver.Simulation.Replication.Checkers;

namespace Quicksilver.Simulation.Replication;

/// <summary>What a simulated history of a tree came to.</summary>
/// <param name="TraceHash">Of all that happened.</param>
/// <param name="Wrong">What broke a promise, each with the name of its checker in front; empty where nothing did.</param>
/// <param name="Counts">How often what happened.</param>
internal sealed record TreeOutcome(string TraceHash, List<string> Wrong, Dictionary<string, int> Counts);

/// <summary>
/// A hub and up to 30 nodes of other regions on virtual time, from one seed: relays pull from the hub, or from a node of another region, and
/// the rest of a region from its relays. In half of the histories many of them hold some keyspaces only (<see cref="Subscriptions"/>). Workload:
/// a writer at the hub (<see cref="SimulatedWriter"/>), whose log is cut. Faults: see <see cref="Strikes"/>. Then everything heals, the writer
/// stops, all must be level and pull from where they should; and some records more must cross each link once.
/// </summary>
internal sealed class ReplicationSimulation
{
    /// <summary>In one stretch of virtual time: far more than there can be.</summary>
    public const int MaxEvents = 1_000_000;

    private const int MaxNodes = 30;

    private static readonly TimeSpan Stretch = TimeSpan.FromMilliseconds(500);

    private readonly World _world;
    private readonly SimulatedWriter _writer;
    private readonly Strikes _strikes;
    private readonly bool _isCalm;
    private readonly double _writePeriod;
    private bool _isWriting = true;

    private ReplicationSimulation(int seed, Plant plant, TextWriter? text)
    {
        _world = new(seed, plant, text);
        _writer = new(_world);
        _strikes = new(_world, _writer.Write);
        _isCalm = Simulator.Chance(0.1);
        _writePeriod = 30 + (300 * Simulator.Random.NextDouble());
        Build();
    }

    private Simulator Simulator => _world.Simulator;

    /// <param name="text">Gets the trace as text; null for none.</param>
    public static TreeOutcome Run(int seed, Plant plant = Plant.None, TextWriter? text = null)
    {
        var simulation = new ReplicationSimulation(seed, plant, text);
        var verdict = simulation._world.Verdict;
        try
        {
            simulation.Live();
        }
        catch (Exception e) when (plant != Plant.None && verdict.Wrong.Count > 0 && e is not OutOfMemoryException)
        {
            // A planted bug was found, and goes on to do harm until the stretch ends.
            simulation._world.Simulator.Note($"ended by {e.Message}");
        }

        return new(simulation._world.Trace.Hash, verdict.Wrong, verdict.Counts);
    }

    /// <summary>Regions, ways and nodes.</summary>
    private void Build()
    {
        var random = Simulator.Random;

        // Mostly few: a fault of the protocol shows among few nodes, and more of them only take longer.
        var share = random.NextDouble();
        var nodes = 3 + (int)((MaxNodes - 2) * share * share * share * share);
        var regions = 1 + random.Next(Math.Min(4, nodes));
        _world.Relays = 1 + random.Next(2);
        _world.Retention = Tuning.Retention with { MaxBytes = 1024 * (8 + (int)(60 * random.NextDouble())) };
        var isThrough = Enumerable.Range(0, regions).Select(_ => Simulator.Chance(0.25)).ToList();
        _world.Add("hub-0", "hub", []);
        for (var i = 0; i < nodes; i++)
        {
            var region = i % regions;
            _world.Add($"{NameOf(region)}-{i / regions}", NameOf(region), UpstreamsOf(region, regions, isThrough[region]));
        }

        var places = _world.Nodes.Select(node => node.Region).Distinct().ToList();
        for (var i = 0; i < places.Count; i++)
        {
            for (var j = i + 1; j < places.Count; j++)
            {
                // Most ways are short: a long one has many requests open, which costs events and shows nothing new.
                _world.Network.SetWay(places[i], places[j], Simulator.Between(0.5, 60).TotalMilliseconds);
            }
        }

        _world.HasParts = Simulator.Chance(0.5);
        Subscriptions.Draw(_world);
    }

    private static string NameOf(int region) => $"{(char)('a' + region)}";

    /// <summary>The hub, and before it the first node of the next region where this one pulls through it.</summary>
    private static List<string> UpstreamsOf(int region, int regions, bool isThrough) =>
        isThrough && regions > 1 ? [$"{NameOf((region + 1) % regions)}-0", "hub-0"] : ["hub-0"];

    private void Live()
    {
        if (_isCalm)
        {
            _world.Network.Heal();
        }

        _world.Hub.Store.Form();
        _world.Hub.Start();
        _writer.Write(Simulator.Random.Next(2) * Simulator.Random.Next(300));
        foreach (var node in _world.Nodes.Where(node => !node.IsHub))
        {
            Simulator.After(Simulator.Between(0, 2_500), $"{node.Id} starts", () =>
            {
                // A fault may have come before, and with it a start.
                if (!node.IsUp && node.Life == 0)
                {
                    node.Start();
                }
            });
        }

        WriteLater();
        if (!_isCalm)
        {
            _strikes.Start();
        }

        if (!RunFor(TimeSpan.FromSeconds(4 + (8 * Simulator.Random.NextDouble()))))
        {
            return;
        }

        Simulator.Note($"everything heals at revision {_world.Truth.Last}");
        _isWriting = false;
        _strikes.Heal();
        var liveness = new LivenessChecker(_world);
        if (liveness.AwaitLevel() && liveness.AwaitOrder())
        {
            Count(liveness);
        }

        LookAtEverything();
    }

    /// <summary>Some records more, while nothing goes wrong: each crosses each link once.</summary>
    private void Count(LivenessChecker liveness)
    {
        const int Batches = 20;

        // What was lost before is found out by then: a session may break once more, and send some records again.
        if (!RunFor(EgressChecker.Grace) || !liveness.AwaitLevel())
        {
            return;
        }

        var before = _world.Truth.Last;
        _world.Checks.Egress.Begin();
        for (var i = 0; i < Batches; i++)
        {
            _writer.Write(1 + Simulator.Random.Next(5));
            if (!RunFor(TimeSpan.FromMilliseconds(50)))
            {
                return;
            }
        }

        if (liveness.AwaitLevel())
        {
            _world.Checks.Egress.End(_world.Truth.Last.Value - before.Value);
        }
    }

    /// <summary>All that the nodes have, once more and from the beginning.</summary>
    private void LookAtEverything()
    {
        foreach (var node in _world.Nodes)
        {
            _world.Checks.Shown(node);
        }
    }

    /// <summary>False where something was wrong by then: there is nothing more to learn.</summary>
    private bool RunFor(TimeSpan duration)
    {
        for (var end = _world.Now + duration; _world.Now < end && _world.Verdict.Wrong.Count == 0;)
        {
            var next = _world.Now + Stretch;
            Simulator.RunUntil(next < end ? next : end, MaxEvents);
        }

        return _world.Verdict.Wrong.Count == 0;
    }

    private void WriteLater() => Simulator.After(Simulator.Between(1, 4 * _writePeriod), "writer", () =>
    {
        if (_isWriting)
        {
            _writer.Write(1 + Simulator.Random.Next(8));
            WriteLater();
        }
    });
}
