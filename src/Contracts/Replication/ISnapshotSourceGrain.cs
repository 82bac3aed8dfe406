using Orleans.Concurrency;
using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>
/// The state of one node for those who must begin with it (key: the node id; the grain lives on that node). Hub and replica serve the
/// same interface.
/// </summary>
[Alias("qs.ISnapshotSource")]
public interface ISnapshotSourceGrain : IGrainWithStringKey, IExternalContract
{
    /// <summary>Pins the state as it is now. An older session of the same child ends.</summary>
    [Alias("Open"), AlwaysInterleave]
    ValueTask<OpenSnapshotAnswer> Open(OpenSnapshotRequest request);

    /// <summary>The rows after a key.</summary>
    [Alias("Next"), AlwaysInterleave, ResponseTimeout("00:00:30")]
    ValueTask<NextBlockAnswer> Next(NextBlockRequest request, CancellationToken cancellation = default);

    /// <summary>The child needs the session no more.</summary>
    [Alias("Close"), AlwaysInterleave]
    ValueTask Close(long session);
}
