namespace Quicksilver.Storage.Native;

/// <summary>The column families of a node, in the order of their handles. The names are on disk and never change.</summary>
internal enum ColumnFamily
{
    /// <summary>RocksDB insists on it; nothing is stored there.</summary>
    Default = 0,

    /// <summary>Identity, progress, and the state of each keyspace.</summary>
    Meta = 1,

    /// <summary>Keyspace id, key -> row.</summary>
    Data = 2,

    /// <summary>Revision -> change-log record.</summary>
    Log = 3,

    /// <summary>Keyspace id, keyspace sequence -> revision.</summary>
    KeyspaceLog = 4,

    /// <summary>Time, keyspace, key, revision: what expires when. Valid only while the revision is the key's.</summary>
    Expiry = 5,

    /// <summary>Hub: index -> entry of the Raft log.</summary>
    Raft = 6,
}
