using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>
/// What an application can ask of a node: one behind a gateway, through its grains, or the one in the application's own process. Questions and
/// answers are the same, so that what is made of them is, too. Any thread may call. What Orleans throws of a call that was begun says nothing of
/// its fate; a node in this process throws <see cref="ObjectDisposedException"/> once it is closed.
/// </summary>
public interface INodeCalls
{
    /// <summary>As <see cref="IClusterGrain.Ping"/>.</summary>
    ValueTask<AnswerContext> PingAsync();

    /// <summary>As <see cref="ICatalogGrain.Resolve"/>.</summary>
    ValueTask<ResolveAnswer> ResolveAsync(KeyspaceName name, ReadRequirement requirement, CancellationToken cancellation = default);

    /// <summary>As <see cref="ICatalogGrain.List"/>.</summary>
    ValueTask<ListKeyspacesAnswer> ListKeyspacesAsync(ListKeyspacesRequest request, CancellationToken cancellation = default);

    /// <summary>As <see cref="IShardGrain.GetMany"/>.</summary>
    ValueTask<GetManyAnswer> GetManyAsync(ShardId shard, GetManyRequest request, CancellationToken cancellation = default);

    /// <summary>As <see cref="IKeyspaceGrain.Scan"/>.</summary>
    ValueTask<ScanAnswer> ScanAsync(KeyspaceId keyspace, ScanRequest request, CancellationToken cancellation = default);

    /// <summary>As <see cref="IKeyspaceGrain.Watch"/>.</summary>
    ValueTask<WatchAnswer> WatchAsync(KeyspaceId keyspace, WatchRequest request, CancellationToken cancellation = default);

    /// <summary>As <see cref="IShardGrain.CommitMany"/>.</summary>
    ValueTask<CommitManyAnswer> CommitAsync(ShardId shard, CommitManyRequest request, CancellationToken cancellation = default);

    /// <summary>As <see cref="ICatalogGrain.CommitMany"/>.</summary>
    ValueTask<CommitManyAnswer> CommitKeyspacesAsync(CommitManyRequest request, CancellationToken cancellation = default);
}
