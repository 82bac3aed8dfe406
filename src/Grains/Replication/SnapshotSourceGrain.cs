using Orleans.Concurrency;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Grains;

/// <summary>Snapshots of this node for those who must begin with one.</summary>
[PlaceOnNode, Reentrant, GrainType("qs.snapshotsource")]
public sealed class SnapshotSourceGrain(SnapshotSource source) : Grain, ISnapshotSourceGrain
{
    /// <inheritdoc/>
    public ValueTask<OpenSnapshotAnswer> Open(OpenSnapshotRequest request) => source.OpenAsync(request, CancellationToken.None);

    /// <inheritdoc/>
    public ValueTask<NextBlockAnswer> Next(NextBlockRequest request, CancellationToken cancellation) => source.NextAsync(request, cancellation);

    /// <inheritdoc/>
    public ValueTask Close(long session) => source.CloseAsync(session, CancellationToken.None);
}
