using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Load;
using Quicksilver.Local;
using Quicksilver.Model;

namespace Quicksilver.Peers;

/// <summary>A hub of three as processes of their own, without regions. Asked through its leader or through any member.</summary>
internal sealed class QuicksilverPeer(TimeProvider time) : IPeer
{
    private const string Keyspace = "peers";
    private const string Merged = "leader, merged";
    private const string Single = "leader, one call each";
    private const string Any = "any member, merged";

    private readonly Dictionary<string, List<QuicksilverClient>> _clients = [];
    private LocalCluster? _cluster;

    public IReadOnlyList<string> Ways { get; } = [Merged, Single, Any];

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        _cluster = LocalCluster.Create(new() { Hubs = 3, Regions = [], Data = directory, BasePort = 21_000 }, time);
        foreach (var hub in _cluster.Hubs)
        {
            _cluster.Start(hub);
        }

        await _cluster.ReadyAsync(_cluster.Hubs, TimeSpan.FromSeconds(60), stop);
        var inspector = new ClusterInspector([.. _cluster.Layout.Nodes.Select(node => node.Gateway)], time, NullLoggerFactory.Instance);
        var leader = (await inspector.StatusAsync(stop)).Nodes.First(node => node.RaftRole == Contracts.RaftRole.Leader).Node.Value;
        var gateway = _cluster[leader].Gateway;
        _clients.Add(Merged, [Connect(gateway, merges: true)]);
        _clients.Add(Single, [Connect(gateway, merges: false)]);
        _clients.Add(Any, [.. _cluster.Layout.Nodes.Select(node => Connect(node.Gateway, merges: true))]);
        await _clients[Merged][0].Catalog.CreateAsync(Keyspace, cancellation: stop);
    }

    private QuicksilverClient Connect(string gateway, bool merges)
    {
        var options = new QuicksilverClientOptions { MergeCommits = merges };
        options.Gateways.Add(gateway);
        return new(options, time, NullLoggerFactory.Instance);
    }

    public Operation Put(string way)
    {
        var keyspaces = _clients[way].ConvertAll(client => client.Keyspace(Keyspace));
        return async (random, _) =>
        {
            await keyspaces[random.Next(keyspaces.Count)].PutAsync(Key.From(Sizes.Key(random)), Sizes.Value(random), cancellation: CancellationToken.None);
            return "put";
        };
    }

    public Operation Transaction(string way)
    {
        var keyspaces = _clients[way].ConvertAll(client => client.Keyspace(Keyspace));
        return async (random, _) =>
        {
            var mutations = Sizes.DistinctKeys(random).Select(key => Mutation.Put(Key.From(key), Sizes.Value(random))).ToList();
            await keyspaces[random.Next(keyspaces.Count)].CommitAsync([], mutations, cancellation: CancellationToken.None);
            return "transaction";
        };
    }

    public long LargestResidentBytes() => _cluster!.Layout.Nodes.Max(node => Sizes.ResidentBytes(node.Pid));

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients.Values.SelectMany(clients => clients))
        {
            await client.DisposeAsync();
        }

        foreach (var hub in _cluster?.Hubs ?? [])
        {
            await _cluster!.KillAsync(hub, CancellationToken.None);
        }
    }
}
