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
/// A hub of one and the regions eu and us in this process: real silos, sockets, disks and Raft, on ports and in a directory of
/// their own.
/// </summary>
public sealed class LiveCluster : IAsyncDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly Dictionary<string, NodeSettings> _settings = [];
    private readonly Dictionary<string, NodeHost> _running = [];

    private LiveCluster()
    {
        var hub = Settings("hub", NodeRole.Hub);
        _settings.Add("hub", hub with { HubMembers = [new(hub.NodeId, new(IPAddress.Loopback, HubMembers.FreePort()))] });
        foreach (var region in new[] { "eu", "us" })
        {
            _settings.Add(region, Settings(region, NodeRole.Replica) with { Upstreams = [hub.GatewayText] });
        }
    }

    public static async Task<LiveCluster> StartAsync(CancellationToken stop)
    {
        var cluster = new LiveCluster();
        foreach (var region in cluster._settings.Keys)
        {
            await cluster.StartAsync(region, stop);
        }

        await Eventually.TrueAsync(() => !cluster["hub"].Status.Cluster.IsNone, "a formed cluster", stop);
        return cluster;
    }

    private NodeSettings Settings(string region, NodeRole role) => new()
    {
        Role = role,
        NodeId = NodeId.Parse($"{region}-0"),
        Region = RegionName.Parse(region),
        DataDirectory = _directory.Sub(region),
        Ports = new(HubMembers.FreePort(), HubMembers.FreePort(), HubMembers.FreePort()),
    };

    public NodeHost this[string region] => _running[region];

    public string Gateway(string region) => _settings[region].GatewayText;

    public int HttpPort(string region) => _settings[region].Ports.Http;

    public async Task StartAsync(string region, CancellationToken stop) =>
        _running[region] = await NodeHost.StartAsync(_settings[region], TimeProvider.System, logging => logging.SetMinimumLevel(LogLevel.None), stop);

    public async Task StopAsync(string region)
    {
        await _running[region].DisposeAsync();
        _running.Remove(region);
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

    /// <summary>Waits until the region has what the hub has.</summary>
    public Task LevelAsync(string region, CancellationToken stop) => Eventually.TrueAsync(
        () => _running[region].Status.Position == _running["hub"].Status.Position, $"{region} level with the hub", stop);

    public async ValueTask DisposeAsync()
    {
        foreach (var node in _running.Values.Reverse())
        {
            await node.DisposeAsync();
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
