using System.Security.Cryptography;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Grains;
using Quicksilver.Replication;
using Quicksilver.Sequencing;
using Quicksilver.Storage;

namespace Quicksilver.Hosting;

/// <summary>
/// What works below the silo of a node: directory, store, log source, and either the hub's engine or the replicator with its
/// link. Made in one place, in the order in which it can be used, and closed in reverse.
/// </summary>
internal sealed partial class NodeEngines : IAsyncDisposable
{
    private readonly TaskCompletionSource<Exception> _never = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly DataDirectory _directory;
    private readonly NodeStore _store;
    private readonly NodeContext _node;
    private readonly LogSource _source;
    private readonly SnapshotSource _snapshots;
    private readonly Retainer _retainer;
    private readonly Scrubber _scrubber;
    private readonly PinnedViews _pins;
    private readonly HubEngine? _hub;
    private readonly bool _isShared;
    private readonly RegionNeighbours? _neighbours;
    private readonly UpstreamLink? _link;
    private readonly Replicator? _replicator;
    private readonly NodeInstruments _instruments;

    private readonly HubPeers? _peers;

    /// <param name="hub">The hub's engine, running; null on a replica.</param>
    /// <param name="peers">What the engine asks the rest of the hub by; null where there is none.</param>
    private NodeEngines(
        NodeSettings settings, DataDirectory directory, NodeStore store, HubEngine? hub, HubPeers? peers, TimeProvider time, ILoggerFactory loggers)
    {
        _peers = peers;
        _directory = directory;
        _store = store;
        _hub = hub;
        _isShared = settings.Membership is not null;
        var replicaClock = hub is null ? new ReplicaLogClock(store, time) : null;
        ILogClock clock = replicaClock is not null ? replicaClock : _hub!.Clock;
        _node = new(settings.NodeId, settings.Role, settings.Region, settings.GatewayText, settings.Upstreams, store, clock);
        _source = new(settings.NodeId, store, clock, new(), time, () => _replicator?.Path ?? []);
        _snapshots = new(settings.NodeId, store, hub is null ? null : hub.Raft.TermOf, new(), time);
        _pins = new(store, time);
        _retainer = new(store, FindHolds, RetentionOf(settings), time, loggers.CreateLogger<Retainer>());
        if (replicaClock is not null)
        {
            _neighbours = new(settings.NodeId, time, loggers.CreateLogger<RegionNeighbours>());
            _link = new(
                settings.NodeId, new() { Gateways = settings.Upstreams },
                () => RegionOrder.Of(settings.NodeId, _neighbours.Current, settings.Upstreams, settings.Relays, store.Progress.Cluster.IsNone), () => store.Progress.Cluster, settings.Sources,
                new(RandomNumberGenerator.GetInt32(int.MaxValue)), time, loggers);
            _replicator = new(
                new(settings.NodeId, settings.Region, settings.GatewayText), store, _link, replicaClock, new(),
                new(RandomNumberGenerator.GetInt32(int.MaxValue)), time, loggers.CreateLogger<Replicator>(), settings.Keyspaces);
        }

        // A replica takes a copy while it serves what is whole. A hub member says so, and somebody repairs it.
        _scrubber = new(store, settings.Scrub, (e, again) => _replicator?.Heal(e.Message, again), time, loggers.CreateLogger<Scrubber>());
        Monitor = new(_node, _source, _hub, _replicator, _link, replicaClock, directory.Path, settings.MaxLag, settings.ServeWhenDiverged, _scrubber, time);
        _instruments = new(_node, Monitor, _hub, _replicator, _link, _source, _scrubber);
    }

    public NodeMonitor Monitor { get; }

    private static RetentionOptions RetentionOf(NodeSettings settings) => settings.Role == NodeRole.Hub
        ? settings.Retention with { OperationsCount = OperationWindow.Default.MaxCount, OperationsAge = OperationWindow.Default.MaxAge }
        : settings.Retention;

    /// <summary>What children still need of the change log. One that pulls has what it copied before.</summary>
    private List<RetentionHold> FindHolds()
    {
        var holds = _source.Children.Select(child => new RetentionHold(child.Node, child.Applied.Next)).ToList();
        holds.AddRange(_snapshots.Holds.Where(copying => !holds.Exists(pulling => pulling.Child == copying.Child)));
        return holds;
    }

    /// <summary>
    /// Completes with the first failure after which the node must stop. A replica has none: it stops applying and goes on
    /// serving what it has.
    /// </summary>
    public Task<Exception> Fault => _hub?.Fault ?? _never.Task;

    /// <summary>Takes the directory, opens the store, and lets a hub member take part in Raft.</summary>
    public static async Task<NodeEngines> OpenAsync(NodeSettings settings, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var directory = DataDirectory.Take(settings.DataDirectory);
        HubPeers? peers = null;
        NodeStore? store = null;
        HubEngine? hub = null;
        try
        {
            if (settings is { Role: NodeRole.Hub, Membership: { } membership })
            {
                peers = new(settings, directory, membership, time, loggers);
            }

            (store, hub) = settings.Role == NodeRole.Hub
                ? await OpenHubAsync(settings, directory, peers, time, loggers, cancellation)
                : (OpenStore(settings, directory), null);
            return new(settings, directory, store, hub, peers, time, loggers);
        }
        catch
        {
            await (hub?.DisposeAsync() ?? ValueTask.CompletedTask);
            await (peers?.DisposeAsync() ?? ValueTask.CompletedTask);
            store?.Dispose();
            directory.Dispose();
            throw;
        }
    }

    private static NodeStore OpenStore(NodeSettings settings, DataDirectory directory) => NodeStore.Open(directory, new()
    {
        Node = settings.NodeId, BlockCacheBytes = settings.BlockCacheBytes, HotRows = settings.HotRows, MaxWaiters = settings.MaxWaiters,
    });

    /// <summary>
    /// A node that was taken out of the hub has data that counts no more, whether it can be read or not: it is set aside, and the node
    /// joins with nothing. Damage alone is no reason: only the hub's word that the node has no vote.
    /// </summary>
    private static async Task<(NodeStore Store, HubEngine Hub)> OpenHubAsync(
        NodeSettings settings, DataDirectory directory, HubPeers? peers, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation)
    {
        for (var again = true; ; again = false)
        {
            NodeStore? store = null;
            try
            {
                store = OpenStore(settings, directory);
                var hub = await HubEngine.OpenAsync(
                    store,
                    new() { Self = settings.NodeId, Members = settings.HubMembers, LogDirectory = directory.RaftPath, Log = settings.RaftLog },
                    peers,
                    new() { MaxQueuedCommands = settings.MaxQueuedCommands },
                    time, RandomBits, loggers, cancellation);
                File.Delete(directory.JoiningMark);
                return (store, hub);
            }
            catch (Exception e) when (again && e is MemberRemovedException or NeedsRepairException or StorageException { Fault: StorageFault.Corrupt })
            {
                var own = store?.Progress.Cluster ?? default;
                store?.Dispose();
                if (e is not MemberRemovedException && (peers is null || await peers.AskAsync(cancellation) is not { IsMember: false } word || !word.IsOf(own)))
                {
                    throw;
                }

                LogSetAside(loggers.CreateLogger<NodeEngines>(), e.Message, directory.SetAside(time.GetUtcNow()) ?? "nowhere: it was only the beginning of a copy");
            }
            catch
            {
                store?.Dispose();
                throw;
            }
        }
    }

    /// <summary>Hands the engines to the grains of the silo.</summary>
    public void AddTo(IServiceCollection services)
    {
        // Instances, not factories: the container must not dispose what is closed here, in order.
        services.AddSingleton(_node);
        services.AddSingleton(_source);
        services.AddSingleton(_snapshots);
        services.AddSingleton(_pins);
        services.AddSingleton<INodeMonitor>(Monitor);
        services.AddSingleton(new HubAccess(_hub?.Sequencer, _hub) { IsShared = _isShared });
        services.AddSingleton(new ReadGateOptions { Withheld = () => Monitor.Withheld });
        services.AddSingleton<MemberChanges>();
        services.AddSingleton<ReadGate>();
        services.AddSingleton(new WatchesOptions { Stopping = _stopping.Token });
        services.AddSingleton<Watches>();
        services.AddSingleton<CommitGate>();
        services.AddSingleton<NodeCalls>();
        if (_hub is { } hub)
        {
            services.AddSingleton<ISequencer>(hub.Sequencer);
            services.AddSingleton<HubPaths>();
            services.AddSingleton<ICommitPath>(provider => provider.GetRequiredService<HubPaths>());
            services.AddSingleton<IHubReads>(provider => provider.GetRequiredService<HubPaths>());
        }
        else
        {
            var paths = new RegionPaths(_node, _link!);
            services.AddSingleton<ICommitPath>(paths);
            services.AddSingleton<IHubReads>(paths);
        }
    }

    /// <summary>Begins to cut the log; a replica begins to pull.</summary>
    /// <param name="membership">The table of this node's cluster; null where the node is alone in it.</param>
    public async Task StartWorkAsync(IMembershipTable? membership)
    {
        if (_neighbours is not null && membership is not null)
        {
            await _neighbours.StartAsync(membership);
        }

        // The scrub comes behind it: what is let go, or was left of something else, is no damage.
        _replicator?.Start();
        _retainer.Start();
        _scrubber.Start();
        _link?.Start();
    }

    /// <summary>Hub: no new commands from here on; what was taken is finished, and another member leads. Replica: stops pulling.</summary>
    public async Task StopTakingAsync(CancellationToken cancellation)
    {
        _source.Stop();
        await _stopping.CancelAsync();
        if (_hub is not null)
        {
            await _hub.StopAsync(cancellation);
        }

        if (_replicator is not null)
        {
            await _replicator.StopAsync();
        }
    }

    private static ulong RandomBits()
    {
        Span<byte> bytes = stackalloc byte[8];
        RandomNumberGenerator.Fill(bytes);
        return BitConverter.ToUInt64(bytes);
    }

    public async ValueTask DisposeAsync()
    {
        _instruments.Dispose();
        await _stopping.CancelAsync();
        _stopping.Dispose();
        await _scrubber.DisposeAsync();
        await _retainer.DisposeAsync();
        try
        {
            if (_replicator is not null)
            {
                await _replicator.DisposeAsync();
            }

            if (_link is not null)
            {
                await _link.DisposeAsync();
            }

            if (_neighbours is not null)
            {
                await _neighbours.DisposeAsync();
            }

            if (_hub is not null)
            {
                await _hub.DisposeAsync();
            }

            if (_peers is not null)
            {
                await _peers.DisposeAsync();
            }
        }
        finally
        {
            _source.Dispose();
            _snapshots.Dispose();
            _pins.Dispose();
            _store.Dispose();
            _directory.Dispose();
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "{Why} The hub says that this node has no vote: its data is set aside ({Path}), and it joins with nothing where it is invited. Delete it when the hub is in order.")]
    private static partial void LogSetAside(ILogger logger, string why, string path);
}
