using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Load;
using Quicksilver.Local;
using Quicksilver.Model;

namespace Quicksilver.Peers.Reads;

/// <summary>A hub of one and a region, processes of their own with default settings; session reads at the region's gateway.</summary>
internal sealed class QuicksilverReader(ReadKeys keys, TimeProvider time) : IReadPeer
{
    private const string Keyspace = "reads";

    private Key[] _keys = [];
    private LocalCluster? _cluster;
    private QuicksilverClient? _hub;
    private QuicksilverClient? _region;

    public string Way => "session GetAsync and GetManyAsync at the gateway of a region, one client with default options";

    public IReadOnlyList<int> Processes => [.. _cluster!.Layout.Nodes.Select(node => node.Pid)];

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        _cluster = LocalCluster.Create(new() { Hubs = 1, Regions = ["eu"], Data = directory, BasePort = 21_000 }, time);
        foreach (var node in _cluster.Layout.Nodes)
        {
            _cluster.Start(node.Node);
        }

        await _cluster.ReadyAsync(_cluster.Layout.Nodes.Select(node => node.Node), TimeSpan.FromSeconds(60), stop);
        _hub = Connect(_cluster["hub-0"].Gateway, new() { Deadline = TimeSpan.FromMinutes(1) });
        _region = Connect(_cluster["eu-0"].Gateway, new());
        await _hub.Catalog.CreateAsync(Keyspace, cancellation: stop);
        _keys = Array.ConvertAll(keys.All, key => Key.From(key));
        var keyspace = _hub.Keyspace(Keyspace);
        await keys.FillAsync(
            callers: 16,
            async (first, values, cancellation) =>
            {
                var mutations = new Mutation[values.Length];
                for (var i = 0; i < mutations.Length; i++)
                {
                    mutations[i] = Mutation.Put(_keys[first + i], values[i]);
                }

                var result = await keyspace.CommitAsync([], mutations, cancellation: cancellation);
                if (result.Status != CommitStatus.Committed)
                {
                    throw new InvalidOperationException($"A transaction ended as {result.Status}.");
                }
            },
            stop);
        await SeeAllAsync(_region, _hub.Session, stop);
    }

    private QuicksilverClient Connect(string gateway, QuicksilverClientOptions options)
    {
        options.Gateways.Add(gateway);
        return new(options, time, NullLoggerFactory.Instance);
    }

    /// <summary>From now on the session of the reads has seen what was put; the first of them waits until the region has it.</summary>
    private async Task SeeAllAsync(QuicksilverClient region, SessionToken? put, CancellationToken stop)
    {
        region.Session = put;
        for (var tries = 0; ; tries++)
        {
            try
            {
                await region.Keyspace(Keyspace).GetAsync(_keys[^1], cancellation: stop);
                return;
            }
            catch (QuicksilverException) when (tries < 30)
            {
                // Not within the deadline of one read.
                await Task.Delay(TimeSpan.FromMilliseconds(100), time, stop);
            }
        }
    }

    public Operation Get(Func<Random, int> choose)
    {
        var keyspace = _region!.Keyspace(Keyspace);
        return async (random, _) =>
        {
            var entry = await keyspace.GetAsync(_keys[choose(random)]);
            return entry?.Value.Length == Sizes.ValueBytes ? "get" : throw ReadKeys.Wrong(entry?.Value.Length);
        };
    }

    public Operation? GetMany(Func<Random, int> choose)
    {
        var keyspace = _region!.Keyspace(Keyspace);
        return async (random, _) =>
        {
            var wanted = new Key[ReadKeys.PerCall];
            for (var i = 0; i < wanted.Length; i++)
            {
                wanted[i] = _keys[choose(random)];
            }

            var entries = await keyspace.GetManyAsync(wanted);
            for (var i = 0; i < entries.Count; i++)
            {
                if (entries[i]?.Value.Length != Sizes.ValueBytes)
                {
                    throw ReadKeys.Wrong(entries[i]?.Value.Length);
                }
            }

            return entries.Count == wanted.Length ? "multi-get" : throw new InvalidOperationException($"A multi-get ended with {entries.Count} entries.");
        };
    }

    public Operation? Put(Func<Random, int> choose)
    {
        var keyspace = _hub!.Keyspace(Keyspace);
        return async (random, _) =>
        {
            var result = await keyspace.PutAsync(_keys[choose(random)], Sizes.Value(random));
            return result.Status == CommitStatus.Committed ? "put" : throw new InvalidOperationException($"A put ended as {result.Status}.");
        };
    }

    public async ValueTask DisposeAsync()
    {
        await (_region?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (_hub?.DisposeAsync() ?? ValueTask.CompletedTask);
        foreach (var node in _cluster?.Layout.Nodes ?? [])
        {
            await _cluster!.KillAsync(node.Node, CancellationToken.None);
        }
    }
}
