using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Quicksilver.Contracts;
using Quicksilver.Grains;
using Quicksilver.Replication;
using Quicksilver.Storage;

namespace Quicksilver.Hosting;

/// <summary>
/// What a replica in an application's process is made of: the engines of a replica, and what answers the application, without the silo around them
/// (<see cref="NodeEngines"/> has that). Nobody pulls from it. Made in the order in which it can be used, and closed in reverse.
/// </summary>
internal sealed class ReplicaEngines : IAsyncDisposable
{
    private readonly CancellationTokenSource _stopping = new();
    private readonly DataDirectory _directory;
    private readonly UpstreamLink _link;
    private readonly Replicator _replicator;
    private readonly Retainer _retainer;
    private readonly Scrubber _scrubber;
    private readonly NodeInstruments _instruments;

    private ReplicaEngines(NodeSettings settings, DataDirectory directory, NodeStore store, TimeProvider time, ILoggerFactory loggers)
    {
        _directory = directory;
        Store = store;
        var clock = new ReplicaLogClock(store, time);

        // Without a gateway: nobody reaches this process as a node.
        const string Gateway = "";
        Node = new(settings.NodeId, settings.Role, settings.Region, Gateway, settings.Upstreams, store, clock);
        _link = new(
            settings.NodeId, new() { Gateways = settings.Upstreams }, () => settings.Upstreams, () => store.Progress.Cluster, settings.Sources,
            new(RandomNumberGenerator.GetInt32(int.MaxValue)), time, loggers);
        _replicator = new(
            new(settings.NodeId, settings.Region, Gateway), store, _link, clock, new(),
            new(RandomNumberGenerator.GetInt32(int.MaxValue)), time, loggers.CreateLogger<Replicator>(), settings.Keyspaces);
        _retainer = new(store, static () => [], settings.Retention, time, loggers.CreateLogger<Retainer>());
        _scrubber = new(store, settings.Scrub, (e, again) => _replicator.Heal(e.Message, again), time, loggers.CreateLogger<Scrubber>());
        Monitor = new(Node, null, null, _replicator, _link, clock, directory.Path, settings.MaxLag, settings.ServeWhenDiverged, _scrubber, time);
        _instruments = new(Node, Monitor, null, _replicator, _link, null, _scrubber);

        var paths = new RegionPaths(Node, _link);
        Reads = new(Node, paths, new() { Withheld = () => Withheld }, time);
        Calls = new(Node, Reads, new(Node, Reads, new() { Stopping = _stopping.Token }, time), new(Node, paths));
    }

    public NodeContext Node { get; }

    public NodeStore Store { get; }

    public NodeMonitor Monitor { get; }

    /// <summary>Chooses the View of a read.</summary>
    public ReadGate Reads { get; }

    /// <summary>Answers the SDK.</summary>
    public NodeCalls Calls { get; }

    /// <summary>
    /// Why nothing is to be read from this replica, or null. One that has no data yet says so, where a region says that there is no such keyspace: its
    /// application cannot be kept from asking by a load balancer.
    /// </summary>
    public string? Withheld => Monitor.Withheld ?? (Store.Progress.Cluster.IsNone && Node.Clock.Age is null
        ? "the replica has no data yet, and takes it from its upstream as soon as that answers"
        : null);

    /// <summary>Takes the directory, opens the store and begins to pull. Throws <see cref="StorageException"/>; nothing is left running or locked then.</summary>
    public static async Task<ReplicaEngines> StartAsync(NodeSettings settings, TimeProvider time, ILoggerFactory loggers)
    {
        var directory = DataDirectory.Take(settings.DataDirectory);
        NodeStore? store = null;
        ReplicaEngines? engines = null;
        try
        {
            store = NodeStore.Open(directory, new()
            {
                Node = settings.NodeId, BlockCacheBytes = settings.BlockCacheBytes, MaxWaiters = settings.MaxWaiters,
            });
            engines = new(settings, directory, store, time, loggers);
            engines.Start();
            return engines;
        }
        catch
        {
            if (engines is not null)
            {
                await engines.DisposeAsync().ConfigureAwait(false);
            }
            else
            {
                store?.Dispose();
                directory.Dispose();
            }

            throw;
        }
    }

    private void Start()
    {
        // The scrub comes behind it: what is let go, or was left of something else, is no damage.
        _replicator.Start();
        _retainer.Start();
        _scrubber.Start();
        _link.Start();
    }

    /// <summary>Stops pulling, and ends what waits for a change. Reads and writes go on.</summary>
    public async Task StopPullingAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        await _replicator.StopAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        _instruments.Dispose();
        await _stopping.CancelAsync().ConfigureAwait(false);
        await _scrubber.DisposeAsync().ConfigureAwait(false);
        await _retainer.DisposeAsync().ConfigureAwait(false);
        try
        {
            await _replicator.DisposeAsync().ConfigureAwait(false);
            await _link.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            // Whoever still has a View of the store may read it to the end.
            Store.Dispose();
            _directory.Dispose();
            _stopping.Dispose();
        }
    }
}
