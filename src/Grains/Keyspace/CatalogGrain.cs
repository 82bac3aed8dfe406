using Orleans.Concurrency;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains;

/// <summary>Names and settings of keyspaces. Holds no state.</summary>
[StatelessWorker, Reentrant, GrainType("qs.catalog")]
public sealed class CatalogGrain(NodeCalls calls) : Grain, ICatalogGrain
{
    /// <inheritdoc/>
    public ValueTask<ResolveAnswer> Resolve(KeyspaceName name, ReadRequirement requirement, CancellationToken cancellation) =>
        calls.ResolveAsync(name, requirement, cancellation);

    /// <inheritdoc/>
    public ValueTask<ListKeyspacesAnswer> List(ListKeyspacesRequest request, CancellationToken cancellation) =>
        calls.ListKeyspacesAsync(request, cancellation);

    /// <inheritdoc/>
    public ValueTask<CommitManyAnswer> CommitMany(CommitManyRequest request, CancellationToken cancellation) =>
        calls.CommitKeyspacesAsync(request, cancellation);
}
