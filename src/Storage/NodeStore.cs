using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>What a store needs to open.</summary>
public sealed record NodeStoreOptions
{
    public required NodeId Node { get; init; }

    /// <summary>Memory for uncompressed table blocks, bytes. Default 64 MiB, at least 8 MiB.</summary>
    public long BlockCacheBytes { get; init; } = 64L << 20;

    /// <summary>About how many of the rows that are read most are kept in memory in front of the tables; 0 for none. Default 20,000.</summary>
    public int HotRows { get; init; } = 20_000;

    /// <summary>Most reads that wait for a revision at the same time. Default 10,000.</summary>
    public int MaxWaiters { get; init; } = 10_000;

    /// <summary>Rows in one file of an incoming snapshot, bytes before compression: what a restart may receive again. Default 64 MiB.</summary>
    public long SnapshotFileBytes { get; init; } = 64L << 20;

    /// <summary>Most long polls of children that wait at the same time. Default 10,000.</summary>
    public int MaxPolls { get; init; } = 10_000;
}

/// <summary>
/// The data of one node. Any thread may acquire a View and read; one thread at a time applies, through an
/// <see cref="ApplyBatch"/>, and each batch becomes visible as one new View.
/// Invariant: the published View is exactly what a crash at this moment would recover, or a later state of the same history.
/// </summary>
public sealed partial class NodeStore : IDisposable
{
    /// <summary>Records at the end of the log whose chain is checked at open.</summary>
    private const int CheckedAtOpen = 1_000;

    private readonly DataDirectory _directory;

    // The applier and the one who cuts the log both write the progress row: each adds its part to what the other wrote last.
    private readonly Lock _writing = new();
    private volatile Database _database;
    private View _view;
    private volatile StorageException? _failure;
    private int _disposed;

    private NodeStore(DataDirectory directory, Database database, StoreProgress progress, NodeStoreOptions options)
    {
        _directory = directory;
        _database = database;
        Options = options;
        Waiters = new(options.MaxWaiters);
        Polls = new(options.MaxPolls);
        _view = new(database, progress);
        Waiters.Publish(progress.Position.Revision);
        Polls.Publish(progress.Position.Revision);
    }

    public NodeStoreOptions Options { get; }

    /// <summary>Where reads wait for the View they need.</summary>
    public RevisionWaiters Waiters { get; }

    /// <summary>Where the long polls of children wait for the next View; a room of its own, so that neither keeps the other out.</summary>
    public RevisionWaiters Polls { get; }

    /// <summary>The write error after which nothing more is written, or null. Reads go on from the last View.</summary>
    public StorageException? Failure => _failure;

    /// <summary>Progress of the current View.</summary>
    public StoreProgress Progress => Volatile.Read(ref _view).Progress;

    internal Database Database => _database;

    /// <summary>
    /// Opens or creates the database in <paramref name="directory"/>. Throws <see cref="StorageException"/>: Foreign where it
    /// belongs to another node or a newer format, Corrupt where state and log do not agree, Io otherwise.
    /// </summary>
    public static NodeStore Open(DataDirectory directory, NodeStoreOptions options)
    {
        var database = Database.Open(directory.DatabasePath, options.BlockCacheBytes, options.HotRows);
        try
        {
            ClaimIdentity(database, directory, options.Node);
            var progress = ReadProgress(database);
            var store = new NodeStore(directory, database, progress, options);
            try
            {
                CheckTail(store._view, CheckedAtOpen);
                return store;
            }
            catch
            {
                store._view.Dispose();
                throw;
            }
        }
        catch (Exception e)
        {
            database.ReleaseReference();
            if (e is MalformedDataException)
            {
                throw new StorageException(StorageFault.Corrupt, $"The data directory '{directory.Path}' is damaged. {e.Message}", e);
            }

            throw;
        }
    }

    /// <summary>The current View; the caller disposes it.</summary>
    public View AcquireView()
    {
        while (true)
        {
            var view = Volatile.Read(ref _view);
            if (view.TryAcquire())
            {
                return view;
            }

            ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        }
    }

    /// <summary>
    /// Hub: how far the Raft log may be cut, as it was last stored; null before the first time. Everything up to it is durable
    /// in this store.
    /// </summary>
    public RaftFloor? ReadRaftFloor()
    {
        using var pinned = ReadLatest(ColumnFamily.Meta, StorageKeys.RaftFloor);
        if (!pinned.Found)
        {
            return null;
        }

        var reader = new ByteReader(pinned.Bytes);
        var floor = new RaftFloor(new(reader.ReadPosition()), new(reader.ReadPosition()));
        reader.ExpectEnd();
        return floor;
    }

    /// <summary>
    /// Hub: stores a new floor, deletes what the column family <c>raft</c> has up to it, and makes both durable, together with
    /// everything applied so far. A Raft log elsewhere is cut only after this returned. Throws <see cref="StorageException"/>; nothing
    /// may be cut then.
    /// </summary>
    public void SaveRaftFloor(RaftFloor floor)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(floor.Index, Progress.AppliedIndex);
        var batch = new WriteBatchBuilder();
        batch.Put(_database.FamilyId(ColumnFamily.Meta), StorageKeys.RaftFloor, FloorRow(floor));
        RaftRows.DeleteUpTo(batch, _database.FamilyId(ColumnFamily.Raft), floor.Index);
        try
        {
            _database.Write(batch);
            _database.SyncWal();
        }
        catch (StorageException e)
        {
            Fail(e);
            throw;
        }
    }

    private static ReadOnlySpan<byte> FloorRow(RaftFloor floor)
    {
        var row = new ByteWriter(16);
        row.WritePosition(floor.Index.Value);
        row.WritePosition(floor.Term.Value);
        return row.WrittenSpan;
    }

    /// <summary>Makes everything applied so far durable. Throws <see cref="StorageException"/>.</summary>
    public void Sync()
    {
        try
        {
            _database.SyncWal();
        }
        catch (StorageException e)
        {
            Fail(e);
            throw;
        }
    }

    /// <summary>Writes the memtables to table files, as a test or an orderly stop may want.</summary>
    public void Flush() => _database.Flush();

    /// <summary>One row of no View: as it is now.</summary>
    internal Pinned ReadLatest(ColumnFamily family, ReadOnlySpan<byte> key) => ReadLatest(_database, family, key);

    internal void ThrowIfFailed()
    {
        if (_failure is { } failure)
        {
            throw new StorageException(failure.Fault, $"The store stopped writing: {failure.Message}", failure);
        }
    }

    internal void Fail(StorageException failure) => _failure ??= failure;

    /// <summary>
    /// Writes a batch with the progress it leads to and publishes the View; returns that progress. Throws <see cref="StorageException"/>;
    /// nothing more is written then.
    /// </summary>
    internal StoreProgress Commit(WriteBatchBuilder batch, StoreProgress progress)
    {
        lock (_writing)
        {
            ThrowIfFailed();
            var current = Progress;
            if (current.Oldest > progress.Oldest)
            {
                progress = progress with { Oldest = current.Oldest, OldestChain = current.OldestChain };
            }

            WriteAndPublish(batch, progress);
            return progress;
        }
    }

    private void WriteAndPublish(WriteBatchBuilder batch, StoreProgress progress)
    {
        var row = new ByteWriter(192);
        progress.Write(row);
        batch.Put(_database.FamilyId(ColumnFamily.Meta), StorageKeys.Progress, row.WrittenSpan);
        FailPoint.Hit(FailPoint.CommitWrite);
        try
        {
            _database.Write(batch);
        }
        catch (StorageException e)
        {
            Fail(e);
            throw;
        }

        FailPoint.Hit(FailPoint.CommitWritten);
        Publish(progress);
        FailPoint.Hit(FailPoint.CommitPublished);
    }

    internal void Publish(StoreProgress progress)
    {
        var next = new View(_database, progress);
        var previous = Interlocked.Exchange(ref _view, next);
        previous.Dispose();
        Polls.Publish(progress.Position.Revision);
        Waiters.Publish(progress.Position.Revision);
    }

    private static void ClaimIdentity(Database database, DataDirectory directory, NodeId node)
    {
        NodeId? owner = null;
        using (var pinned = ReadLatest(database, ColumnFamily.Meta, StorageKeys.Identity))
        {
            owner = pinned.Found ? Identity.Read(pinned.Bytes) : null;
        }

        if (owner is null)
        {
            var batch = new WriteBatchBuilder();
            batch.Put(database.FamilyId(ColumnFamily.Meta), StorageKeys.Identity, Identity.Write(node));
            database.Write(batch);
        }
        else if (owner != node)
        {
            throw new StorageException(StorageFault.Foreign, $"The data directory '{directory.Path}' belongs to node '{owner}', this node is '{node}'. Correct Quicksilver:DataDirectory or Quicksilver:NodeId.");
        }
    }

    private static StoreProgress ReadProgress(Database database)
    {
        using var pinned = ReadLatest(database, ColumnFamily.Meta, StorageKeys.Progress);
        return pinned.Found ? StoreProgress.Read(pinned.Bytes) : StoreProgress.Empty;
    }

    private static Pinned ReadLatest(Database database, ColumnFamily family, ReadOnlySpan<byte> key)
    {
        var options = NativeCall.Api.rocksdb_readoptions_create();
        try
        {
            return Pinned.Get(database, options, family, key);
        }
        finally
        {
            NativeCall.Api.rocksdb_readoptions_destroy(options);
        }
    }

    /// <summary>State and log come from one batch, so they must agree; the end of the log must fit its own chain.</summary>
    private static void CheckTail(View view, long records)
    {
        var progress = view.Progress;
        var last = progress.Position.Revision;
        if (last == Revision.None)
        {
            return;
        }

        if (!progress.Subscription.IsAll)
        {
            CheckPartialTail(view, records);
            return;
        }

        var from = new Revision(Math.Max(progress.Oldest.Value, last.Value - records + 1));
        var before = new Revision(from.Value - 1);
        var chain = view.FindChain(before) ?? throw new StorageException(StorageFault.Corrupt, $"The change log lacks revision {before}.");
        var scratch = new ByteWriter();
        while (from <= last)
        {
            scratch.Clear();
            from = ChangeLog.ReadPage(view, from, ref chain, 256 * 1024, scratch);
        }

        if (chain != progress.Chain)
        {
            throw new StorageException(StorageFault.Corrupt, $"The change log ends with chain {chain}, the state says {progress.Chain}.");
        }
    }

    private static void CheckPartialTail(View view, long records)
    {
        var chains = new KeyspaceChains();
        using var cursor = view.OpenLog();
        var first = view.Position.Revision;
        long count = 0;
        for (var more = cursor.SeekForPrevious(first); more && count < records; more = cursor.Previous())
        {
            first = cursor.Revision;
            count++;
        }

        for (var more = count > 0 && cursor.Seek(first); more; more = cursor.Next())
        {
            // One that was let go leaves its records behind for a while.
            if (view.FindKeyspace(RecordView.Parse(cursor.Record).Header.Keyspace) is not null)
            {
                chains.Check(view, cursor.Record, cursor.Revision);
            }
        }
    }

    /// <summary>Closes the store. Views that others still hold stay readable until they are disposed.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _view.Dispose();
            _database.ReleaseReference();
        }
    }
}
