using System.Net;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Cli;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Hosting;
using Quicksilver.Model;
using Quicksilver.Testing;

[assembly: AssemblyFixture(typeof(Quicksilver.Grains.Tests.SharedCluster))]

namespace Quicksilver.Grains.Tests;

/// <summary>
/// A hub and the regions eu and us in this process: real silos, sockets, disks and Raft, on ports and in a directory of their own.
/// Nodes go by name; the hub's are <c>hub</c> where it is one, else <c>hub-0</c> to <c>hub-2</c>.
/// </summary>
public sealed class LiveCluster : IAsyncDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly Dictionary<string, NodeSettings> _settings = [];
    private readonly Dictionary<string, NodeHost> _running = [];

    private readonly Dictionary<string, TcpProxy> _proxies = [];

    private LiveCluster(int hubs, bool proxied)
    {
        var names = hubs == 1 ? ["hub"] : Enumerable.Range(0, hubs).Select(i => $"hub-{i}").ToList();
        var members = names.Select(name => new Sequencing.HubMember(NodeId.Parse(name), new(IPAddress.Loopback, Testing.Ports.Free()))).ToList();
        foreach (var name in names)
        {
            _settings.Add(name, Settings(name, "hub", NodeRole.Hub) with
            {
                HubMembers = members, Membership = hubs == 1 ? null : MembershipStore.Directory(_directory.Sub("membership")),
            });
        }

        Hubs = names;
        foreach (var region in new[] { "eu", "us" })
        {
            var upstreams = names.Select(name => _settings[name].GatewayText).ToList();
            if (proxied)
            {
                _proxies[region] = new(_settings[names[0]].Ports.Gateway);
                upstreams = [_proxies[region].Address];
            }

            _settings.Add(region, Settings(region, region, NodeRole.Replica) with { Upstreams = upstreams });
        }
    }

    /// <summary>The network between a region and the first node of the hub, where the cluster was started with one.</summary>
    public TcpProxy Network(string region) => _proxies[region];

    /// <summary>Changes the settings of a node that does not run.</summary>
    public void Change(string node, Func<NodeSettings, NodeSettings> change) => _settings[node] = change(_settings[node]);

    public IReadOnlyList<string> Hubs { get; }

    /// <summary>The hub node that leads, or null.</summary>
    public string? Leader => Hubs.FirstOrDefault(name => _running.TryGetValue(name, out var node) && node.Status.RaftRole == RaftRole.Leader);

    public static async Task<LiveCluster> StartAsync(CancellationToken stop, int hubs = 1, bool proxied = false)
    {
        var cluster = new LiveCluster(hubs, proxied);

        // The silos of a hub join each other, so they start together.
        await Task.WhenAll(cluster.Hubs.Select(name => cluster.StartAsync(name, stop)));
        await cluster.StartAsync("eu", stop);
        await cluster.StartAsync("us", stop);
        await Eventually.TrueAsync(() => cluster.Leader is { } leader && !cluster[leader].Status.Cluster.IsNone, "a formed cluster", stop);

        // A test that gives a region little time means its own steps, and not the making of the first link.
        await Eventually.TrueAsync(() => cluster["eu"].Status.State == "pulling" && cluster["us"].Status.State == "pulling", "regions that pull", stop);
        return cluster;
    }

    private NodeSettings Settings(string name, string region, NodeRole role) => new()
    {
        Role = role,
        NodeId = NodeId.Parse(name),
        Region = RegionName.Parse(region),
        DataDirectory = _directory.Sub(name),
        Ports = new(Testing.Ports.Free(), Testing.Ports.Free(), Testing.Ports.Free()),

        // The default is for one node in a process.
        HotRows = 20_000,
    };

    public NodeHost this[string node] => _running[node];

    public string Gateway(string node) => _settings[node].GatewayText;

    public int HttpPort(string node) => _settings[node].Ports.Http;

    public async Task StartAsync(string node, CancellationToken stop)
    {
        var host = await NodeHost.StartAsync(_settings[node], TimeProvider.System, logging => logging.SetMinimumLevel(LogLevel.None), stop);
        lock (_running)
        {
            _running[node] = host;
        }
    }

    public async Task StopAsync(string node)
    {
        await _running[node].DisposeAsync();
        _running.Remove(node);
    }

    /// <summary>A client of its own session.</summary>
    public QuicksilverClient Connect(string region, TimeSpan? deadline = null)
    {
        var options = new QuicksilverClientOptions { Deadline = deadline ?? TimeSpan.FromSeconds(20) };
        options.Gateways.Add(Gateway(region));
        return new(options, TimeProvider.System, NullLoggerFactory.Instance);
    }

    /// <summary>Runs <c>qs</c> in this process against a region.</summary>
    public Task<QsRun> QsAsync(string region, params string[] args) => QsRun.StartAsync([.. args, "--gateway", Gateway(region)]);

    /// <summary>Waits until the node has what the hub's leader has.</summary>
    public Task LevelAsync(string node, CancellationToken stop) => Eventually.TrueAsync(
        () => Leader is { } leader && _running[node].Status.Position == _running[leader].Status.Position, $"{node} level with the hub", stop);

    /// <summary>
    /// Waits until all nodes that run could be compared, starting from one of them, and are alike. One that cannot be asked at this moment,
    /// or is not seen, is asked again; one that differs is a failure at once.
    /// </summary>
    public async Task EqualAsync(string from, CancellationToken stop)
    {
        var inspector = new ClusterInspector([Gateway(from)], TimeProvider.System, NullLoggerFactory.Instance);
        var last = "";
        Verification? verification = null;
        try
        {
            await Eventually.TrueAsync(
                async () =>
                {
                    try
                    {
                        verification = await inspector.VerifyAsync(stop);
                    }
                    catch (QuicksilverException e)
                    {
                        last = e.Message;
                        return false;
                    }

                    last = $"{string.Join("; ", verification.Nodes)} {string.Join("; ", verification.Unreachable)}";
                    return verification.Different.Count > 0 || (verification.IsEqual && verification.Nodes.Count == _running.Count);
                },
                $"{_running.Count} nodes that can be compared", stop);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message} Last seen: {last}", e);
        }

        Assert.True(verification!.IsEqual, last);
    }

    public async ValueTask DisposeAsync()
    {
        // Regions first: they would only look for the hub.
        foreach (var (_, node) in _running.OrderBy(node => Hubs.Contains(node.Key)))
        {
            await node.DisposeAsync();
        }

        foreach (var proxy in _proxies.Values)
        {
            await proxy.DisposeAsync();
        }

        _directory.Dispose();
    }
}

/// <summary>What one run of <c>qs</c> printed and how it ended.</summary>
public sealed record QsRun(int ExitCode, byte[] OutputBytes, string Errors)
{
    public string Output => Encoding.UTF8.GetString(OutputBytes);

    public static async Task<QsRun> StartAsync(params string[] args)
    {
        using var output = new MemoryStream();
        await using var errors = new StringWriter();
        var code = await QsCommand.RunAsync(args, output, errors);
        return new(code, output.ToArray(), errors.ToString());
    }
}

/// <summary>The cluster that tests share which leave it running; each uses keyspaces of its own.</summary>
public sealed class SharedCluster : IAsyncLifetime
{
    private LiveCluster? _cluster;

    public LiveCluster Cluster => _cluster!;

    public async ValueTask InitializeAsync() => _cluster = await LiveCluster.StartAsync(CancellationToken.None);

    public ValueTask DisposeAsync() => _cluster!.DisposeAsync();
}
