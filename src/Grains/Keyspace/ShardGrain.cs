using Orleans.Concurrency;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains;

/// <summary>Routes reads and writes of one shard on the silo that the caller is connected to. Holds no state.</summary>
[StatelessWorker, Reentrant, GrainType("qs.shard")]
public sealed class ShardGrain(NodeContext node, ReadGate reads, CommitGate commits) : Grain, IShardGrain
{
    /// <inheritdoc/>
    public async ValueTask<GetManyAnswer> GetMany(GetManyRequest request, CancellationToken cancellation)
    {
        if (!ShardId.TryFromGrainKey(this.GetPrimaryKeyLong(), out var shard))
        {
            return Refuse(ReadStatus.Invalid, node.Answer(node.Store.Progress), "The grain key is no shard.");
        }

        try
        {
            return await reads.AnswerAsync(
                request.Requirement,
                view => StateReader.GetMany(node, view, shard.Keyspace, request.Keys),
                (hub, stop) => hub.GetGrain<IShardGrain>(shard.ToGrainKey()).GetMany(request, stop),
                Refuse, cancellation);
        }
        catch (MalformedDataException e)
        {
            return Refuse(ReadStatus.Invalid, node.Answer(node.Store.Progress), e.Message);
        }
    }

    private static GetManyAnswer Refuse(ReadStatus status, AnswerContext context, string? problem) => new(status, context, default, problem);

    /// <inheritdoc/>
    public ValueTask<CommitManyAnswer> CommitMany(CommitManyRequest request, CancellationToken cancellation)
    {
        ShardId.TryFromGrainKey(this.GetPrimaryKeyLong(), out var shard);
        return commits.CommitAsync(
            request,
            command => CommandView.Parse(command.Span) is { Kind: CommandKind.Transaction } view && view.Keyspace == shard.Keyspace
                ? null
                : $"The command is no transaction of keyspace {shard.Keyspace}.",
            cancellation);
    }
}
