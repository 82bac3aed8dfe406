using System.Runtime.InteropServices;
using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// What a node keeps, as <see cref="NodeStore"/> keeps it, in memory: progress, keyspaces and log, changed by one batch at a time. Nothing is
/// synced on a replica, so a loss of power takes the last batches, but never a part of one; a cut and an installed copy are durable. Records
/// are checked when they come (<see cref="SimulatedBatch"/>), and as by <see cref="ChangeLog.ReadPage"/> when they are read.
/// </summary>
internal sealed partial class SimulatedStore(Plant plant) : IRetainedLog
{
    /// <summary>Batches after which the operating system has written the older half of them.</summary>
    private const int MaxUnwritten = 32;

    // In the order of their revisions. The log begins at _first: what is before it comes back where the power fails.
    private readonly List<LogRow> _records = [];
    private int _first;

    // The durable state, and those that the batches since then led to.
    private readonly List<StoreState> _states = [StoreState.Empty];

    private ReadOnlyMemory<byte> _undamaged;

    private StoreState Current => _states[^1];

    public StoreProgress Progress => Current.Progress;

    /// <summary>Those that are held, by id.</summary>
    public Dictionary<KeyspaceId, KeyspaceImage> Keyspaces => Current.Keyspaces;

    /// <summary>The catalog.</summary>
    public Dictionary<KeyspaceName, KeyspaceId> Names => Current.Names;

    /// <inheritdoc/>
    public Revision Oldest => Progress.Oldest;

    /// <inheritdoc/>
    public Revision Last => Progress.Position.Revision;

    /// <inheritdoc/>
    public LogTime LogTime => Progress.LogTime;

    public int Records => _records.Count - _first;

    /// <summary>A record that is not on disk what was written; null for none.</summary>
    public Revision? Damaged { get; private set; }

    /// <summary>Called when a View was published.</summary>
    public Action Published { get; set; } = () => { };

    /// <summary>Called for each batch that was applied, before its View is published: where it began, and the revisions its records name.</summary>
    public Action<Revision, List<Revision>> Applied { get; set; } = (_, _) => { };

    /// <summary>The record of a revision as it is on disk; null where there is none.</summary>
    public ReadOnlyMemory<byte>? FindRecord(Revision revision)
    {
        var index = IndexOf(revision);
        if (index < _first || index >= _records.Count || _records[index].Revision != revision)
        {
            return default;
        }

        return _records[index].Bytes;
    }

    /// <summary>The records of the log from a revision on. Until the next batch.</summary>
    public ReadOnlySpan<LogRow> RowsFrom(Revision from) => CollectionsMarshal.AsSpan(_records)[Math.Max(_first, IndexOf(from))..];

    /// <summary>Where the record of a revision is, or else the first one after it.</summary>
    private int IndexOf(Revision revision)
    {
        if (_records.Count == 0)
        {
            return 0;
        }

        // A whole log has no gaps.
        var guess = revision.Value - _records[0].Revision.Value;
        if (guess >= 0 && guess < _records.Count && _records[(int)guess].Revision == revision)
        {
            return (int)guess;
        }

        var (first, end) = (0, _records.Count);
        while (first < end)
        {
            var middle = (first + end) / 2;
            (first, end) = _records[middle].Revision < revision ? (middle + 1, end) : (first, middle);
        }

        return first;
    }

    /// <summary>As <see cref="View.FindChain"/>.</summary>
    public ChainHash? FindChain(Revision revision)
    {
        if (revision == Last)
        {
            return Progress.Chain;
        }

        if (revision.Next == Oldest)
        {
            return Progress.OldestChain;
        }

        return revision < Last && FindRecord(revision) is { } record ? RecordView.Parse(record.Span).LogChain : null;
    }

    /// <inheritdoc/>
    public long BytesFrom(Revision from)
    {
        long bytes = 0;
        foreach (var row in RowsFrom(from))
        {
            bytes += row.Bytes.Length;
        }

        return bytes;
    }

    /// <inheritdoc/>
    public Revision FirstSince(LogTime time)
    {
        var first = Oldest;
        foreach (var row in RowsFrom(first))
        {
            if (RecordView.Parse(row.Bytes.Span).Header.LogTime >= time)
            {
                break;
            }

            first = row.Revision.Next;
        }

        return first;
    }

    /// <summary>Hub: the first entry.</summary>
    public void Form()
    {
        var batch = new SimulatedBatch(Current, plant);
        batch.Adopt(TrueLog.Cluster, TrueLog.History);
        SetDurable(batch.Commit());
    }

    /// <summary>Hub: records that are committed, durable on a quorum.</summary>
    public void Append(List<ReadOnlyMemory<byte>> records)
    {
        var batch = new SimulatedBatch(Current, plant);
        records.ForEach(batch.AppendVerified);
        _records.AddRange(batch.Rows);
        SetDurable(batch.Commit());
        Published();
    }

    /// <summary>
    /// Replica: a page, as <see cref="PageApplier"/> applies it, all of it or nothing. Throws <see cref="MalformedDataException"/> where it
    /// is not what it says.
    /// </summary>
    /// <param name="upTo">Where to stop, with the chain of the log there; for a store that holds some keyspaces.</param>
    public void Apply(LogPage page, (Revision Revision, ChainHash Chain)? upTo = null)
    {
        var before = Last;
        var batch = new SimulatedBatch(Current, plant);
        try
        {
            if (before == Revision.None)
            {
                batch.Adopt(page.Cluster, page.Source.History);
            }

            if (batch.IsWhole)
            {
                StageWhole(batch, page);
            }
            else
            {
                StageSelected(batch, page, upTo);
            }
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            throw e as MalformedDataException ?? new MalformedDataException(e.Message);
        }

        _records.AddRange(batch.Rows);
        Push(batch.Commit());
        Applied(before, batch.Named);
        Published();
    }

    private void StageWhole(SimulatedBatch batch, LogPage page)
    {
        var reader = new ByteReader(page.Records.Span);
        while (reader.Remaining > 0)
        {
            batch.AppendVerified(NextRecord(ref reader, page));
        }

        if (plant == Plant.SkipsARecord)
        {
            batch.Believe(new(page.To.Value - 1));
        }

        if (batch.Revision.Next != page.To)
        {
            throw new MalformedDataException($"The page promises records before {page.To}, its last is {batch.Revision}.");
        }
    }

    private static void StageSelected(SimulatedBatch batch, LogPage page, (Revision Revision, ChainHash Chain)? upTo)
    {
        if (!page.IsWhole)
        {
            throw new MalformedDataException("The page does not fit its checksum.");
        }

        var reader = new ByteReader(page.Records.Span);
        while (reader.Remaining > 0)
        {
            var record = NextRecord(ref reader, page);
            var revision = RecordView.Parse(record.Span).Header.Revision;
            if (revision >= page.To)
            {
                throw new MalformedDataException($"The page promises records before {page.To}, and has revision {revision}.");
            }

            if (upTo is not { } limit || revision <= limit.Revision)
            {
                batch.AppendSelected(record);
            }
        }

        if (upTo is { } end)
        {
            batch.AdvanceTo(end.Revision, end.Chain);
        }
        else if (page.To > page.From)
        {
            batch.AdvanceTo(new(page.To.Value - 1), page.Chain);
        }
    }

    private static ReadOnlyMemory<byte> NextRecord(ref ByteReader reader, LogPage page)
    {
        var length = reader.ReadBytes(RecordFormat.MaxBytes, "the record's length").Length;
        return page.Records.Memory.Slice(reader.Offset - length, length);
    }

    /// <summary>
    /// As <see cref="ChangeLog.ReadPage"/>: throws <see cref="StorageException"/> (Corrupt) at a record that is damaged.
    /// </summary>
    public Revision ReadPage(Revision from, ref ChainHash chain, int maxBytes, ByteWriter destination)
    {
        var start = destination.Length;
        var next = from;
        for (; next <= Last; next = next.Next)
        {
            if (FindRecord(next) is not { } record)
            {
                throw new StorageException(StorageFault.Corrupt, $"The change log lacks revision {next}.");
            }

            if (next != from && destination.Length - start + record.Length > maxBytes)
            {
                return next;
            }

            var view = RecordView.Parse(record.Span);
            chain = chain.Append(view.ComputeDigest());
            if (view.Header.Revision != next || chain != view.LogChain)
            {
                throw new StorageException(StorageFault.Corrupt, $"The change-log record of revision {next} does not fit the chain: it is damaged.");
            }

            destination.WriteBytes(record.Span);
        }

        return next;
    }

    /// <summary>
    /// As <see cref="NodeStore.CutLog"/> and <see cref="NodeStore.ReclaimLog"/>; false where the log is damaged there, and left as it is. One
    /// with gaps begins behind a record that it had.
    /// </summary>
    public bool TryCut(Revision oldest)
    {
        if (Damaged >= Oldest && Damaged < oldest)
        {
            return false;
        }

        var end = IndexOf(oldest);
        if (end <= _first)
        {
            return true;
        }

        var last = _records[end - 1];
        var ends = new Dictionary<KeyspaceId, LogRow>();
        for (var i = _first; i < end; i++)
        {
            ends[_records[i].Keyspace] = _records[i];
        }

        var keyspaces = new Dictionary<KeyspaceId, KeyspaceImage>(Keyspaces);
        foreach (var (id, row) in ends)
        {
            // One that was dropped meanwhile has no log to continue.
            if (keyspaces.TryGetValue(id, out var keyspace))
            {
                var record = RecordView.Parse(row.Bytes.Span);
                keyspaces[id] = keyspace with { CutSequence = record.Header.Sequence, CutChain = record.KeyspaceChain };
            }
        }

        var chain = RecordView.Parse(last.Bytes.Span).LogChain;
        SetDurable(Current with { Progress = Progress with { Oldest = last.Revision.Next, OldestChain = chain }, Keyspaces = keyspaces });
        return true;
    }

    /// <summary>A batch was written, and may be lost with the power.</summary>
    private void Push(StoreState state)
    {
        _states.Add(state);
        if (_states.Count > MaxUnwritten)
        {
            _states.RemoveRange(0, MaxUnwritten / 2);
        }

        _first = IndexOf(state.Progress.Oldest);
    }

    private void SetDurable(StoreState state)
    {
        _states.Clear();
        _states.Add(state);

        // Nothing brings back now what is before the log.
        _records.RemoveRange(0, IndexOf(state.Progress.Oldest));
        _first = 0;
        if (Damaged < state.Progress.Oldest)
        {
            Damaged = null;
        }
    }

    /// <summary>The power fails: what the operating system had not written is gone, from some batch on. Returns how many revisions that are.</summary>
    public long LosePower(Random random)
    {
        var kept = _states[random.Next(_states.Count)];
        var last = kept.Progress.Position.Revision;
        var lost = Last.Value - last.Value;
        var end = IndexOf(last.Next);
        _records.RemoveRange(end, _records.Count - end);
        if (Damaged > last)
        {
            Damaged = null;
        }

        SetDurable(plant == Plant.KeepsThePositionAlone ? Current : kept);
        return lost;
    }

    /// <summary>A byte of a value is not any more what was written. One record at a time.</summary>
    public bool TryDamage(Random random)
    {
        if (Records == 0 || Damaged is not null)
        {
            return false;
        }

        var index = _first + random.Next(Records);
        var row = _records[index];
        _undamaged = row.Bytes;
        var bytes = _undamaged.ToArray();

        // The last one before the two chains.
        bytes[bytes.Length - (2 * ChainHash.SizeBytes) - 1] ^= 1;
        _records[index] = row with { Bytes = bytes };
        Damaged = row.Revision;
        return true;
    }

    public void Mend()
    {
        if (Damaged is { } damaged)
        {
            var index = IndexOf(damaged);
            _records[index] = _records[index] with { Bytes = _undamaged };
            Damaged = null;
        }
    }
}
