using Orleans.Concurrency;

namespace Quicksilver.Contracts;

/// <summary>
/// The door through which regions hand commands to the hub (key: 0): what many callers of a region committed at the same time,
/// of any keyspaces, merged into one call. Runs on every silo of the hub.
/// </summary>
[Alias("qs.ICommit")]
public interface ICommitGrain : IGrainWithIntegerKey, IExternalContract
{
    /// <summary>As <see cref="IShardGrain.CommitMany"/>, for commands of any keyspace.</summary>
    [Alias("CommitMany"), AlwaysInterleave, ResponseTimeout("00:00:10")]
    ValueTask<CommitManyAnswer> CommitMany(CommitManyRequest request, CancellationToken cancellation = default);
}
