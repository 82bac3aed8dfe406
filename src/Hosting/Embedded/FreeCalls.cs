using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Hosting;

/// <summary>
/// Asks the node in this process away from a caller's synchronization context or task scheduler. What answers runs in that of a grain, and goes back
/// to it after each wait; in an application that context may be blocked by its caller, and with it whatever shares a call with that.
/// </summary>
internal sealed class FreeCalls(INodeCalls node) : INodeCalls
{
    private static bool IsFree => SynchronizationContext.Current is null && TaskScheduler.Current == TaskScheduler.Default;

    private static ValueTask<T> AskAsync<T>(Func<ValueTask<T>> ask) => new(Task.Run(() => ask().AsTask()));

    /// <inheritdoc/>
    public ValueTask<AnswerContext> PingAsync() => node.PingAsync();

    /// <inheritdoc/>
    public ValueTask<ResolveAnswer> ResolveAsync(KeyspaceName name, ReadRequirement requirement, CancellationToken cancellation) =>
        IsFree ? node.ResolveAsync(name, requirement, cancellation) : AskAsync(() => node.ResolveAsync(name, requirement, cancellation));

    /// <inheritdoc/>
    public ValueTask<ListKeyspacesAnswer> ListKeyspacesAsync(ListKeyspacesRequest request, CancellationToken cancellation) =>
        IsFree ? node.ListKeyspacesAsync(request, cancellation) : AskAsync(() => node.ListKeyspacesAsync(request, cancellation));

    /// <inheritdoc/>
    public ValueTask<GetManyAnswer> GetManyAsync(ShardId shard, GetManyRequest request, CancellationToken cancellation) =>
        IsFree ? node.GetManyAsync(shard, request, cancellation) : AskAsync(() => node.GetManyAsync(shard, request, cancellation));

    /// <inheritdoc/>
    public ValueTask<ScanAnswer> ScanAsync(KeyspaceId keyspace, ScanRequest request, CancellationToken cancellation) =>
        IsFree ? node.ScanAsync(keyspace, request, cancellation) : AskAsync(() => node.ScanAsync(keyspace, request, cancellation));

    /// <inheritdoc/>
    public ValueTask<WatchAnswer> WatchAsync(KeyspaceId keyspace, WatchRequest request, CancellationToken cancellation) =>
        IsFree ? node.WatchAsync(keyspace, request, cancellation) : AskAsync(() => node.WatchAsync(keyspace, request, cancellation));

    /// <inheritdoc/>
    public ValueTask<CommitManyAnswer> CommitAsync(ShardId shard, CommitManyRequest request, CancellationToken cancellation) =>
        IsFree ? node.CommitAsync(shard, request, cancellation) : AskAsync(() => node.CommitAsync(shard, request, cancellation));

    /// <inheritdoc/>
    public ValueTask<CommitManyAnswer> CommitKeyspacesAsync(CommitManyRequest request, CancellationToken cancellation) =>
        IsFree ? node.CommitKeyspacesAsync(request, cancellation) : AskAsync(() => node.CommitKeyspacesAsync(request, cancellation));
}
