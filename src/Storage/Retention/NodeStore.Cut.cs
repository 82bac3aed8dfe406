using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <content>
/// The change log begins later. A cut is a new <see cref="StoreProgress.Oldest"/>, in one batch with what must be known about what is
/// gone; no record is deleted by it. The room comes back file by file, when no View sees the records of a file any more.
/// </content>
public sealed partial class NodeStore
{
    /// <summary>Records that are looked at in one step: what one write batch may hold.</summary>
    private const int CutStep = 10_000;

    /// <summary>Bytes of records after which a step ends: it holds a View, and a stop waits for it.</summary>
    private const long CutStepBytes = 64L << 20;

    /// <summary>
    /// Cuts the change log: <paramref name="oldest"/> is the first revision that stays. It may be one more than the last there is. Never
    /// back; a revision that is gone already is nothing to do. Throws <see cref="StorageException"/>: Corrupt where the log is damaged,
    /// which is left as it is.
    /// </summary>
    /// <remarks>For one thread; others may read and apply meanwhile. A crash leaves the log cut up to some step.</remarks>
    public void CutLog(Revision oldest, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(oldest, Progress.Position.Revision.Next);
        while (Progress.Oldest < oldest)
        {
            cancellation.ThrowIfCancellationRequested();
            ThrowIfFailed();
            if (!CutOneStep(oldest, cancellation))
            {
                return;
            }
        }
    }

    /// <summary>False where there is nothing before <paramref name="oldest"/>, in a log that has gaps: it begins behind a record it had.</summary>
    private bool CutOneStep(Revision oldest, CancellationToken cancellation)
    {
        var batch = new WriteBatchBuilder();
        var cuts = new Dictionary<KeyspaceId, KeyspaceCut>();
        var database = _database;
        Revision first;
        Revision next;
        ChainHash chain;
        using (var view = AcquireView())
        {
            first = next = view.Progress.Oldest;
            chain = view.Progress.OldestChain;
            var chains = view.Progress.Subscription.IsAll ? null : new KeyspaceChains();
            var looked = 0;
            Span<byte> key = stackalloc byte[StorageKeys.KeyspaceLogBytes];
            using var cursor = view.OpenLog();
            long bytes = 0;
            for (var more = cursor.Seek(next); more && next < oldest && looked < CutStep && bytes < CutStepBytes; more = cursor.Next())
            {
                cancellation.ThrowIfCancellationRequested();
                bytes += cursor.Record.Length;
                looked++;
                if (chains is not null)
                {
                    if (cursor.Revision >= oldest)
                    {
                        break;
                    }

                    next = cursor.Revision;
                }

                // What is forgotten here cannot be told from damage later, so it is checked as if it were sent.
                chain = chains?.Check(view, cursor.Record, next).LogChain ?? ChangeLog.CheckedChain(cursor.Record, next, chain);
                var record = RecordView.Parse(cursor.Record);
                cuts[record.Header.Keyspace] = new(record.Header.Sequence, record.KeyspaceChain);
                StorageKeys.WriteKeyspaceLog(key, record.Header.Keyspace, record.Header.Sequence);
                key.CopyTo(batch.Delete(database.FamilyId(ColumnFamily.KeyspaceLog), key.Length));
                next = next.Next;
            }
        }

        if (next == first)
        {
            if (!Progress.Subscription.IsAll)
            {
                return false;
            }

            throw new StorageException(StorageFault.Corrupt, $"The change log lacks revision {next}.");
        }

        lock (_writing)
        {
            ThrowIfFailed();
            if (database != _database || Progress.Oldest != first)
            {
                // A snapshot came in between, or keyspaces were added, and the log began anew. What was made here is of before.
                return true;
            }

            using var view = AcquireView();
            var row = new ByteWriter(32);
            foreach (var (keyspace, cut) in cuts)
            {
                // One that was dropped meanwhile has no log to continue.
                if (view.FindKeyspace(keyspace) is not null)
                {
                    row.Clear();
                    cut.Write(row);
                    StorageKeys.WriteKeyspaceCut(batch.BeginPut(database.FamilyId(ColumnFamily.Meta), StorageKeys.KeyspaceCutBytes), keyspace);
                    batch.Value(row.Length).WriteRaw(row.WrittenSpan);
                }
            }

            WriteAndPublish(batch, Progress with { Oldest = next, OldestChain = chain });
            return true;
        }
    }

    /// <summary>Gives back the room of records that were cut and that no View sees any more. Throws <see cref="StorageException"/>.</summary>
    public void ReclaimLog()
    {
        // The View keeps its database open: another may take its place meanwhile.
        using var view = AcquireView();
        var database = view.Database;
        if (database.LogHolds.Oldest is not { } held || held == Revision.None.Next)
        {
            return;
        }

        if (held > database.DurableCut)
        {
            // Files go for good at once. That the log begins later must be as durable before.
            try
            {
                database.SyncWal();
            }
            catch (StorageException e)
            {
                Fail(e);
                throw;
            }

            database.DurableCut = held;
        }

        Span<byte> last = stackalloc byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(last, new(held.Value - 1));
        database.DeleteFilesUpTo(ColumnFamily.Log, last);
    }

    /// <summary>About how many bytes the records from <paramref name="from"/> on take on disk; what is in memory is not in it.</summary>
    public static long LogBytes(View view, Revision from)
    {
        Span<byte> start = stackalloc byte[StorageKeys.RevisionBytes];
        Span<byte> end = stackalloc byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(start, from);
        StorageKeys.WriteRevision(end, new(long.MaxValue));
        return view.Database.ApproximateBytes(ColumnFamily.Log, start, end);
    }
}
