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
internal sealed class NodeEngines : IAsyncDisposable
{
    private readonly TaskCompletionSource<Exception> _never = new();
    private readonly DataDirectory _directory;
    private readonly NodeStore _store;
    private readonly NodeContext _node;
    private readonly LogSource _source;
    private readonly PinnedViews _pins;
    private readonly HubEngine? _hub;
    private readonly UpstreamLink? _link;
    private readonly Replicator? _replicator;
    private readonly NodeInstruments _instruments;

    private NodeEngines(NodeSettings settings, DataDirectory directory, NodeStore store, TimeProvider time, ILoggerFactory loggers)
    {
        _directory = directory;
        _store = store;
        var replicaClock = settings.Role == NodeRole.Replica ? new ReplicaLogClock(store, time) : null;
        if (replicaClock is null)
        {
            _hub = new(
                store,
                new() { Self = settings.NodeId, Members = settings.HubMembers, LogDirectory = directory.RaftPath },
                new() { MaxQueuedCommands = settings.MaxQueuedCommands },
                time, RandomBits, loggers);
        }

        ILogClock clock = replicaClock is not null ? replicaClock : _hub!.Clock;
        _node = new(settings.NodeId, settings.Role, settings.Region, settings.GatewayText, settings.Upstreams, store, clock);
        _source = new(settings.NodeId, store, clock, new(), time);
        _pins = new(store, time);
        if (replicaClock is not null)
        {
            _link = new(new() { Gateways = settings.Upstreams }, time, loggers);
            _replicator = new(
                new(settings.NodeId, settings.Region, settings.GatewayText), store, _link, replicaClock, new(),
                new(RandomNumberGenerator.GetInt32(int.MaxValue)), time, loggers.CreateLogger<Replicator>());
        }

        Monitor = new(_node, _source, _hub?.Sequencer, _replicator, replicaClock);
        _instruments = new(_node, Monitor, _hub, _replicator, _source);
    }

    public NodeMonitor Monitor { get; }

    /// <summary>
    /// Completes with the first failure after which the node must stop. A replica has none: it stops applying and goes on
    /// serving what it has.
    /// </summary>
    public Task<Exception> Fault => _hub?.Fault ?? _never.Task;

    /// <summary>Takes the directory, opens the store, and lets a hub member take part in Raft.</summary>
    public static async Task<NodeEngines> OpenAsync(NodeSettings settings, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var directory = DataDirectory.Take(settings.DataDirectory);
        NodeStore? store = null;
        NodeEngines? engines = null;
        try
        {
            store = NodeStore.Open(directory, new()
            {
                Node = settings.NodeId, BlockCacheBytes = settings.BlockCacheBytes, MaxWaiters = settings.MaxWaiters,
            });
            engines = new(settings, directory, store, time, loggers);
            if (engines._hub is { } hub)
            {
                await hub.StartAsync(cancellation);
            }

            return engines;
        }
        catch
        {
            if (engines is not null)
            {
                await engines.DisposeAsync();
            }
            else
            {
                store?.Dispose();
                directory.Dispose();
            }

            throw;
        }
    }

    /// <summary>Hands the engines to the grains of the silo.</summary>
    public void AddTo(IServiceCollection services)
    {
        // Instances, not factories: the container must not dispose what is closed here, in order.
        services.AddSingleton(_node);
        services.AddSingleton(_source);
        services.AddSingleton(_pins);
        services.AddSingleton<INodeMonitor>(Monitor);
        services.AddSingleton(new HubAccess(_hub?.Sequencer));
        services.AddSingleton(new ReadGateOptions());
        services.AddSingleton<ReadGate>();
        services.AddSingleton<CommitGate>();
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

    /// <summary>Replica: begins to pull.</summary>
    public void StartReplication()
    {
        _link?.Start();
        _replicator?.Start();
    }

    /// <summary>Hub: no new commands from here on; what was taken is finished, and another member leads. Replica: stops pulling.</summary>
    public async Task StopTakingAsync(CancellationToken cancellation)
    {
        _source.Stop();
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

            if (_hub is not null)
            {
                await _hub.DisposeAsync();
            }
        }
        finally
        {
            _source.Dispose();
            _pins.Dispose();
            _store.Dispose();
            _directory.Dispose();
        }
    }
}
