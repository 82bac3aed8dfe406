using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Hosting;
using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Storage;

namespace Quicksilver.Copies;

/// <summary>
/// Many new regions in one process: each with its own link, replicator and store, and without a silo around them. So that what the source feels
/// of their copies can be told from what so many processes on one machine do to it.
/// </summary>
internal sealed class Leaves(string gateway, int count, string directory, TimeProvider time)
{
    /// <summary>Opens the stores, links to the source and says "ready"; begins to copy at the next line of input, and says "level" when all are.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        var leaves = Enumerable.Range(0, count).Select(i => new Leaf(gateway, i, Path.Combine(directory, $"{i}"), time)).ToList();
        leaves.ForEach(leaf => leaf.Link());
        while (!leaves.TrueForAll(leaf => leaf.IsLinked))
        {
            await Task.Delay(200, stop);
        }

        Console.WriteLine("ready");
        await Console.In.ReadLineAsync(stop);
        leaves.ForEach(leaf => leaf.Start());
        while (!leaves.TrueForAll(leaf => leaf.HasCopy))
        {
            await Task.Delay(200, stop);
        }

        Console.WriteLine("level");
        await Console.In.ReadLineAsync(stop);
        foreach (var leaf in leaves)
        {
            await leaf.DisposeAsync();
        }
    }

    private sealed class Leaf : IAsyncDisposable
    {
        private readonly DataDirectory _directory;
        private readonly NodeStore _store;
        private readonly UpstreamLink _link;
        private readonly Replicator _replicator;

        public Leaf(string gateway, int number, string path, TimeProvider time)
        {
            var (node, region) = (NodeId.Parse(string.Create(CultureInfo.InvariantCulture, $"l{number}-0")), RegionName.Parse(string.Create(CultureInfo.InvariantCulture, $"l{number}")));
            _directory = DataDirectory.Take(path);
            _store = NodeStore.Open(_directory, new() { Node = node, BlockCacheBytes = 8 << 20 });
            _link = new(node, new() { Gateways = [gateway] }, () => [gateway], () => _store.Progress.Cluster, new(), new(number), time, NullLoggerFactory.Instance);
            _replicator = new(
                new(node, region, gateway), _store, _link, new ReplicaLogClock(_store, time), new(), new(number), time, NullLogger<Replicator>.Instance);
        }

        public bool HasCopy => _store.Progress.FullCopies > 0;

        public bool IsLinked => _link.Session is not null;

        public void Link() => _link.Start();

        public void Start() => _replicator.Start();

        public async ValueTask DisposeAsync()
        {
            await _replicator.DisposeAsync();
            await _link.DisposeAsync();
            _store.Dispose();
            _directory.Dispose();
        }
    }
}
