using Orleans.Concurrency;
using Quicksilver.Contracts;

namespace Quicksilver.Grains;

/// <summary>The hub's door for the merged commands of regions. Holds no state.</summary>
[StatelessWorker, Reentrant, GrainType("qs.commit")]
public sealed class CommitGrain(CommitGate commits) : Grain, ICommitGrain
{
    /// <inheritdoc/>
    public ValueTask<CommitManyAnswer> CommitMany(CommitManyRequest request, CancellationToken cancellation) =>
        commits.CommitAsync(request, static _ => null, cancellation);
}
