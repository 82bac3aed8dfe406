using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Testing;

/// <summary>An empty store of a replica on a real database.</summary>
public sealed class ReplicaStore : IDisposable
{
    private readonly DataDirectory _directory;

    public ReplicaStore(string path, string node = "eu-0", long snapshotFileBytes = 64L << 20)
    {
        _directory = DataDirectory.Take(path);
        Store = NodeStore.Open(_directory, new() { Node = NodeId.Parse(node), SnapshotFileBytes = snapshotFileBytes });
    }

    public NodeStore Store { get; }

    public StateHashes Hashes()
    {
        using var view = Store.AcquireView();
        return StateHash.Compute(view, view, view.Position.Revision, CancellationToken.None);
    }

    /// <summary>Rows of all keyspaces. A replica without any has no chain to hash, so this is what "untouched" is told by.</summary>
    public int Rows()
    {
        using var view = Store.AcquireView();
        var count = 0;
        for (uint keyspace = 0; keyspace < 16; keyspace++)
        {
            using var rows = view.OpenRows(new(keyspace));
            for (var more = rows.Seek(default); more; more = rows.Next())
            {
                count++;
            }
        }

        return count;
    }

    public void Dispose()
    {
        Store.Dispose();
        _directory.Dispose();
    }
}
