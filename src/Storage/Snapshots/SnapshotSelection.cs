using System.Buffers.Binary;
using System.Text;
using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>The keyspaces of a View that go into a snapshot of some of them; made once for the View.</summary>
public sealed class SnapshotSelection
{
    private readonly uint[] _ids;
    private readonly HashSet<uint> _set;

    /// <param name="wanted">What the receiver will hold.</param>
    /// <param name="except">What it holds already, the catalog included; null where it holds nothing.</param>
    public SnapshotSelection(View view, Subscription wanted, Subscription? except)
    {
        var ids = new List<uint>();
        if (except is null)
        {
            ids.Add(KeyspaceId.Catalog.Value);
        }

        using var rows = view.OpenRows(KeyspaceId.Catalog);
        for (var more = rows.Seek([]); more; more = rows.Next())
        {
            var name = Undamaged.Read(rows.Key, static bytes => KeyspaceName.Parse(Encoding.ASCII.GetString(bytes)), "a name in the catalog");
            if (wanted.Includes(name) && except?.Includes(name) != true)
            {
                ids.Add(Undamaged.Read(rows.Row.Value, CatalogRow.Read, "a row of the catalog").Id.Value);
            }
        }

        ids.Sort();
        (_ids, _set) = ([.. ids], [.. ids]);
    }

    /// <summary>About how much room the rows take on disk, and in memory before they are there.</summary>
    public long EstimateBytes(View view)
    {
        long sum = 0;
        Span<byte> start = stackalloc byte[StorageKeys.KeyspaceBytes];
        Span<byte> end = stackalloc byte[StorageKeys.KeyspaceBytes];
        foreach (var id in _ids)
        {
            StorageKeys.WriteData(start, new(id), default);
            StorageKeys.WriteData(end, new(id + 1), default);
            sum += view.Database.ApproximateBytes(ColumnFamily.Data, start, end);
        }

        return sum + (long)view.Database.Property(ColumnFamily.Data, "rocksdb.cur-size-all-mem-tables");
    }

    internal bool Contains(ReadOnlySpan<byte> id) => _set.Contains(BinaryPrimitives.ReadUInt32BigEndian(id));

    /// <summary>The first keyspace that is selected after another, as the start of its keys; false where there is none.</summary>
    internal bool TryNext(ReadOnlySpan<byte> id, Span<byte> start)
    {
        var found = Array.BinarySearch(_ids, BinaryPrimitives.ReadUInt32BigEndian(id));
        var next = found >= 0 ? found + 1 : ~found;
        if (next >= _ids.Length)
        {
            return false;
        }

        BinaryPrimitives.WriteUInt32BigEndian(start, _ids[next]);
        return true;
    }

    /// <summary>
    /// Rows of a section after a key, for as long as <paramref name="take"/> says yes; true where the section ends with them. There is no log
    /// in it, so the logs of the keyspaces begin behind the last record of each.
    /// </summary>
    internal bool Read(View view, SnapshotSection section, ReadOnlySpan<byte> after, SnapshotBlock.RowTaker take) => section switch
    {
        SnapshotSection.Rows => ReadRows(view, after, take),
        SnapshotSection.KeyspaceStates => ReadStates(view, after, take),
        SnapshotSection.KeyspaceCuts => ReadStates(view, after, (key, value) =>
        {
            var state = KeyspaceState.Read(new(BinaryPrimitives.ReadUInt32BigEndian(key[1..])), value);
            if (state.Sequence == KeyspaceSequence.None)
            {
                return true;
            }

            Span<byte> cutKey = stackalloc byte[StorageKeys.KeyspaceCutBytes];
            StorageKeys.WriteKeyspaceCut(cutKey, state.Id);
            var cut = new ByteWriter(32);
            new KeyspaceCut(state.Sequence, state.Chain).Write(cut);
            return take(cutKey, cut.WrittenSpan);
        }),
        _ => true,
    };

    private bool ReadRows(View view, ReadOnlySpan<byte> after, SnapshotBlock.RowTaker take)
    {
        Span<byte> start = stackalloc byte[SnapshotBlock.MaxKeyBytes + 1];
        after.CopyTo(start);
        start[after.Length] = 0;
        Span<byte> next = stackalloc byte[StorageKeys.KeyspaceBytes];
        using var iterator = new DbIterator(view.Database, view.ReadOptions, ColumnFamily.Data);
        for (var more = iterator.Seek(after.IsEmpty ? default : start[..(after.Length + 1)]); more;)
        {
            if (!Contains(iterator.Key))
            {
                // Others are passed over and not read through.
                if (!TryNext(iterator.Key, next))
                {
                    return true;
                }

                more = iterator.Seek(next);
                continue;
            }

            if (!take(iterator.Key, iterator.Value))
            {
                return false;
            }

            more = iterator.Next();
        }

        return true;
    }

    private bool ReadStates(View view, ReadOnlySpan<byte> after, SnapshotBlock.RowTaker take)
    {
        Span<byte> start = stackalloc byte[StorageKeys.KeyspaceCutBytes + 1];
        var length = 1;
        StorageKeys.KeyspaceStatePrefix.CopyTo(start);
        if (after.Length == StorageKeys.KeyspaceCutBytes)
        {
            // Keys of cuts and of states differ in their first byte only.
            after[1..].CopyTo(start[1..]);
            start[StorageKeys.KeyspaceCutBytes] = 0;
            length = start.Length;
        }

        using var iterator = new DbIterator(view.Database, view.ReadOptions, ColumnFamily.Meta);
        for (var more = iterator.Seek(start[..length]); more && iterator.Key.StartsWith(StorageKeys.KeyspaceStatePrefix); more = iterator.Next())
        {
            if (Contains(iterator.Key[1..]) && !take(iterator.Key, iterator.Value))
            {
                return false;
            }
        }

        return true;
    }
}
