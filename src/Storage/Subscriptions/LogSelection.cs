using System.Buffers.Binary;
using System.Text;
using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// Reads the part of a change log that a child with a <see cref="Subscription"/> wants, page after page: the records of its keyspaces and of
/// the catalog, in the order of the log. Near the end of the log it looks at every record; far behind it goes from one record of its
/// keyspaces to the next. For one caller at a time. Every record is checked before it leaves.
/// </summary>
/// <param name="far">With more records than this ahead, it goes by the logs of the keyspaces.</param>
public sealed class LogSelection(Subscription subscription, long far = LogSelection.Far)
{
    public const long Far = 8_192;

    /// <summary>With more keyspaces than this, reading everything is the better way.</summary>
    private const int MaxMerged = 1_024;

    /// <summary>Records, and bytes of them, that are looked at for one page.</summary>
    private const int MaxScanned = 50_000;
    private const long MaxScannedBytes = 16L << 20;

    // Where the keyspace id stands in a record (docs/log-format.md).
    private const int KeyspaceOffset = 18;

    private readonly HashSet<KeyspaceId> _ids = [KeyspaceId.Catalog];
    private readonly KeyspaceChains _chains = new();
    private readonly KeyspaceChains _catalog = new();
    private readonly Dictionary<KeyspaceId, KeyspaceSequence> _next = [];
    private Revision _nextAt;
    private Revision _knownUpTo = new(-1);
    private Revision _lastDrop;

    /// <summary>Keyspaces that are known to match, the catalog among them; those that were dropped meanwhile as well.</summary>
    public int Keyspaces => _ids.Count;

    /// <summary>Pages that were read by the logs of the keyspaces, and by looking at everything.</summary>
    public (long Merged, long Scanned) Pages { get; private set; }

    /// <summary>
    /// Appends the records in [<paramref name="from"/>, result) that are wanted, each with its length in front, about
    /// <paramref name="maxBytes"/> of them; there may be none. Everything wanted before the result is in it. Throws
    /// <see cref="StorageException"/> (Corrupt).
    /// </summary>
    /// <param name="chain">Of the log before <paramref name="from"/>, or null where this store does not know it; becomes that before the result.</param>
    public Revision ReadPage(View view, Revision from, ref ChainHash? chain, int maxBytes, ByteWriter destination)
    {
        Learn(view, from);
        if (view.Position.Revision.Value - from.Value > far && from > _lastDrop && _ids.Count <= MaxMerged)
        {
            Pages = (Pages.Merged + 1, Pages.Scanned);
            return Merge(view, from, ref chain, maxBytes, destination);
        }

        Pages = (Pages.Merged, Pages.Scanned + 1);
        return view.Progress.Subscription.IsAll
            ? ScanWhole(view, from, ref chain, maxBytes, destination)
            : ScanPart(view, from, ref chain, maxBytes, destination);
    }

    /// <summary>
    /// Which keyspaces there are between here and the View: those of its catalog, and those that the log drops on the way. A keyspace keeps its
    /// name for life.
    /// </summary>
    private void Learn(View view, Revision from)
    {
        if (_knownUpTo.Value < 0)
        {
            using var rows = view.OpenRows(KeyspaceId.Catalog);
            for (var more = rows.Seek([]); more; more = rows.Next())
            {
                if (subscription.Includes(KeyspaceName.Parse(Encoding.ASCII.GetString(rows.Key))))
                {
                    _ids.Add(Undamaged.Read(rows.Row.Value, CatalogRow.Read, "a row of the catalog").Id);
                }
            }

            _knownUpTo = new(from.Value - 1);
        }

        var changes = new List<Revision>();
        using (var catalog = view.OpenKeyspaceLog(KeyspaceId.Catalog))
        {
            for (var more = catalog.SeekForPrevious(new(long.MaxValue)); more && catalog.Revision > _knownUpTo; more = catalog.Previous())
            {
                changes.Add(catalog.Revision);
            }
        }

        // In their order, each against the one before: a keyspace that is left out for a damaged one would leave no trace in a page.
        changes.Reverse();
        using var log = view.OpenLog();
        foreach (var revision in changes)
        {
            if (!log.Seek(revision) || log.Revision != revision)
            {
                throw new StorageException(StorageFault.Corrupt, $"The change log lacks revision {revision}, which the catalog has.");
            }

            _catalog.Check(view, log.Record, revision);
            Undamaged.Read(log.Record, LearnFrom, $"revision {revision}");
        }

        _knownUpTo = view.Position.Revision;
    }

    private bool LearnFrom(ReadOnlySpan<byte> bytes)
    {
        var record = RecordView.Parse(bytes);
        var reader = new ByteReader(record.MutationBytes);
        var isMatch = false;
        for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
        {
            var mutation = MutationFormat.Read(ref reader);
            switch (mutation.Kind)
            {
                case MutationKind.DropKeyspace when isMatch:
                    _ids.Add(mutation.DroppedKeyspace);
                    _lastDrop = record.Header.Revision > _lastDrop ? record.Header.Revision : _lastDrop;
                    break;
                case MutationKind.Put or MutationKind.Delete:
                    // A drop comes behind the deletion of the name.
                    isMatch = subscription.Includes(KeyspaceName.Parse(Encoding.ASCII.GetString(mutation.Key)));
                    if (isMatch && mutation.Kind == MutationKind.Put)
                    {
                        _ids.Add(CatalogRow.Read(mutation.Value).Id);
                    }

                    break;
            }
        }

        return true;
    }

    private bool Wants(ReadOnlySpan<byte> record) =>
        record.Length >= KeyspaceOffset + 4 && _ids.Contains(new(BinaryPrimitives.ReadUInt32BigEndian(record[KeyspaceOffset..])));

    private Revision ScanWhole(View view, Revision from, ref ChainHash? chain, int maxBytes, ByteWriter destination)
    {
        var next = from;
        var running = chain ?? throw new ArgumentException("A whole log has a chain everywhere.", nameof(chain));
        long scanned = 0;
        var start = destination.Length;
        using var cursor = view.OpenLog();
        for (var more = cursor.Seek(from); more; more = cursor.Next())
        {
            var bytes = cursor.Record;
            if (cursor.Revision != next)
            {
                throw new StorageException(StorageFault.Corrupt, $"The change log has a gap: revision {next} is missing, {cursor.Revision} follows.");
            }

            if (IsFull(destination.Length - start, bytes.Length, maxBytes, next.Value - from.Value, scanned) && next != from)
            {
                chain = running;
                return next;
            }

            running = ChangeLog.CheckedChain(bytes, next, running);
            scanned += bytes.Length;
            if (Wants(bytes))
            {
                destination.WriteBytes(bytes);
            }

            next = next.Next;
        }

        if (next <= view.Position.Revision)
        {
            throw new StorageException(StorageFault.Corrupt, $"The change log ends before revision {next}, the state is at {view.Position.Revision}.");
        }

        chain = running;
        return next;
    }

    private static bool IsFull(int selected, int more, int maxBytes, long records, long scanned) =>
        (selected > 0 && selected + more > maxBytes) || records >= MaxScanned || scanned >= MaxScannedBytes;

    private Revision ScanPart(View view, Revision from, ref ChainHash? chain, int maxBytes, ByteWriter destination)
    {
        var to = from;
        long records = 0;
        long scanned = 0;
        var start = destination.Length;
        _chains.Clear();
        using var cursor = view.OpenLog();
        for (var more = cursor.Seek(from); more; more = cursor.Next())
        {
            var bytes = cursor.Record;
            if (IsFull(destination.Length - start, bytes.Length, maxBytes, records, scanned))
            {
                return to;
            }

            records++;
            scanned += bytes.Length;
            var isWanted = Wants(bytes);
            chain = isWanted
                ? _chains.Check(view, bytes, cursor.Revision).LogChain
                : Undamaged.Read(bytes, static record => RecordView.Parse(record).LogChain, $"revision {cursor.Revision}");
            if (isWanted)
            {
                destination.WriteBytes(bytes);
            }

            to = cursor.Revision.Next;
        }

        chain = view.Progress.Chain;
        return view.Position.Revision.Next;
    }

    private Revision Merge(View view, Revision from, ref ChainHash? chain, int maxBytes, ByteWriter destination)
    {
        var heads = Heads(view, from);
        var to = from;
        var start = destination.Length;
        using var log = view.OpenLog();
        while (heads.TryDequeue(out var keyspace, out var at))
        {
            var revision = new Revision(at);
            if (!log.Seek(revision) || log.Revision != revision)
            {
                throw new StorageException(StorageFault.Corrupt, $"The change log lacks revision {revision} of keyspace {keyspace}.");
            }

            var bytes = log.Record;
            if (destination.Length > start && destination.Length - start + bytes.Length > maxBytes)
            {
                _nextAt = to;
                return to;
            }

            var record = _chains.Check(view, bytes, revision);
            if (record.Header.Keyspace != keyspace || record.Header.Sequence != _next[keyspace])
            {
                throw new StorageException(StorageFault.Corrupt, $"Revision {revision} is not sequence {_next[keyspace]} of keyspace {keyspace}, as its log says.");
            }

            destination.WriteBytes(bytes);
            (to, chain) = (revision.Next, record.LogChain);
            _next[keyspace] = record.Header.Sequence.Next;
            Push(view, heads, keyspace);
        }

        to = view.Position.Revision.Next;
        chain = view.Progress.Chain;
        _nextAt = to;
        return to;
    }

    /// <summary>The next revision of each keyspace, in order.</summary>
    private PriorityQueue<KeyspaceId, long> Heads(View view, Revision from)
    {
        if (_nextAt != from)
        {
            _next.Clear();
            _chains.Clear();
        }

        var heads = new PriorityQueue<KeyspaceId, long>();
        foreach (var keyspace in _ids)
        {
            if (!_next.ContainsKey(keyspace))
            {
                _next[keyspace] = ChangeCursor.First(view, keyspace, from);
            }

            Push(view, heads, keyspace);
        }

        return heads;
    }

    private void Push(View view, PriorityQueue<KeyspaceId, long> heads, KeyspaceId keyspace)
    {
        var wanted = _next[keyspace];
        using var cursor = view.OpenKeyspaceLog(keyspace);
        if (cursor.Seek(wanted) && cursor.Revision <= view.Position.Revision)
        {
            heads.Enqueue(keyspace, cursor.Sequence == wanted
                ? cursor.Revision.Value
                : throw new StorageException(StorageFault.Corrupt, $"The log of keyspace {keyspace} has a gap: sequence {wanted} is missing, {cursor.Sequence} follows."));
        }
    }
}
