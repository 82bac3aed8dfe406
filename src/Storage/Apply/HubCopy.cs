using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>Makes the store of a hub member out of a copy of another's log.</summary>
public static class HubCopy
{
    /// <summary>
    /// Takes over what the log does not say: which Raft entry the state belongs to, the log time, the feature level, and what was
    /// forgotten of the operation ids. From then on the store can go on with the entry after it. Durable on return. Throws
    /// <see cref="StorageException"/> (Corrupt) where the copy is not the state it should be; nothing was changed then.
    /// </summary>
    /// <param name="source">Progress of the member that was copied, taken from one View.</param>
    public static void Complete(NodeStore store, StoreProgress source)
    {
        var copy = store.Progress;
        if ((copy.Cluster, copy.Position, copy.Chain, copy.NextKeyspace)
            != (source.Cluster, source.Position, source.Chain, source.NextKeyspace))
        {
            throw new StorageException(
                StorageFault.Corrupt,
                $"The copy is not what was copied: it has revision {copy.Position.Revision}, chain {copy.Chain}, next keyspace {copy.NextKeyspace}; the source had revision {source.Position.Revision}, chain {source.Chain}, next keyspace {source.NextKeyspace}.");
        }

        var batch = new ApplyBatch(store);
        batch.Begin();
        batch.SetFeatureLevel(source.FeatureLevel);
        batch.OperationsFloor = source.OperationsFloor;
        batch.Commit(source.AppliedIndex, source.LogTime);
        store.Sync();
    }
}
