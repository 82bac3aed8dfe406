using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Hosting;

/// <summary>The state of the node behind the gateway of a link, through its grain.</summary>
internal sealed class GrainSnapshotSource(LinkSession session) : ISnapshotSource
{
    private readonly ISnapshotSourceGrain _grain = session.Grains.GetGrain<ISnapshotSourceGrain>(session.Hello.Node.Value);

    public async ValueTask<OpenSnapshotAnswer> OpenAsync(OpenSnapshotRequest request, CancellationToken cancellation) =>
        await _grain.Open(request).AsTask().WaitAsync(cancellation);

    // As in GrainLogSource.
    public async ValueTask<NextBlockAnswer> NextAsync(NextBlockRequest request, CancellationToken cancellation) =>
        await _grain.Next(request, CancellationToken.None).AsTask().WaitAsync(cancellation);

    public async ValueTask CloseAsync(long session, CancellationToken cancellation) => await _grain.Close(session).AsTask().WaitAsync(cancellation);
}
