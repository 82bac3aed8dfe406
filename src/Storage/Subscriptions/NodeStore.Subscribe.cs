using System.Buffers.Binary;
using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <content>A replica holds other keyspaces than before.</content>
public sealed partial class NodeStore
{
    /// <summary>
    /// Lets go of the keyspaces that are not in <paramref name="wanted"/>, at once; returns whether others have to be added
    /// (<see cref="Add"/>). A store without a record holds what is wanted at once. For the thread that applies, between two batches; whoever
    /// stages batches makes a new <see cref="ApplyBatch"/>. Throws <see cref="StorageException"/>.
    /// </summary>
    public bool Subscribe(Subscription wanted)
    {
        lock (_writing)
        {
            ThrowIfFailed();
            var progress = Progress;
            if (!progress.Subscription.IsAll)
            {
                using var view = AcquireView();
                ClearStrays(view);
            }

            if (progress.Subscription.Equals(wanted))
            {
                return false;
            }

            if (progress.Position.Revision == Revision.None)
            {
                WriteAndPublish(new(), progress with { Subscription = wanted });
                return false;
            }

            var stays = progress.Subscription.Common(wanted);
            if (!stays.Equals(progress.Subscription))
            {
                var batch = new WriteBatchBuilder();
                using (var view = AcquireView())
                {
                    foreach (var state in States(view).Where(state => state.Id != KeyspaceId.Catalog && !stays.Includes(state.Name)))
                    {
                        KeyspaceRows.Delete(batch, _database, state.Id);
                    }
                }

                // Whoever reads a keyspace of a store that holds some only asks whether it is one of them.
                _database.Hot.TouchAll(progress.Position.Revision);
                WriteAndPublish(batch, progress with { Subscription = stays });
            }

            return !stays.Equals(wanted);
        }
    }

    /// <summary>
    /// Takes in keyspaces that the store does not hold: a snapshot of them, whole, taken at exactly this store's position. They become
    /// readable in one step, with the next View. The log begins anew here: it has nothing of them before. For the thread that applies,
    /// between two batches; whoever stages batches makes a new <see cref="ApplyBatch"/>. Throws <see cref="ArgumentException"/> where the
    /// snapshot is another, <see cref="StorageException"/>; the store holds what it held then.
    /// </summary>
    public void Add(IncomingSnapshot snapshot)
    {
        if (snapshot is not { Header: { Except: { } except } header, IsComplete: true })
        {
            throw new ArgumentException("It is no whole snapshot of keyspaces to add.", nameof(snapshot));
        }

        lock (_writing)
        {
            ThrowIfFailed();
            var progress = Progress;
            if ((progress.Cluster, progress.Position, progress.Chain) != (header.Progress.Cluster, header.Progress.Position, header.Progress.Chain) || !except.Equals(progress.Subscription))
            {
                throw new ArgumentException($"The snapshot is of revision {header.Progress.Position.Revision} (chain {header.Progress.Chain}), for a store that holds {except}; the store is at {progress.Position.Revision} (chain {progress.Chain}) and holds {progress.Subscription}.", nameof(snapshot));
            }

            var next = progress with { Subscription = header.Progress.Subscription, Oldest = progress.Position.Revision.Next, OldestChain = progress.Chain };
            using var view = AcquireView();
            try
            {
                ClearStrays(view);
                FailPoint.Hit(FailPoint.AddCleared);
                foreach (var section in snapshot.Files.GroupBy(file => SnapshotSections.FamilyOf(file.Section)))
                {
                    _database.Ingest(section.Key, [.. section.Select(file => file.Path)]);
                    FailPoint.Hit(FailPoint.AddIngested);
                }

                // Readable only with the row that says so.
                using (var added = new View(_database, next))
                {
                    CheckHeld(added);
                }
            }
            catch (StorageException e) when (e.Fault == StorageFault.Io)
            {
                Fail(e);
                throw;
            }

            var batch = new WriteBatchBuilder();
            using (var current = new View(_database, progress))
            {
                WriteCuts(batch, current);
            }

            // What was read of these keyspaces while they were held before is of another time.
            _database.Hot.TouchAll(progress.Position.Revision);
            WriteAndPublish(batch, next);
            FailPoint.Hit(FailPoint.AddPublished);
        }

        snapshot.Dispose();
        Quietly(() => Directory.Delete(_directory.SnapshotPath, recursive: true));
    }

    /// <summary>Deletes what an addition that was cut off may have left of keyspaces that are not held. Nobody can read it.</summary>
    private void ClearStrays(View view)
    {
        var strays = new HashSet<KeyspaceId>(NotHeld(view));
        using (var states = new DbIterator(view.Database, view.ReadOptions, ColumnFamily.Meta))
        {
            for (var more = states.Seek(StorageKeys.KeyspaceStatePrefix); more && states.Key.StartsWith(StorageKeys.KeyspaceStatePrefix); more = states.Next())
            {
                var id = new KeyspaceId(BinaryPrimitives.ReadUInt32BigEndian(states.Key[1..]));
                if (id != KeyspaceId.Catalog && view.FindKeyspace(id) is null)
                {
                    strays.Add(id);
                }
            }
        }

        if (strays.Count > 0)
        {
            var batch = new WriteBatchBuilder();
            foreach (var id in strays)
            {
                KeyspaceRows.Delete(batch, _database, id);
            }

            _database.Write(batch);
        }
    }

    /// <summary>Keyspaces of which there are rows, but which the store does not hold.</summary>
    private static List<KeyspaceId> NotHeld(View view)
    {
        var found = new List<KeyspaceId>();
        Span<byte> next = stackalloc byte[StorageKeys.KeyspaceBytes];
        using var rows = new DbIterator(view.Database, view.ReadOptions, ColumnFamily.Data);
        for (var more = rows.Seek([]); more; more = rows.Seek(next))
        {
            var id = new KeyspaceId(BinaryPrimitives.ReadUInt32BigEndian(rows.Key));
            if (id != KeyspaceId.Catalog && view.FindKeyspace(id) is null)
            {
                found.Add(id);
            }

            StorageKeys.WriteData(next, new(id.Value + 1), default);
        }

        return found;
    }

    /// <summary>The logs of the keyspaces that were held so far begin behind the last record of each.</summary>
    private void WriteCuts(WriteBatchBuilder batch, View view)
    {
        Span<byte> start = stackalloc byte[StorageKeys.KeyspaceBytes];
        Span<byte> end = stackalloc byte[StorageKeys.KeyspaceBytes];
        var row = new ByteWriter(32);
        foreach (var state in States(view).Where(state => state.Sequence != KeyspaceSequence.None))
        {
            StorageKeys.WriteData(start, state.Id, default);
            StorageKeys.WriteData(end, new(state.Id.Value + 1), default);
            batch.DeleteRange(_database.FamilyId(ColumnFamily.KeyspaceLog), start, end);
            row.Clear();
            new KeyspaceCut(state.Sequence, state.Chain).Write(row);
            StorageKeys.WriteKeyspaceCut(batch.BeginPut(_database.FamilyId(ColumnFamily.Meta), StorageKeys.KeyspaceCutBytes), state.Id);
            batch.Value(row.Length).WriteRaw(row.WrittenSpan);
        }
    }

    /// <summary>Keyspaces of the catalog that are in a subscription and not held.</summary>
    private static List<KeyspaceId> Missing(View view, Subscription wanted)
    {
        var missing = new List<KeyspaceId>();
        using var rows = view.OpenRows(KeyspaceId.Catalog);
        for (var more = rows.Seek([]); more; more = rows.Next())
        {
            var name = Undamaged.Read(rows.Key, static bytes => KeyspaceName.Parse(System.Text.Encoding.ASCII.GetString(bytes)), "a name in the catalog");
            var (id, _, _) = Undamaged.Read(rows.Row.Value, CatalogRow.Read, "a row of the catalog");
            if (wanted.Includes(name) && view.FindKeyspace(id) is null)
            {
                missing.Add(id);
            }
        }

        return missing;
    }

    /// <summary>States of the keyspaces that a View holds.</summary>
    private static List<KeyspaceState> States(View view)
    {
        var states = new List<KeyspaceState>();
        using var iterator = new DbIterator(view.Database, view.ReadOptions, ColumnFamily.Meta);
        for (var more = iterator.Seek(StorageKeys.KeyspaceStatePrefix); more && iterator.Key.StartsWith(StorageKeys.KeyspaceStatePrefix); more = iterator.Next())
        {
            if (view.FindKeyspace(new KeyspaceId(BinaryPrimitives.ReadUInt32BigEndian(iterator.Key[1..]))) is { } state)
            {
                states.Add(state);
            }
        }

        return states;
    }

    /// <summary>
    /// Every keyspace of the catalog that the store holds has its own state, and there is no row of any other. Throws
    /// <see cref="StorageException"/> (Corrupt).
    /// </summary>
    private static void CheckHeld(View view)
    {
        if (view.FindKeyspace(KeyspaceId.Catalog) is null && view.Position.Revision != Revision.None)
        {
            throw new StorageException(StorageFault.Corrupt, "The snapshot lacks the state of the catalog.");
        }

        if (Missing(view, view.Progress.Subscription) is { Count: > 0 } missing)
        {
            throw new StorageException(StorageFault.Corrupt, $"The snapshot has keyspace {missing[0]} and not its state.");
        }

        if (view.Progress.Subscription.IsAll)
        {
            return;
        }

        if (NotHeld(view) is { Count: > 0 } strange)
        {
            throw new StorageException(StorageFault.Corrupt, $"The snapshot has rows of keyspace {strange[0]}, which is not in {view.Progress.Subscription}.");
        }
    }
}
