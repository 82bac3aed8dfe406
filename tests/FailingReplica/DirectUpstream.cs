using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.FailingReplica;

/// <summary>A source in the same process: a link that is up once and never lost.</summary>
internal sealed class DirectUpstream(ILogSource log, ISnapshotSource snapshots) : IUpstream
{
    private int _connections;

    public int Others => 0;

    public async ValueTask<UpstreamConnection> ConnectAsync(CancellationToken cancellation)
    {
        if (Interlocked.Increment(ref _connections) > 1)
        {
            await Task.Delay(Timeout.Infinite, cancellation);
        }

        return new(log, snapshots, NodeId.Parse("hub-0"), "in this process", CancellationToken.None);
    }

    public void Leave(UpstreamConnection connection, SourceFault fault, string why) => throw new InvalidOperationException("There is no other source.");

    public void Heard(UpstreamConnection connection, TimeSpan? age, Revision revision)
    {
    }
}
