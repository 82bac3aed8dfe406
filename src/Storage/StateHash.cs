using System.Buffers.Binary;
using System.IO.Hashing;
using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>What two nodes compare to know that they hold the same.</summary>
/// <param name="Rows">Rows of all keyspaces, the catalog included.</param>
public readonly record struct StateHashes(LogPosition Position, ChainHash Chain, ChainHash State, long Rows);

/// <summary>
/// XxHash128 over all rows in key order: for each, keyspace and key, revision, expiry, metadata and value with their lengths. Two nodes
/// at the same position must agree, whatever their files look like.
/// </summary>
public static class StateHash
{
    /// <summary>Most bytes of records that may lie between a pinned View and the revision asked for.</summary>
    private const long MaxOverlayBytes = 256L << 20;

    /// <summary>What a row of the overlay costs beside its bytes.</summary>
    private const int RowOverhead = 200;

    /// <summary>
    /// Hashes the state at exactly <paramref name="at"/>: the rows of <paramref name="pinned"/> (not later than that) with the
    /// records up to it, read from <paramref name="log"/> (not earlier than that), laid over. So nodes can be compared at one
    /// revision while writes go on, although each publishes its Views at revisions of its own. Long and blocking.
    /// </summary>
    /// <param name="only">Hash only the catalog and these keyspaces, as a replica that holds them would; null for all that the store has.</param>
    public static StateHashes Compute(View pinned, View log, Revision at, CancellationToken cancellation, Subscription? only = null)
    {
        only ??= pinned.Progress.Subscription;
        ArgumentOutOfRangeException.ThrowIfLessThan(at, pinned.Position.Revision);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(at, log.Position.Revision);
        var later = new SortedDictionary<byte[], LaterRow>(Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b)));
        var dropped = new HashSet<uint>();
        var prefixes = new DeletedPrefixes();
        CollectLater(pinned, log, at, later, dropped, prefixes, cancellation);

        var hash = new Hasher(only);
        using var rows = new DbIterator(pinned.Database, pinned.ReadOptions, ColumnFamily.Data);
        using var overlay = later.GetEnumerator();
        var hasRow = rows.Seek(default);
        var hasLater = overlay.MoveNext();
        while (hasRow || hasLater)
        {
            if ((hash.Rows & 0xfff) == 0)
            {
                cancellation.ThrowIfCancellationRequested();
            }

            var order = !hasRow ? 1 : !hasLater ? -1 : rows.Key.SequenceCompareTo(overlay.Current.Key);
            if (order >= 0)
            {
                if (overlay.Current.Value.Exists && overlay.Current.Value.Revision >= prefixes.DeletedAt(overlay.Current.Key))
                {
                    hash.Add(overlay.Current.Key, overlay.Current.Value.Revision, overlay.Current.Value.ExpiresAt, overlay.Current.Value.Metadata, overlay.Current.Value.Value);
                }

                hasRow = order == 0 ? rows.Next() : hasRow;
                hasLater = overlay.MoveNext();
                continue;
            }

            if (!dropped.Contains(BinaryPrimitives.ReadUInt32BigEndian(rows.Key)) && prefixes.DeletedAt(rows.Key) == Revision.None)
            {
                var row = DataRow.Parse(rows.Value);
                hash.Add(rows.Key, row.Revision, row.ExpiresAt, row.Metadata, row.Value);
            }

            hasRow = rows.Next();
        }

        // Of a log with gaps the chain is known at some revisions only.
        var chain = log.FindChain(at) ?? (log.Progress.Subscription.IsAll ? throw new StorageException(StorageFault.Corrupt, $"The change log lacks revision {at}.") : ChainHash.Empty);
        return new(pinned.Position with { Revision = at }, chain, hash.Finish(), hash.Rows);
    }

    private static void CollectLater(
        View pinned, View log, Revision at, SortedDictionary<byte[], LaterRow> later, HashSet<uint> dropped, DeletedPrefixes prefixes,
        CancellationToken cancellation)
    {
        if (at == pinned.Position.Revision)
        {
            return;
        }

        if (log.Progress.Oldest > pinned.Position.Revision.Next)
        {
            throw new InvalidOperationException($"The records after the pinned revision {pinned.Position.Revision} were cut meanwhile. Pin again.");
        }

        long bytes = 0;
        using var cursor = log.OpenLog();
        for (var more = cursor.Seek(pinned.Position.Revision.Next); more && cursor.Revision <= at; more = cursor.Next())
        {
            cancellation.ThrowIfCancellationRequested();
            if (bytes > MaxOverlayBytes)
            {
                throw new InvalidOperationException($"More than {MaxOverlayBytes} bytes of changes lie between the pinned revision {pinned.Position.Revision} and {at}. Pin again.");
            }

            var record = RecordView.Parse(cursor.Record);
            var reader = new ByteReader(record.MutationBytes);
            for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
            {
                var mutation = MutationFormat.Read(ref reader);
                bytes += mutation.Key.Length + mutation.Metadata.Length + mutation.Value.Length + RowOverhead;
                if (mutation.Kind == MutationKind.DropKeyspace)
                {
                    DropLater(later, mutation.DroppedKeyspace);
                    dropped.Add(mutation.DroppedKeyspace.Value);
                    continue;
                }

                var key = new byte[StorageKeys.KeyspaceBytes + mutation.Key.Length];
                StorageKeys.WriteData(key, record.Header.Keyspace, mutation.Key);
                if (mutation.Kind == MutationKind.DeletePrefix)
                {
                    prefixes.Add(key, record.Header.Revision);
                    continue;
                }

                later[key] = new(record.Header.Revision, mutation.IsPut, mutation.ExpiresAt(record.Header.LogTime), mutation.Metadata.ToArray(), mutation.Value.ToArray());
            }
        }
    }

    private static void DropLater(SortedDictionary<byte[], LaterRow> later, KeyspaceId keyspace)
    {
        foreach (var key in later.Keys.Where(key => BinaryPrimitives.ReadUInt32BigEndian(key) == keyspace.Value).ToList())
        {
            later.Remove(key);
        }
    }

    private readonly record struct LaterRow(Revision Revision, bool Exists, LogTime ExpiresAt, byte[] Metadata, byte[] Value);

    private sealed class Hasher(Subscription only)
    {
        private readonly XxHash128 _hash = new();
        private readonly HashSet<uint> _ids = [];

        public long Rows { get; private set; }

        public void Add(ReadOnlySpan<byte> key, Revision revision, LogTime expiresAt, ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value)
        {
            if (!only.IsAll && !IsIn(key, value))
            {
                return;
            }

            Span<byte> head = stackalloc byte[28];
            var expires = expiresAt != LogTime.None;
            BinaryPrimitives.WriteInt32BigEndian(head, key.Length);
            BinaryPrimitives.WriteInt64BigEndian(head[4..], revision.Value);
            BinaryPrimitives.WriteInt32BigEndian(head[12..], metadata.Length | (expires ? int.MinValue : 0));
            BinaryPrimitives.WriteInt32BigEndian(head[16..], value.Length);
            BinaryPrimitives.WriteInt64BigEndian(head[20..], expiresAt.Value);
            _hash.Append(expires ? head : head[..20]);
            _hash.Append(key);
            _hash.Append(metadata);
            _hash.Append(value);
            Rows++;
        }

        /// <summary>The catalog comes first, so it is known by then which keyspaces there are.</summary>
        private bool IsIn(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            var keyspace = BinaryPrimitives.ReadUInt32BigEndian(key);
            if (keyspace != KeyspaceId.Catalog.Value)
            {
                return _ids.Contains(keyspace);
            }

            if (only.Includes(KeyspaceName.Parse(System.Text.Encoding.ASCII.GetString(key[StorageKeys.KeyspaceBytes..]))))
            {
                _ids.Add(CatalogRow.Read(value).Id.Value);
            }

            return true;
        }

        public ChainHash Finish()
        {
            Span<byte> digest = stackalloc byte[ChainHash.SizeBytes];
            _hash.GetCurrentHash(digest);
            return ChainHash.Read(digest);
        }
    }
}
