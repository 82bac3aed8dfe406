using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Grains;

/// <summary>Reads a View into the packed blocks of answers. Every answer stays within its budget and one row.</summary>
internal static class StateReader
{
    /// <summary>Rows of a multi-read; what does not fit the budget is marked to be asked for again, but the first row always fits.</summary>
    public static GetManyAnswer GetMany(NodeContext node, View view, KeyspaceId keyspace, Payload keys)
    {
        var reader = new ByteReader(keys.Span);
        var count = ReadBlocks.ReadKeyCount(ref reader);
        var rows = new ByteWriter(Math.Min(64 * 1024, 64 + (count * 128)));
        rows.WriteVarint(count);
        var found = 0;
        using var get = MultiGet.Rent();
        for (var left = count; left > 0;)
        {
            get.Clear();
            for (var i = Math.Min(left, MultiGet.Capacity); i > 0; i--)
            {
                get.Add(keyspace, ReadBlocks.ReadKey(ref reader));
            }

            left -= get.Count;
            get.Execute(view);
            found += Pack(get, rows, found > 0);
            if (rows.Length > Limits.MaxRowsBytes)
            {
                for (; left > 0; left--)
                {
                    ReadBlocks.ReadKey(ref reader);
                    ReadBlocks.WriteWithout(rows, RowState.AskAgain);
                }
            }
        }

        reader.ExpectEnd();

        // A row that was found proves its keyspace; only a read that found nothing has to ask whether there is one.
        // Nor does it where the node holds some keyspaces only: one that is being added may have rows already.
        return (found == 0 || !view.Progress.Subscription.IsAll) && keyspace != KeyspaceId.Catalog && view.FindKeyspace(keyspace) is null
            ? new(Missing(view), node.Answer(view.Progress), default, MissingProblem(view))
            : new(ReadStatus.Ok, node.Answer(view.Progress), new(rows.WrittenMemory), null);
    }

    private static ReadStatus Missing(View view) => view.Progress.Subscription.IsAll ? ReadStatus.KeyspaceNotFound : ReadStatus.KeyspaceNotHeld;

    private static string? MissingProblem(View view) => view.Progress.Subscription.IsAll
        ? null
        : $"This node holds {view.Progress.Subscription} (Quicksilver:Keyspaces). Ask a node that holds the keyspace, or add it to the setting.";

    private static int Pack(MultiGet get, ByteWriter rows, bool hasRow)
    {
        var found = 0;
        for (var i = 0; i < get.Count; i++)
        {
            if (!get.TryGetRow(i, out var row))
            {
                ReadBlocks.WriteWithout(rows, RowState.Absent);
            }
            else if ((hasRow || found > 0) && rows.Length + row.Value.Length + row.Metadata.Length > Limits.MaxRowsBytes)
            {
                ReadBlocks.WriteWithout(rows, RowState.AskAgain);
            }
            else
            {
                ReadBlocks.WriteFound(rows, new(row.Revision, row.ExpiresAt, row.Metadata, row.Value));
                found++;
            }
        }

        return found;
    }

    /// <summary>One page of rows. The request's bounds and cursor were checked.</summary>
    public static ScanAnswer Scan(NodeContext node, View view, KeyspaceId keyspace, ScanRequest request, ReadOnlySpan<byte> after)
    {
        if (view.FindKeyspace(keyspace) is null && keyspace != KeyspaceId.Catalog)
        {
            return new(Missing(view), node.Answer(view.Progress), default, default, MissingProblem(view));
        }

        var isReverse = (request.Flags & ScanFlags.Reverse) != 0;
        var rows = new ByteWriter(64 * 1024);
        var count = 0;
        ReadOnlyMemory<byte> cursor = default;
        var last = new byte[Limits.MaxKeyBytes];
        var lastLength = 0;
        using var walk = view.OpenRows(keyspace);
        for (var more = isReverse ? SeekLast(walk, request, after) : walk.Seek(First(request, after)); more; more = isReverse ? walk.Previous() : walk.Next())
        {
            var key = walk.Key;
            if (!isReverse && after.SequenceEqual(key) && !after.IsEmpty)
            {
                continue;
            }

            if (IsOutside(request, key, isReverse))
            {
                break;
            }

            var row = Asked(request.Flags, walk.Row);
            if (count == request.Limit || (count > 0 && rows.Length + row.Value.Length + row.Metadata.Length > Limits.MaxBatchBytes))
            {
                cursor = ScanCursor.Encode(view.Progress.Cluster, keyspace, request, last.AsSpan(0, lastLength));
                break;
            }

            ReadBlocks.WriteScanned(rows, key, row);
            key.CopyTo(last);
            lastLength = key.Length;
            count++;
        }

        var block = new ByteWriter(rows.Length + 5);
        block.WriteVarint(count);
        block.WriteRaw(rows.WrittenSpan);
        return new(ReadStatus.Ok, node.Answer(view.Progress), new(block.WrittenMemory), new(cursor), null);
    }

    /// <summary>What of a row the scan asks for.</summary>
    private static RowContent Asked(ScanFlags flags, DataRow row)
    {
        var isKeysOnly = (flags & ScanFlags.KeysOnly) != 0;
        var hasMetadata = !isKeysOnly || (flags & ScanFlags.WithMetadata) != 0;
        return new(row.Revision, row.ExpiresAt, hasMetadata ? row.Metadata : default, isKeysOnly ? default : row.Value);
    }

    /// <summary>The walk has come to the far end of the scan.</summary>
    private static bool IsOutside(ScanRequest request, ReadOnlySpan<byte> key, bool isReverse) =>
        !key.StartsWith(request.Prefix.Span)
        || (isReverse
            ? key.SequenceCompareTo(request.Start.Span) < 0
            : !request.End.Span.IsEmpty && key.SequenceCompareTo(request.End.Span) >= 0);

    /// <summary>Moves to the last row before all that bounds the page from above: cursor, end, prefix.</summary>
    private static bool SeekLast(in RowCursor walk, ScanRequest request, ReadOnlySpan<byte> after)
    {
        var prefix = request.Prefix.Span;
        var end = request.End.Span;
        var bound = end.IsEmpty || (!after.IsEmpty && after.SequenceCompareTo(end) < 0) ? after : end;

        // A bound behind all keys with the prefix bounds nothing. One before them leaves no row, and the first one seen says so.
        return !bound.IsEmpty && (bound.StartsWith(prefix) || bound.SequenceCompareTo(prefix) < 0)
            ? walk.SeekBefore(bound)
            : walk.SeekLast(prefix);
    }

    /// <summary>The greatest of what bounds the page from below: cursor, start, prefix.</summary>
    private static ReadOnlySpan<byte> First(ScanRequest request, ReadOnlySpan<byte> after)
    {
        var first = request.Prefix.Span.SequenceCompareTo(request.Start.Span) >= 0 ? request.Prefix.Span : request.Start.Span;
        return first.SequenceCompareTo(after) >= 0 ? first : after;
    }
}
