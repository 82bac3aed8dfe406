using Orleans.Concurrency;
using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>
/// One shard of a keyspace (key: <see cref="ShardId.ToGrainKey"/>). It runs on every silo, so a call is served by the silo the
/// caller is connected to; it holds no state and owns nothing.
/// </summary>
[Alias("qs.IShard")]
public interface IShardGrain : IGrainWithIntegerKey, IExternalContract
{
    /// <summary>Reads many keys of the keyspace from one View.</summary>
    [Alias("GetMany"), AlwaysInterleave]
    ValueTask<GetManyAnswer> GetMany(GetManyRequest request, CancellationToken cancellation = default);

    /// <summary>
    /// Commits transactions of this keyspace. An exception from Orleans (timeout, lost connection) means the outcome of all of
    /// them is unknown; everything this grain knows comes as an outcome.
    /// </summary>
    [Alias("CommitMany"), AlwaysInterleave, ResponseTimeout("00:00:10")]
    ValueTask<CommitManyAnswer> CommitMany(CommitManyRequest request, CancellationToken cancellation = default);
}
