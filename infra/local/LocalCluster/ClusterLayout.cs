using System.Text.Json;
using System.Text.Json.Serialization;

namespace Quicksilver.Local;

/// <summary>What to start.</summary>
public sealed record ClusterOptions
{
    /// <summary>Hub nodes, 1 or 3.</summary>
    public int Hubs { get; init; } = 3;

    /// <summary>Names of regions that pull from the hub, or <c>ap:eu</c> for one that pulls from another region.</summary>
    public IReadOnlyList<string> Regions { get; init; } = ["eu", "us"];

    public int ReplicasPerRegion { get; init; } = 1;

    /// <summary>Directory of everything the cluster writes: data, membership, logs, cluster.json.</summary>
    public required string Data { get; init; }

    /// <summary>Addresses of the nodes, hub nodes first; the loopback address where there are none.</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];

    /// <summary>First of the ports that are used, four per node.</summary>
    public int BasePort { get; init; } = 33_000;
}

/// <summary>One node as <c>cluster.json</c> lists it.</summary>
/// <param name="Pid">Process id; 0 while it does not run.</param>
/// <param name="Gateway">Orleans gateway, <c>127.0.0.1:PORT</c>.</param>
/// <param name="Http">Health and metrics, <c>127.0.0.1:PORT</c>.</param>
/// <param name="Raft">Raft endpoint of a hub node, <c>127.0.0.1:PORT</c>; null for replicas.</param>
/// <param name="Upstream">The region that it pulls from; null for hub nodes.</param>
/// <param name="Log">File with what the node wrote to standard error and output.</param>
public sealed record ClusterNode(string Node, string Role, string Region, int Pid, string Gateway, string Http, string? Raft, string? Upstream, string Log);

/// <summary>
/// Where everything of a local cluster is: nodes with their ports and files. Written to <c>cluster.json</c>, so that a later
/// command, or a script, finds the processes again.
/// </summary>
public sealed record ClusterLayout(IReadOnlyList<ClusterNode> Nodes)
{
    private const int PortsPerNode = 4;
    private const string FileName = "cluster.json";

    internal const string Loopback = "127.0.0.1";

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    /// <summary>Lays out nodes: <c>hub-0</c>..., then for each region <c>eu-0</c>.... Throws <see cref="ArgumentException"/>.</summary>
    public static ClusterLayout Plan(ClusterOptions options)
    {
        if (options.Hubs is not (1 or 3))
        {
            throw new ArgumentException($"--hubs is {options.Hubs}; a hub has one node or three.");
        }

        if (options.ReplicasPerRegion < 1)
        {
            throw new ArgumentException($"--replicas-per-region is {options.ReplicasPerRegion}; it must be at least 1.");
        }

        var regions = options.Regions.Select(region => region.Split(':', 2) is [var name, var upstream] ? (Name: name, Upstream: upstream) : (Name: region, Upstream: "hub")).ToList();
        if (regions.Find(region => region.Upstream != "hub" && !regions.Exists(other => other.Name == region.Upstream)) is { Upstream: { } unknown, Name: var of })
        {
            throw new ArgumentException($"--regions has '{of}:{unknown}'; there is no region '{unknown}' to pull from.");
        }

        var names = Enumerable.Range(0, options.Hubs).Select(i => (Node: $"hub-{i}", Role: "hub", Region: "hub", Upstream: (string?)null))
            .Concat(regions.SelectMany(region => Enumerable.Range(0, options.ReplicasPerRegion)
                .Select(i => (Node: $"{region.Name}-{i}", Role: "replica", Region: region.Name, Upstream: (string?)region.Upstream))))
            .ToList();
        if (options.BasePort < 1_024 || options.BasePort + (PortsPerNode * names.Count) > 65_535)
        {
            throw new ArgumentException($"--base-port is {options.BasePort}; {PortsPerNode * names.Count} ports from there on must lie between 1024 and 65535.");
        }

        return new([.. names.Select((name, i) => new ClusterNode(
            name.Node, name.Role, name.Region, 0, At(options, i, 0), At(options, i, 1), name.Role == "hub" ? At(options, i, 2) : null, name.Upstream,
            Path.GetFullPath(Path.Combine(options.Data, "logs", $"{name.Node}.log"))))]);
    }

    /// <summary>A node of another name in the place of one, on four ports of its own.</summary>
    public ClusterLayout Replace(string old, string node, int basePort) => new([.. Nodes.Select(planned => planned.Node != old ? planned : planned with
    {
        Node = node,
        Pid = 0,
        Gateway = $"127.0.0.1:{basePort}",
        Http = $"127.0.0.1:{basePort + 1}",
        Raft = planned.Raft is null ? null : $"127.0.0.1:{basePort + 2}",
        Log = Path.Combine(Path.GetDirectoryName(planned.Log)!, $"{node}.log"),
    })]);

    /// <summary>The port where the silos of a node's cluster connect: next to the gateway's.</summary>
    public static int SiloPort(ClusterNode node) => Port(node.Gateway) + 3;

    internal static string Address(string endpoint) => endpoint[..endpoint.LastIndexOf(':')];

    public static int Port(string endpoint) => int.Parse(endpoint[(endpoint.LastIndexOf(':') + 1)..], System.Globalization.CultureInfo.InvariantCulture);

    private static string At(ClusterOptions options, int node, int port) => $"{options.Addresses.ElementAtOrDefault(node) ?? Loopback}:{options.BasePort + (PortsPerNode * node) + port}";

    /// <summary>Reads the layout of a cluster that was started before.</summary>
    public static ClusterLayout Load(string data)
    {
        var path = Path.Combine(data, FileName);
        return File.Exists(path)
            ? new(JsonSerializer.Deserialize<List<ClusterNode>>(File.ReadAllText(path), Json)!)
            : throw new ArgumentException($"--data is '{data}': there is no {FileName}. Start a cluster there first.");
    }

    public void Save(string data)
    {
        var path = Path.Combine(data, FileName);
        File.WriteAllText(path + ".tmp", JsonSerializer.Serialize(Nodes, Json));
        File.Move(path + ".tmp", path, overwrite: true);
    }

    public ClusterLayout With(ClusterNode changed) => new([.. Nodes.Select(node => node.Node == changed.Node ? changed : node)]);
}
