using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a node sends to its own children and to nobody else, however many there are below them, and all end equal. Method: a hub, three nodes
/// that pull from it and twelve that pull from those, with real stores and sources in one process, under a writer.
/// </summary>
public sealed class TreeTests : IAsyncDisposable
{
    private const int Intermediates = 3;
    private const int LeavesOfEach = 4;

    private static readonly PullOptions Options = new() { MaxWait = TimeSpan.FromMilliseconds(200) };

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly LogSource _source;
    private readonly List<Node> _nodes = [];

    public TreeTests()
    {
        _hub = new(_directory.Sub("hub"));
        _source = new(NodeId.Parse("hub-0"), _hub.Store, new HubLogClock(_hub.Store, () => true, TimeProvider.System), new(), TimeProvider.System);
    }

    private sealed class Node : IAsyncDisposable
    {
        private readonly Replicator _replicator;

        public Node(string path, string name, ILogSource upstream, int seed)
        {
            Replica = new(path, name);
            var clock = new ReplicaLogClock(Replica.Store, TimeProvider.System);
            _replicator = new(
                new(NodeId.Parse(name), RegionName.Parse("eu"), $"{name}:1"), Replica.Store, new Upstream(upstream), clock, Options, new Random(seed),
                TimeProvider.System, NullLogger<Replicator>.Instance);
            Source = new(NodeId.Parse(name), Replica.Store, clock, new(), TimeProvider.System, () => _replicator.Path);
            _replicator.Start();
        }

        public ReplicaStore Replica { get; }

        public LogSource Source { get; }

        public NodeId[] Path => _replicator.Path;

        public ReplicationStatus Status => _replicator.Status;

        public async ValueTask DisposeAsync()
        {
            Source.Stop();
            await _replicator.DisposeAsync();
            Source.Dispose();
            Replica.Dispose();
        }
    }

    private sealed class Upstream(ILogSource source) : IUpstream
    {
        private int _connections;

        public int Others => 0;

        public async ValueTask<UpstreamConnection> ConnectAsync(CancellationToken cancellation)
        {
            if (Interlocked.Increment(ref _connections) > 1)
            {
                await Task.Delay(Timeout.Infinite, cancellation);
            }

            return new(source, null!, (await source.DescribeAsync(cancellation)).Node, "tree", CancellationToken.None);
        }

        public void Leave(UpstreamConnection connection, SourceFault fault, string why) => Assert.Fail(why);

        public void Heard(UpstreamConnection connection, TimeSpan? age, Revision revision)
        {
        }
    }

    private Node Add(string name, ILogSource upstream)
    {
        var node = new Node(_directory.Sub(name), name, upstream, _nodes.Count);
        _nodes.Add(node);
        return node;
    }

    [Fact]
    public async Task A_hub_with_three_children_and_twelve_below_them_sends_each_record_three_times()
    {
        for (var i = 0; i < Intermediates; i++)
        {
            var middle = Add($"m-{i}", _source);
            for (var leaf = 0; leaf < LeavesOfEach; leaf++)
            {
                Add($"leaf-{i}-{leaf}", middle.Source);
            }
        }

        var random = new Random(3);
        for (var i = 0; i < 1_500; i++)
        {
            _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, $"k{random.Next(300)}", new('v', random.Next(300))));
            if (i % 50 == 0)
            {
                await Task.Yield();
            }
        }

        await Eventually.TrueAsync(() => _nodes.TrueForAll(node => node.Replica.Store.Progress.Position == _hub.Store.Progress.Position), "all nodes level", Stop);
        var expected = _hub.Hashes();
        Assert.All(_nodes, node => Assert.Equal(expected, node.Replica.Hashes()));

        // A record and its length in front.
        var records = _hub.Records();
        long bytes = Pages.Pack(records).Length;
        Assert.Equal(Intermediates * bytes, _source.Bytes.Raw);
        Assert.Equal(Intermediates, _source.Children.Count);
        Assert.All(_nodes.Where(node => node.Path.Length == 1), node => Assert.Equal(LeavesOfEach * bytes, node.Source.Bytes.Raw));
        Assert.Equal(Intermediates * LeavesOfEach, _nodes.Count(node => string.Join('>', node.Path).EndsWith(">hub-0", StringComparison.Ordinal)));
        Assert.All(_nodes, node => Assert.Equal((1, 0), (node.Status.Sessions, node.Status.RefusedPages)));
    }

    public async ValueTask DisposeAsync()
    {
        _source.Stop();
        foreach (var node in _nodes)
        {
            await node.DisposeAsync();
        }

        _source.Dispose();
        _hub.Dispose();
        _directory.Dispose();
    }
}
