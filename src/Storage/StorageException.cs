namespace Quicksilver.Storage;

/// <summary>What kind of storage trouble it is; the host turns it into an exit code or a red light.</summary>
public enum StorageFault
{
    Unspecified = 0,

    /// <summary>Another process, or another store of this one, has the directory open.</summary>
    InUse = 1,

    /// <summary>The directory belongs to another node or cluster, or to a newer format.</summary>
    Foreign = 2,

    /// <summary>Bytes on disk are not what was written. What is damaged is not served.</summary>
    Corrupt = 3,

    /// <summary>The disk or the database refused a read or write. After a failed write nothing more is written.</summary>
    Io = 4,
}

/// <summary>The store cannot do what was asked and says why. A write that ends in it may be partly on disk but never partly visible.</summary>
public sealed class StorageException(StorageFault fault, string message, Exception? inner = null) : Exception(message, inner)
{
    public StorageFault Fault { get; } = fault;
}
