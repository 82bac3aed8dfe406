using Orleans.Concurrency;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains;

/// <summary>Routes reads and writes of one shard on the silo that the caller is connected to. Holds no state.</summary>
[StatelessWorker, Reentrant, GrainType("qs.shard")]
public sealed class ShardGrain(NodeContext node, NodeCalls calls) : Grain, IShardGrain
{
    /// <inheritdoc/>
    public ValueTask<GetManyAnswer> GetMany(GetManyRequest request, CancellationToken cancellation) =>
        ShardId.TryFromGrainKey(this.GetPrimaryKeyLong(), out var shard)
            ? calls.GetManyAsync(shard, request, cancellation)
            : new(new GetManyAnswer(ReadStatus.Invalid, node.Answer(node.Store.Progress), default, "The grain key is no shard."));

    /// <inheritdoc/>
    public ValueTask<CommitManyAnswer> CommitMany(CommitManyRequest request, CancellationToken cancellation)
    {
        ShardId.TryFromGrainKey(this.GetPrimaryKeyLong(), out var shard);
        return calls.CommitAsync(shard, request, cancellation);
    }
}
