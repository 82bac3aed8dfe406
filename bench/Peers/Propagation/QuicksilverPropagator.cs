using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Local;
using Quicksilver.Model;

namespace Quicksilver.Peers.Propagation;

/// <summary>A hub of three and a region, processes of their own; put through the leader, a read that waits at the region.</summary>
internal sealed class QuicksilverPropagator(TimeProvider time) : IPropagator
{
    private LocalCluster? _cluster;
    private QuicksilverClient? _hub;
    private QuicksilverClient? _region;

    public string Way => "put at the leader, read that waits at a region";

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        _cluster = LocalCluster.Create(new() { Hubs = 3, Regions = ["eu"], Data = directory, BasePort = 21_000 }, time);
        foreach (var node in _cluster.Layout.Nodes)
        {
            _cluster.Start(node.Node);
        }

        await _cluster.ReadyAsync(_cluster.Layout.Nodes.Select(node => node.Node), TimeSpan.FromSeconds(60), stop);
        var inspector = new ClusterInspector([.. _cluster.Layout.Nodes.Select(node => node.Gateway)], time, NullLoggerFactory.Instance);
        var leader = (await inspector.StatusAsync(stop)).Nodes.First(node => node.RaftRole == Contracts.RaftRole.Leader).Node.Value;
        _hub = Connect(_cluster[leader].Gateway);
        _region = Connect(_cluster["eu-0"].Gateway);
        await _hub.Catalog.CreateAsync("p", cancellation: stop);
        await _region.Keyspace("p").GetAsync("none", ReadOptions.AtLeast(_hub.Session!.Value.Position), stop);
    }

    private QuicksilverClient Connect(string gateway)
    {
        var options = new QuicksilverClientOptions();
        options.Gateways.Add(gateway);
        return new(options, time, NullLoggerFactory.Instance);
    }

    public async Task<(TimeSpan Acknowledged, TimeSpan Visible)> PutAsync(string key, byte[] value, CancellationToken stop)
    {
        // Nobody else writes: the next revision is this put's.
        var position = _hub!.Session!.Value.Position;
        var seen = ReadAsync(key, position with { Revision = position.Revision.Next }, stop);
        await Task.Delay(TimeSpan.FromMilliseconds(3), time, stop);
        var sent = time.GetTimestamp();
        await _hub.Keyspace("p").PutAsync(key, value, cancellation: stop);
        var acknowledged = time.GetElapsedTime(sent);
        return (acknowledged, time.GetElapsedTime(sent, await seen));
    }

    private async Task<long> ReadAsync(string key, LogPosition position, CancellationToken stop)
    {
        var entry = await _region!.Keyspace("p").GetAsync(key, ReadOptions.AtLeast(position), stop);
        return entry is null ? throw new InvalidOperationException($"The region does not show {key}.") : time.GetTimestamp();
    }

    public async ValueTask DisposeAsync()
    {
        await (_hub?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (_region?.DisposeAsync() ?? ValueTask.CompletedTask);
        foreach (var node in _cluster?.Layout.Nodes ?? [])
        {
            await _cluster!.KillAsync(node.Node, CancellationToken.None);
        }
    }
}
