using Orleans.Concurrency;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains;

/// <summary>Answers what spans the shards of one keyspace. Holds no state.</summary>
[StatelessWorker, Reentrant, GrainType("qs.keyspace")]
public sealed class KeyspaceGrain(NodeContext node, NodeCalls calls) : Grain, IKeyspaceGrain
{
    private const string NoKeyspace = "The grain key is no keyspace.";

    /// <inheritdoc/>
    public ValueTask<ScanAnswer> Scan(ScanRequest request, CancellationToken cancellation) => FindKeyspace() is { } keyspace
        ? calls.ScanAsync(keyspace, request, cancellation)
        : new(new ScanAnswer(ReadStatus.Invalid, node.Answer(node.Store.Progress), default, default, NoKeyspace));

    /// <inheritdoc/>
    public ValueTask<WatchAnswer> Watch(WatchRequest request, CancellationToken cancellation) => FindKeyspace() is { } keyspace
        ? calls.WatchAsync(keyspace, request, cancellation)
        : new(new WatchAnswer(ReadStatus.Invalid, node.Answer(node.Store.Progress), default, default, default, NoKeyspace));

    private KeyspaceId? FindKeyspace() => this.GetPrimaryKeyLong() is var key and >= 0 and <= uint.MaxValue ? new KeyspaceId((uint)key) : null;
}
