using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>
/// The state at exactly one position, immutable, readable from any thread. Every get, multi-get and scan page uses one View, so
/// it can never mix two revisions. Reference-counted: whoever acquires one disposes it, soon, because it holds back compaction.
/// </summary>
public sealed class View : IDisposable
{
    private readonly Database _database;
    private readonly IntPtr _snapshot;
    private int _references = 1;

    internal View(Database database, StoreProgress progress)
    {
        database.AddReference();
        database.LogHolds.Add(progress.Oldest);
        _database = database;
        Progress = progress;
        _snapshot = NativeCall.Api.rocksdb_create_snapshot(database.Handle);
        ReadOptions = NativeCall.Api.rocksdb_readoptions_create();
        NativeCall.Api.rocksdb_readoptions_set_snapshot(ReadOptions, _snapshot);
    }

    public StoreProgress Progress { get; }

    public LogPosition Position => Progress.Position;

    internal Database Database => _database;

    internal IntPtr ReadOptions { get; }

    /// <summary>Options to read everything once: what is read does not push out of memory what others read often. The caller destroys them.</summary>
    internal IntPtr CreateScrubOptions()
    {
        var options = NativeCall.Api.rocksdb_readoptions_create();
        NativeCall.Api.rocksdb_readoptions_set_snapshot(options, _snapshot);
        NativeCall.Api.rocksdb_readoptions_set_fill_cache(options, 0);
        return options;
    }

    /// <summary>One key. The row's spans live until it is disposed. No managed allocation.</summary>
    public PinnedRow Get(KeyspaceId keyspace, ReadOnlySpan<byte> key)
    {
        Span<byte> dataKey = stackalloc byte[StorageKeys.KeyspaceBytes + Limits.MaxKeyBytes];
        if (key.Length > Limits.MaxKeyBytes)
        {
            throw new ArgumentException($"The key has {key.Length} bytes; the limit is {Limits.MaxKeyBytes} (Limits.MaxKeyBytes).", nameof(key));
        }

        dataKey = dataKey[..(StorageKeys.KeyspaceBytes + key.Length)];
        StorageKeys.WriteData(dataKey, keyspace, key);
        return new(Pinned.Get(_database, ReadOptions, ColumnFamily.Data, dataKey));
    }

    /// <summary>Rows of one keyspace in key order.</summary>
    public RowCursor OpenRows(KeyspaceId keyspace) => new(this, keyspace, ReadOptions);

    /// <summary>Records of the change log in revision order.</summary>
    public LogCursor OpenLog() => new(this);

    /// <summary>Revisions of one keyspace in sequence order.</summary>
    public KeyspaceLogCursor OpenKeyspaceLog(KeyspaceId keyspace) => new(this, keyspace);

    /// <summary>Records of one keyspace in their order, checked.</summary>
    public ChangeCursor OpenChanges(KeyspaceId keyspace) => new(this, keyspace);

    /// <summary>State of a keyspace, or null where there is none, or where this store does not hold it.</summary>
    public KeyspaceState? FindKeyspace(KeyspaceId keyspace)
    {
        Span<byte> key = stackalloc byte[5];
        StorageKeys.WriteKeyspaceState(key, keyspace);
        using var pinned = Pinned.Get(_database, ReadOptions, ColumnFamily.Meta, key);
        if (!pinned.Found)
        {
            return null;
        }

        // One that is being added may have left its state already.
        var state = Undamaged.Read(pinned.Bytes, bytes => KeyspaceState.Read(keyspace, bytes), $"the state of keyspace {keyspace}");
        return keyspace == KeyspaceId.Catalog || Progress.Subscription.Includes(state.Name) ? state : null;
    }

    /// <summary>
    /// True where this View has a state of the keyspace. A store that holds some keyspaces only may have that of one that it is taking in or
    /// letting go: <see cref="FindKeyspace(KeyspaceId)"/> tells. No managed allocation.
    /// </summary>
    public bool HasKeyspace(KeyspaceId keyspace)
    {
        Span<byte> key = stackalloc byte[5];
        StorageKeys.WriteKeyspaceState(key, keyspace);
        using var pinned = Pinned.Get(_database, ReadOptions, ColumnFamily.Meta, key);
        return pinned.Found;
    }

    /// <summary>Where the log of a keyspace was cut, or null where all of it is there.</summary>
    public KeyspaceCut? FindCut(KeyspaceId keyspace)
    {
        Span<byte> key = stackalloc byte[StorageKeys.KeyspaceCutBytes];
        StorageKeys.WriteKeyspaceCut(key, keyspace);
        using var pinned = Pinned.Get(_database, ReadOptions, ColumnFamily.Meta, key);
        return pinned.Found ? Undamaged.Read(pinned.Bytes, KeyspaceCut.Read, $"the cut of keyspace {keyspace}") : null;
    }

    /// <summary>The keyspace of a name, or null where there is none.</summary>
    public KeyspaceInfo? FindKeyspace(KeyspaceName name)
    {
        Span<byte> key = stackalloc byte[64];
        var length = System.Text.Encoding.ASCII.GetBytes(name.Value, key);
        using var row = Get(KeyspaceId.Catalog, key[..length]);
        if (!row.Found)
        {
            return null;
        }

        var (id, settings, createdAt) = Undamaged.Read(row.Row.Value, CatalogRow.Read, $"the catalog row of '{name}'");
        return new(id, name, settings, createdAt);
    }

    /// <summary>
    /// Chain hash of the log after <paramref name="revision"/>, or null where this View does not have that record: it lies outside the log, or
    /// belongs to a keyspace that this store does not hold, or was lost.
    /// </summary>
    public ChainHash? FindChain(Revision revision)
    {
        if (revision == Position.Revision)
        {
            return Progress.Chain;
        }

        if (revision.Next == Progress.Oldest)
        {
            return Progress.OldestChain;
        }

        if (revision < Progress.Oldest)
        {
            return null;
        }

        Span<byte> key = stackalloc byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(key, revision);
        using var pinned = Pinned.Get(_database, ReadOptions, ColumnFamily.Log, key);
        return pinned.Found && revision < Position.Revision ? Undamaged.Read(pinned.Bytes, static bytes => RecordView.Parse(bytes).LogChain, $"revision {revision}") : null;
    }

    /// <summary>Takes part in the View; false when it is already gone.</summary>
    public bool TryAcquire()
    {
        for (var seen = Volatile.Read(ref _references); seen > 0;)
        {
            var before = Interlocked.CompareExchange(ref _references, seen + 1, seen);
            if (before == seen)
            {
                return true;
            }

            seen = before;
        }

        return false;
    }

    /// <summary>Lets go of one reference.</summary>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref _references) != 0)
        {
            return;
        }

        NativeCall.Api.rocksdb_readoptions_destroy(ReadOptions);
        NativeCall.Api.rocksdb_release_snapshot(_database.Handle, _snapshot);
        _database.LogHolds.Remove(Progress.Oldest);
        _database.ReleaseReference();
    }
}
