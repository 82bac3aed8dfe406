using System.Buffers.Binary;
using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>
/// One pass over everything that a store has, in small steps, while it is read and written: rows against the checksums of their blocks, against
/// their format and against the records that made them, where those are in the log still; records against the chains, and against the log of
/// their keyspace. For one thread.
/// </summary>
public sealed class ScrubWalk(NodeStore store)
{
    private enum Part
    {
        Rows,
        Records,
        Done,
    }

    private readonly KeyspaceChains _chains = new();
    private Part _part = Part.Rows;
    private byte[] _after = [];
    private (Database? Database, Subscription? Subscription) _of;
    private Revision _next;

    // The last one there was when the records' turn came: what is written from then on is for the next pass.
    private Revision? _end;
    private ChainHash _chain;

    /// <summary>Rows looked at.</summary>
    public long Rows { get; private set; }

    /// <summary>Records looked at.</summary>
    public long Records { get; private set; }

    /// <summary>
    /// Looks at about so many bytes more, at least one row or record; returns how many, 0 where the pass is over. Throws
    /// <see cref="StorageException"/>: Corrupt where something is damaged.
    /// </summary>
    public long Step(int maxBytes)
    {
        using var view = store.AcquireView();
        var options = view.CreateScrubOptions();
        try
        {
            var of = (view.Database, view.Progress.Subscription);
            if (of != _of)
            {
                // A copy came in between, or keyspaces were added or let go: the log is another, and the chains begin anew.
                (_of, _next, _end) = (of, default, null);
            }

            while (_part != Part.Done)
            {
                var bytes = _part == Part.Rows ? WalkRows(view, options, maxBytes) : WalkRecords(view, options, maxBytes);
                if (bytes > 0)
                {
                    return bytes;
                }

                _part++;
            }

            return 0;
        }
        finally
        {
            NativeCall.Api.rocksdb_readoptions_destroy(options);
        }
    }

    private long WalkRows(View view, IntPtr options, int maxBytes)
    {
        long bytes = 0;
        using var rows = new DbIterator(view.Database, options, ColumnFamily.Data);
        byte[] start = _after.Length == 0 ? [] : [.. _after, 0];
        for (var more = rows.Seek(start); more; more = rows.Next())
        {
            var key = rows.Key;
            if (key.Length <= StorageKeys.KeyspaceBytes || key.Length > StorageKeys.KeyspaceBytes + Limits.MaxKeyBytes)
            {
                throw Damaged($"a key of {key.Length} bytes is among the rows");
            }

            CheckRow(view, options, key, rows.Value);
            Rows++;
            bytes += key.Length + rows.Value.Length;
            if (bytes >= maxBytes)
            {
                _after = key.ToArray();
                return bytes;
            }
        }

        _after = [];
        return 0;
    }

    private static void CheckRow(View view, IntPtr options, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        var keyspace = new KeyspaceId(BinaryPrimitives.ReadUInt32BigEndian(key));
        if (keyspace != KeyspaceId.Catalog && view.FindKeyspace(keyspace) is null)
        {
            // Of one that is being added: nobody reads it yet, and no record here made it.
            return;
        }

        var row = DataRow.Parse(value);
        if (row.Revision > view.Position.Revision || row.Revision == Revision.None)
        {
            throw Damaged($"a row of keyspace {keyspace} is of revision {row.Revision}, the store is at {view.Position.Revision}");
        }

        if (row.Revision < view.Progress.Oldest)
        {
            return;
        }

        Span<byte> at = stackalloc byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(at, row.Revision);
        using var pinned = Pinned.Get(view.Database, options, ColumnFamily.Log, at);
        if (!pinned.Found || !Makes(pinned.Bytes, keyspace, key[StorageKeys.KeyspaceBytes..], row))
        {
            throw Damaged($"a row of keyspace {keyspace} is not what revision {row.Revision} made of it");
        }
    }

    private static bool Makes(ReadOnlySpan<byte> bytes, KeyspaceId keyspace, ReadOnlySpan<byte> key, in DataRow row)
    {
        try
        {
            var record = RecordView.Parse(bytes);
            if (record.Header.Keyspace != keyspace)
            {
                return false;
            }

            var reader = new ByteReader(record.MutationBytes);
            for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
            {
                var mutation = MutationFormat.Read(ref reader);

                // A prefix delete makes no row, also where the row's key is just the prefix: what puts it comes behind.
                if (mutation.Kind is not (MutationKind.DropKeyspace or MutationKind.DeletePrefix) && mutation.Key.SequenceEqual(key))
                {
                    return mutation.IsPut && mutation.Value.SequenceEqual(row.Value) && mutation.Metadata.SequenceEqual(row.Metadata)
                        && mutation.ExpiresAt(record.Header.LogTime) == row.ExpiresAt;
                }
            }

            return false;
        }
        catch (MalformedDataException e)
        {
            throw Damaged($"revision {row.Revision} cannot be read: {e.Message}");
        }
    }

    private long WalkRecords(View view, IntPtr options, int maxBytes)
    {
        var progress = view.Progress;
        var end = _end ??= view.Position.Revision;
        if (_next < progress.Oldest)
        {
            // The beginning, also where it was cut in the meantime.
            (_next, _chain) = (progress.Oldest, progress.OldestChain);
            _chains.Clear();
        }

        long bytes = 0;
        Span<byte> start = stackalloc byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(start, _next);
        using var records = new DbIterator(view.Database, options, ColumnFamily.Log);
        for (var more = records.Seek(start); more && StorageKeys.ReadRevision(records.Key) <= end; more = records.Next())
        {
            var revision = StorageKeys.ReadRevision(records.Key);
            CheckRecord(view, options, revision, records.Value);
            Records++;
            bytes += records.Value.Length;
            _next = revision.Next;
            if (bytes >= maxBytes)
            {
                return bytes;
            }
        }

        if (progress.Subscription.IsAll && _next <= end)
        {
            throw Damaged($"the change log lacks revision {_next}");
        }

        return bytes;
    }

    private void CheckRecord(View view, IntPtr options, Revision revision, ReadOnlySpan<byte> bytes)
    {
        if (view.Progress.Subscription.IsAll)
        {
            if (revision != _next)
            {
                throw Damaged($"the change log lacks revision {_next}");
            }

            _chain = ChangeLog.CheckedChain(bytes, revision, _chain);
        }

        var header = Undamaged.Read(bytes, static record => RecordView.Parse(record).Header, $"revision {revision}");
        if (view.FindKeyspace(header.Keyspace) is null && header.Keyspace != KeyspaceId.Catalog)
        {
            // Dropped, or let go: only the record is left.
            return;
        }

        if (!view.Progress.Subscription.IsAll)
        {
            _chains.Check(view, bytes, revision);
        }

        Span<byte> key = stackalloc byte[StorageKeys.KeyspaceLogBytes];
        StorageKeys.WriteKeyspaceLog(key, header.Keyspace, header.Sequence);
        using var entry = Pinned.Get(view.Database, options, ColumnFamily.KeyspaceLog, key);
        if (!entry.Found || entry.Bytes.Length != StorageKeys.RevisionBytes || StorageKeys.ReadRevision(entry.Bytes) != revision)
        {
            throw Damaged($"the log of keyspace {header.Keyspace} does not lead to revision {revision} at sequence {header.Sequence}");
        }
    }

    private static StorageException Damaged(string what) => new(StorageFault.Corrupt, $"Damage was found: {what}.");
}
