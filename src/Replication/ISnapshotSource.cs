using Quicksilver.Model;

namespace Quicksilver.Replication;

/// <summary>
/// The state of some node, as those who copy it see it: the local one (<see cref="SnapshotSource"/>), or one behind a link. Any thread
/// may call. Exceptions mean that the call's fate is not known, which does no harm: ask again.
/// </summary>
public interface ISnapshotSource
{
    /// <summary>Pins the state as it is now. An older session of the same child ends.</summary>
    ValueTask<OpenSnapshotAnswer> OpenAsync(OpenSnapshotRequest request, CancellationToken cancellation);

    /// <summary>The rows after a key.</summary>
    ValueTask<NextBlockAnswer> NextAsync(NextBlockRequest request, CancellationToken cancellation);

    /// <summary>The child needs the session no more.</summary>
    ValueTask CloseAsync(long session, CancellationToken cancellation);
}
