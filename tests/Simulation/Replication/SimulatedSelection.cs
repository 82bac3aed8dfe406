using System.Text;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// The part of a node's log that one child wants: <see cref="LogSelection"/> over the simulated store, with its two ways to read, and what it
/// learns of keyspaces that come and go. The chains of keyspaces are checked as by <c>KeyspaceChains</c>.
/// </summary>
internal sealed class SimulatedSelection(World world, SimulatedStore store, Subscription subscription)
{
    private readonly HashSet<KeyspaceId> _ids = [KeyspaceId.Catalog];
    private readonly Dictionary<KeyspaceId, (KeyspaceSequence Sequence, ChainHash Chain)> _last = [];
    private Revision _nextAt;
    private Revision _knownUpTo = new(-1);
    private Revision _lastDrop;

    public Subscription Subscription { get; } = subscription;

    /// <summary>Appends the records in [from, result) that are wanted. Throws <see cref="StorageException"/> (Corrupt).</summary>
    /// <param name="chain">Of the log before <paramref name="from"/>, or null where this store does not know it; becomes that before the result.</param>
    public Revision ReadPage(Revision from, ref ChainHash? chain, int maxBytes, ByteWriter destination)
    {
        Learn(from);
        if (store.Last.Value - from.Value > Tuning.Source.FarRecords && from > _lastDrop)
        {
            world.Verdict.Count("parts read by keyspace");
            return Merge(from, ref chain, maxBytes, destination);
        }

        return store.Progress.Subscription.IsAll
            ? ScanWhole(from, ref chain, maxBytes, destination)
            : ScanPart(from, ref chain, maxBytes, destination);
    }

    /// <summary>Which keyspaces there are between here and the state: those of its catalog, and those that the log drops on the way.</summary>
    private void Learn(Revision from)
    {
        if (_knownUpTo.Value < 0)
        {
            foreach (var (name, id) in store.Names)
            {
                if (Subscription.Includes(name))
                {
                    _ids.Add(id);
                }
            }

            _knownUpTo = new(from.Value - 1);
        }

        foreach (var row in store.RowsFrom(_knownUpTo.Next))
        {
            if (row.Keyspace == KeyspaceId.Catalog)
            {
                // On a disk the checksum of its block says so; the chain is looked at when the record is sent, which is too late for this.
                if (row.Revision == store.Damaged)
                {
                    throw new StorageException(StorageFault.Corrupt, $"The change-log record of revision {row.Revision} is damaged.");
                }

                LearnFrom(row);
            }
        }

        _knownUpTo = store.Last;
    }

    private void LearnFrom(LogRow row)
    {
        var reader = new ByteReader(RecordView.Parse(row.Bytes.Span).MutationBytes);
        var isMatch = false;
        for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
        {
            var mutation = MutationFormat.Read(ref reader);
            switch (mutation.Kind)
            {
                case MutationKind.DropKeyspace when isMatch:
                    _ids.Add(mutation.DroppedKeyspace);
                    _lastDrop = row.Revision > _lastDrop ? row.Revision : _lastDrop;
                    break;
                case MutationKind.Put or MutationKind.Delete:
                    // A drop comes behind the deletion of the name.
                    isMatch = Subscription.Includes(KeyspaceName.Parse(Encoding.ASCII.GetString(mutation.Key)));
                    if (isMatch && mutation.Kind == MutationKind.Put)
                    {
                        _ids.Add(CatalogRow.Read(mutation.Value).Id);
                    }

                    break;
            }
        }
    }

    private bool Wants(LogRow row) => _ids.Contains(row.Keyspace) || world.Plant == Plant.SendsEverything;

    private void Take(LogRow row, ByteWriter destination)
    {
        if (world.Plant != Plant.FiltersOneTooMany || !world.Simulator.Chance(0.05))
        {
            destination.WriteBytes(row.Bytes.Span);
        }
    }

    /// <summary>The page ends before the log does: it says so, or by the bug of <see cref="Plant.ReachesTooFar"/> that there is nothing more.</summary>
    private Revision EndAt(Revision next, ChainHash? before, ref ChainHash? chain)
    {
        world.Verdict.Count("parts cut between records");
        (next, chain) = world.Plant == Plant.ReachesTooFar ? (store.Last.Next, store.Progress.Chain) : (next, before);
        return next;
    }

    private static bool IsFull(int selected, int more, int maxBytes, long records) =>
        (selected > 0 && selected + more > maxBytes) || records >= Tuning.MaxScanned;

    private Revision ScanWhole(Revision from, ref ChainHash? chain, int maxBytes, ByteWriter destination)
    {
        var next = from;
        var running = chain ?? throw new ArgumentException("A whole log has a chain everywhere.", nameof(chain));
        var start = destination.Length;
        foreach (var row in store.RowsFrom(from))
        {
            if (row.Revision != next)
            {
                throw new StorageException(StorageFault.Corrupt, $"The change log has a gap: revision {next} is missing, {row.Revision} follows.");
            }

            if (IsFull(destination.Length - start, row.Bytes.Length, maxBytes, next.Value - from.Value) && next != from)
            {
                return EndAt(next, running, ref chain);
            }

            var record = RecordView.Parse(row.Bytes.Span);
            running = running.Append(record.ComputeDigest());
            if (record.Header.Revision != next || running != record.LogChain)
            {
                throw new StorageException(StorageFault.Corrupt, $"The change-log record of revision {next} does not fit the chain: it is damaged.");
            }

            if (Wants(row))
            {
                Take(row, destination);
            }

            next = next.Next;
        }

        if (next <= store.Last)
        {
            throw new StorageException(StorageFault.Corrupt, $"The change log ends before revision {next}, the state is at {store.Last}.");
        }

        chain = running;
        return next;
    }

    private Revision ScanPart(Revision from, ref ChainHash? chain, int maxBytes, ByteWriter destination)
    {
        var to = from;
        var records = 0;
        var start = destination.Length;
        _last.Clear();
        foreach (var row in store.RowsFrom(from))
        {
            if (IsFull(destination.Length - start, row.Bytes.Length, maxBytes, records))
            {
                return EndAt(to, chain, ref chain);
            }

            records++;
            if (Wants(row))
            {
                chain = CheckedInKeyspace(row);
                Take(row, destination);
            }
            else
            {
                chain = RecordView.Parse(row.Bytes.Span).LogChain;
            }

            to = row.Revision.Next;
        }

        chain = store.Progress.Chain;
        return store.Last.Next;
    }

    private Revision Merge(Revision from, ref ChainHash? chain, int maxBytes, ByteWriter destination)
    {
        if (_nextAt != from)
        {
            _last.Clear();
        }

        var to = from;
        var start = destination.Length;
        foreach (var row in store.RowsFrom(from))
        {
            if (!Wants(row))
            {
                continue;
            }

            if (destination.Length > start && destination.Length - start + row.Bytes.Length > maxBytes)
            {
                _nextAt = to;
                return EndAt(to, chain, ref chain);
            }

            chain = CheckedInKeyspace(row);
            to = row.Revision.Next;
            Take(row, destination);
        }

        chain = store.Progress.Chain;
        _nextAt = store.Last.Next;
        return _nextAt;
    }

    /// <summary>The chain of the log after a record, which must fit that of its keyspace.</summary>
    private ChainHash CheckedInKeyspace(LogRow row)
    {
        var record = RecordView.Parse(row.Bytes.Span);
        var sequence = record.Header.Sequence;
        if (Before(row, sequence) is { } before && before.Append(record.ComputeDigest()) != record.KeyspaceChain)
        {
            throw new StorageException(StorageFault.Corrupt, $"The change-log record of revision {row.Revision} does not fit the chain of its keyspace: it is damaged.");
        }

        _last[row.Keyspace] = (sequence, record.KeyspaceChain);
        return record.LogChain;
    }

    /// <summary>The chain of a keyspace before a sequence; null where the keyspace is not there any more.</summary>
    private ChainHash? Before(LogRow row, KeyspaceSequence sequence)
    {
        if (_last.TryGetValue(row.Keyspace, out var last) && last.Sequence.Next == sequence)
        {
            return last.Chain;
        }

        if (sequence == KeyspaceSequence.None.Next)
        {
            return row.Keyspace == KeyspaceId.Catalog
                ? StoreProgress.FirstChain(store.Progress.Cluster, store.Progress.Position.History)
                : KeyspaceImage.FirstChain(row.Keyspace);
        }

        if (!store.Keyspaces.TryGetValue(row.Keyspace, out var keyspace))
        {
            return null;
        }

        if (keyspace.CutSequence.Next == sequence)
        {
            return keyspace.CutChain;
        }

        var rows = store.RowsFrom(store.Oldest);
        for (var i = rows.Length - 1; i >= 0; i--)
        {
            if (rows[i].Keyspace == row.Keyspace && rows[i].Revision < row.Revision)
            {
                var earlier = RecordView.Parse(rows[i].Bytes.Span);
                if (earlier.Header.Sequence.Next == sequence)
                {
                    return earlier.KeyspaceChain;
                }

                break;
            }
        }

        throw new StorageException(StorageFault.Corrupt, $"The change log lacks what is before sequence {sequence} of keyspace {row.Keyspace}.");
    }
}
