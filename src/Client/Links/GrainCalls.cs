using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>Asks the node behind a gateway, through its grains.</summary>
internal sealed class GrainCalls(IGrainFactory grains) : INodeCalls
{
    /// <summary>The grains of the node's cluster.</summary>
    public IGrainFactory Grains => grains;

    /// <inheritdoc/>
    public ValueTask<AnswerContext> PingAsync() => grains.GetGrain<IClusterGrain>(0).Ping();

    /// <inheritdoc/>
    public ValueTask<ResolveAnswer> ResolveAsync(KeyspaceName name, ReadRequirement requirement, CancellationToken cancellation) =>
        grains.GetGrain<ICatalogGrain>(0).Resolve(name, requirement, cancellation);

    /// <inheritdoc/>
    public ValueTask<ListKeyspacesAnswer> ListKeyspacesAsync(ListKeyspacesRequest request, CancellationToken cancellation) =>
        grains.GetGrain<ICatalogGrain>(0).List(request, cancellation);

    /// <inheritdoc/>
    public ValueTask<GetManyAnswer> GetManyAsync(ShardId shard, GetManyRequest request, CancellationToken cancellation) =>
        grains.GetGrain<IShardGrain>(shard.ToGrainKey()).GetMany(request, cancellation);

    /// <inheritdoc/>
    public ValueTask<ScanAnswer> ScanAsync(KeyspaceId keyspace, ScanRequest request, CancellationToken cancellation) =>
        grains.GetGrain<IKeyspaceGrain>(keyspace.Value).Scan(request, cancellation);

    /// <inheritdoc/>
    public ValueTask<WatchAnswer> WatchAsync(KeyspaceId keyspace, WatchRequest request, CancellationToken cancellation) =>
        grains.GetGrain<IKeyspaceGrain>(keyspace.Value).Watch(request, cancellation);

    /// <inheritdoc/>
    public ValueTask<CommitManyAnswer> CommitAsync(ShardId shard, CommitManyRequest request, CancellationToken cancellation) =>
        grains.GetGrain<IShardGrain>(shard.ToGrainKey()).CommitMany(request, cancellation);

    /// <inheritdoc/>
    public ValueTask<CommitManyAnswer> CommitKeyspacesAsync(CommitManyRequest request, CancellationToken cancellation) =>
        grains.GetGrain<ICatalogGrain>(0).CommitMany(request, cancellation);
}
