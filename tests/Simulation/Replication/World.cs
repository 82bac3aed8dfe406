using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Simulation.Replication.Checkers;

namespace Quicksilver.Simulation.Replication;

/// <summary>What the parts of one simulated tree share.</summary>
internal sealed class World
{
    private readonly Dictionary<string, SimulatedNode> _byGateway = [];

    public World(int seed, Plant plant, TextWriter? text)
    {
        Trace = new(text);
        Simulator = new(seed, Trace);
        Network = new(Simulator);
        Checks = new(Simulator, Truth, Verdict);
        Plant = plant;
    }

    public Trace Trace { get; }

    public Simulator Simulator { get; }

    public SimulatedNetwork Network { get; }

    public TrueLog Truth { get; } = new();

    public Verdict Verdict { get; } = new();

    public Checks Checks { get; }

    public Plant Plant { get; }

    /// <summary>Some nodes hold some keyspaces only; else all hold all.</summary>
    public bool HasParts { get; set; }

    /// <summary>How many nodes of a region pull from outside.</summary>
    public int Relays { get; set; } = 1;

    public RetentionOptions Retention { get; set; } = Tuning.Retention;

    /// <summary>The hub first.</summary>
    public List<SimulatedNode> Nodes { get; } = [];

    public SimulatedNode Hub => Nodes[0];

    public TimeSpan Now => Simulator.Now;

    public Random Random => Simulator.Random;

    public SimulatedNode Add(string name, string region, List<string> upstreams)
    {
        var node = new SimulatedNode(this, name, region, upstreams);
        Nodes.Add(node);
        _byGateway.Add(name, node);
        return node;
    }

    /// <summary>Gateways are called as their nodes.</summary>
    public SimulatedNode Find(string gateway) => _byGateway[gateway];

    /// <summary>The other nodes of a region, as its membership table names them.</summary>
    public List<Neighbour> NeighboursOf(SimulatedNode node) =>
    [
        .. from other in Nodes
           where other != node && other.Region == node.Region && other.IsListed
           select new Neighbour(other.Id, other.Id.Value),
    ];

    /// <summary>The relays of a region when all of its nodes run.</summary>
    public List<NodeId> RelaysOf(RegionName region) =>
        [.. Nodes.Where(node => node.Region == region).Select(node => node.Id).OrderBy(id => id.Value, StringComparer.Ordinal).Take(Relays)];
}
