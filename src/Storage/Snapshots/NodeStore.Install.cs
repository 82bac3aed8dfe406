using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <content>A snapshot in place of what is there.</content>
public sealed partial class NodeStore
{
    /// <summary>What is there of a snapshot for this store, or nothing. Throws <see cref="StorageException"/> (Io).</summary>
    public IncomingSnapshot OpenIncoming() => IncomingSnapshot.Open(_directory, Options.SnapshotFileBytes);

    /// <summary>Deletes what there is of an incoming snapshot; nothing may have it open. Throws <see cref="StorageException"/> (Io).</summary>
    public void DiscardIncoming()
    {
        try
        {
            if (Directory.Exists(_directory.SnapshotPath))
            {
                Directory.Delete(_directory.SnapshotPath, recursive: true);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException(StorageFault.Io, $"Cannot delete the directory '{_directory.SnapshotPath}' of an incoming snapshot: {e.Message}", e);
        }
    }

    /// <summary>Bytes that the disk has left for this node.</summary>
    public long FreeBytes => new DriveInfo(_directory.Path).AvailableFreeSpace;

    /// <summary>About how much room the state and the change log take on disk, bytes.</summary>
    public long EstimatedBytes
    {
        get
        {
            long sum = 0;
            using var view = AcquireView();
            foreach (var family in new[] { ColumnFamily.Data, ColumnFamily.Log, ColumnFamily.KeyspaceLog })
            {
                sum += (long)(view.Database.Property(family, "rocksdb.estimate-live-data-size") + view.Database.Property(family, "rocksdb.cur-size-all-mem-tables"));
            }

            return sum;
        }
    }

    /// <summary>What tables take on disk, bytes, by the name of their column family; memtables and write-ahead logs are not in it.</summary>
    public IReadOnlyList<(string Family, long Bytes)> TableBytes
    {
        get
        {
            // The View keeps its database open: another may take its place meanwhile.
            using var view = AcquireView();
            return [.. Enum.GetValues<ColumnFamily>().Select(family => (family.ToString(), (long)view.Database.Property(family, "rocksdb.total-sst-files-size")))];
        }
    }

    /// <summary>
    /// The snapshot, whole, takes the place of what the store has: a database is built of it aside and checked, then it is the node's, in
    /// one step. Reads go on from the old View until that moment, and from the new one after it. A replica or a joining member has applied
    /// no Raft entry then; see <see cref="RaftLogStore.Install"/> for a member. For the thread that applies, between two batches; whoever
    /// stages batches makes a new <see cref="ApplyBatch"/>. Throws <see cref="StorageException"/>; the old database is there then, as it was.
    /// </summary>
    /// <param name="quarantine">When: what was there is wrong, and is kept in a directory <c>quarantined-TIME</c>. Null: it is deleted.</param>
    /// <param name="joins">For a node that becomes a hub member: it must know what expires.</param>
    public void Install(IncomingSnapshot snapshot, DateTimeOffset? quarantine = null, bool joins = false) =>
        Install(snapshot, floor: null, beforeSwitch: quarantine is { } now ? () => _directory.MarkQuarantined(now) : null, indexesExpiry: joins);

    /// <param name="floor">The Raft log begins behind this entry, and the votes stay; null for a store without either.</param>
    /// <param name="beforeSwitch">Called when the new database is whole, before it is the node's.</param>
    internal void Install(IncomingSnapshot snapshot, RaftFloor? floor, Action? beforeSwitch, bool indexesExpiry)
    {
        if (snapshot is not { Header: { Except: null } header, IsComplete: true })
        {
            throw new ArgumentException("The snapshot is not whole.", nameof(snapshot));
        }

        var current = Progress;
        if (!current.Cluster.IsNone && current.Cluster != header.Progress.Cluster)
        {
            throw new StorageException(StorageFault.Foreign, $"The snapshot is of cluster {header.Progress.Cluster}, this store belongs to {current.Cluster}.");
        }

        if (current.Position.History == header.Progress.Position.History && current.Position.Revision > header.Progress.Position.Revision)
        {
            throw new ArgumentException($"The snapshot is of revision {header.Progress.Position.Revision}, the store is at {current.Position.Revision} already.", nameof(snapshot));
        }

        var progress = header.Progress with { AppliedIndex = floor?.Index ?? LogIndex.None, FullCopies = current.FullCopies + 1 };
        var path = "";
        var next = OnDisk(() =>
        {
            path = _directory.NextDatabasePath;
            if (Directory.Exists(path))
            {
                Directory.Delete(path, recursive: true);
            }

            return Database.Open(path, Options.BlockCacheBytes, Options.HotRows);
        });
        var isSwitching = false;
        FailPoint.Hit(FailPoint.InstallBegun);
        try
        {
            // On a replica what expires would stay for good: nobody there deletes it.
            var files = snapshot.Files.Where(file => indexesExpiry || file.Section != SnapshotSection.Expiries);
            foreach (var section in files.GroupBy(file => SnapshotSections.FamilyOf(file.Section)))
            {
                next.Ingest(section.Key, [.. section.Select(file => file.Path)]);
                FailPoint.Hit(FailPoint.InstallIngested);
            }

            WriteMeta(next, progress, floor);
            FailPoint.Hit(FailPoint.InstallMeta);
            using (var view = new View(next, progress))
            {
                Check(view);
            }

            FailPoint.Hit(FailPoint.InstallChecked);
            OnDisk(() =>
            {
                DirectorySync.Flush(path);
                DirectorySync.Flush(_directory.Path);
                return true;
            });
            beforeSwitch?.Invoke();
            FailPoint.Hit(FailPoint.InstallSwitch);
            isSwitching = true;
            _directory.SwitchDatabase();
            FailPoint.Hit(FailPoint.InstallSwitched);
        }
        catch (Exception e)
        {
            next.ReleaseReference();
            if (!isSwitching)
            {
                // It holds the room that the next try needs. From the switch on it may be the one that counts.
                Quietly(() => Directory.Delete(path, recursive: true));
            }

            throw e is MalformedDataException ? new StorageException(StorageFault.Corrupt, $"The snapshot of '{header.Source}' is damaged. {e.Message}", e) : e;
        }

        Database previous;
        lock (_writing)
        {
            previous = _database;
            _database = next;
            Publish(progress);
        }

        FailPoint.Hit(FailPoint.InstallPublished);
        var old = previous.Path;
        previous.OnClosed(() => Quietly(() => _directory.Release(old)));
        previous.ReleaseReference();
        FailPoint.Hit(FailPoint.InstallReleased);
        snapshot.Dispose();
        Quietly(() => Directory.Delete(_directory.SnapshotPath, recursive: true));
    }

    private static T OnDisk<T>(Func<T> act)
    {
        try
        {
            return act();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException(StorageFault.Io, $"Cannot put a snapshot in place: {e.Message}", e);
        }
    }

    private void WriteMeta(Database next, StoreProgress progress, RaftFloor? floor)
    {
        var batch = new WriteBatchBuilder();
        var meta = next.FamilyId(ColumnFamily.Meta);
        batch.Put(meta, StorageKeys.Identity, Identity.Write(Options.Node));
        var row = new ByteWriter();
        progress.Write(row);
        batch.Put(meta, StorageKeys.Progress, row.WrittenSpan);
        if (floor is { } cut)
        {
            batch.Put(meta, StorageKeys.RaftFloor, FloorRow(cut));
            using var votes = ReadLatest(ColumnFamily.Meta, StorageKeys.RaftVotes);
            if (votes.Found)
            {
                // A member goes on with what it promised: only its state is another's.
                batch.Put(meta, StorageKeys.RaftVotes, votes.Bytes);
            }
        }

        next.Write(batch);
        next.SyncWal();
    }

    /// <summary>The log must fit its chain and the state, and every keyspace of the catalog must have its own state.</summary>
    private static void Check(View view)
    {
        CheckTail(view, long.MaxValue / 2);
        CheckHeld(view);
    }

    private static void Quietly(Action act)
    {
        try
        {
            act();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What nothing refers to is deleted at the next start.
        }
    }
}
