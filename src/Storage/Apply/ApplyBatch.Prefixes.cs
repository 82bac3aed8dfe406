using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <content>All rows with a prefix.</content>
public sealed partial class ApplyBatch
{
    /// <summary>
    /// Rows whose key begins with a prefix, as the batch sees them; one with a large value counts as several (<see cref="Limits.PrefixRowBytes"/>).
    /// Ends early where there are more than <paramref name="most"/>, or where <paramref name="looks"/> are used up: what it returns is then more than
    /// <paramref name="most"/>, or not all. Same state, same rows staged, same answer and same looks left, on every member.
    /// </summary>
    /// <param name="looks">What may be looked at: each one staged takes one, each row below the batch what it counts. Below 0: there was more.</param>
    public int CountRows(KeyspaceId keyspace, ReadOnlySpan<byte> prefix, int most, ref int looks)
    {
        looks -= _overlay.Count;
        if (looks < 0)
        {
            return 0;
        }

        var count = _overlay.CountRows(keyspace, prefix);

        // Read once: it must not push out of memory what others read often.
        var options = Base.CreateScrubOptions();
        try
        {
            using var rows = new RowCursor(Base, keyspace, options);
            for (var more = rows.Seek(prefix); more && count <= most && rows.Key.StartsWith(prefix); more = rows.Next())
            {
                var weight = WeightOf(rows.Row.Value.Length);
                looks -= weight;
                if (looks < 0)
                {
                    break;
                }

                // One that is staged was counted above, or is gone.
                count += _overlay.TryGet(keyspace, rows.Key, out _) ? 0 : weight;
            }

            return count;
        }
        finally
        {
            NativeCall.Api.rocksdb_readoptions_destroy(options);
        }
    }

    /// <summary>As how many rows one counts.</summary>
    internal static int WeightOf(int valueBytes) => 1 + (valueBytes / Limits.PrefixRowBytes);

    /// <summary>
    /// One range in place of a row each: a replica need not look for what is there, and the batch stays small. Who applies a record does not count;
    /// the hub has.
    /// </summary>
    private void StagePrefixDelete(in RecordHeader header, ReadOnlySpan<byte> prefix)
    {
        Span<byte> start = stackalloc byte[StorageKeys.KeyspaceBytes + Limits.MaxKeyBytes];
        Span<byte> end = stackalloc byte[StorageKeys.KeyspaceBytes + Limits.MaxKeyBytes];
        start = start[..(StorageKeys.KeyspaceBytes + prefix.Length)];
        StorageKeys.WriteData(start, header.Keyspace, prefix);
        start.CopyTo(end);
        _batch.DeleteRange(Family(ColumnFamily.Data), start, StorageKeys.Behind(end[..start.Length]));
        _deletedPrefixes.Add(start.ToArray());
        _overlay.DeletePrefix(header.Keyspace, header.Revision, prefix);
    }
}
