using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>All that a store has of one keyspace, but for its records in the log, its row in the catalog, and what is in memory of its rows.</summary>
internal static class KeyspaceRows
{
    public static void Delete(WriteBatchBuilder batch, Database database, KeyspaceId keyspace)
    {
        Span<byte> start = stackalloc byte[StorageKeys.KeyspaceBytes];
        Span<byte> end = stackalloc byte[StorageKeys.KeyspaceBytes];
        StorageKeys.WriteData(start, keyspace, default);
        StorageKeys.WriteData(end, new(keyspace.Value + 1), default);
        batch.DeleteRange(database.FamilyId(ColumnFamily.Data), start, end);
        batch.DeleteRange(database.FamilyId(ColumnFamily.KeyspaceLog), start, end);
        var meta = database.FamilyId(ColumnFamily.Meta);
        StorageKeys.WriteKeyspaceCut(batch.Delete(meta, StorageKeys.KeyspaceCutBytes), keyspace);
        StorageKeys.WriteKeyspaceState(batch.Delete(meta, StorageKeys.KeyspaceCutBytes), keyspace);
    }
}
