using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <summary>The state of one node at one position with its log, as a snapshot carries it.</summary>
internal sealed record SimulatedSnapshot(
    NodeId Source, StoreProgress Progress, ChainHash KeyspaceChain, List<ReadOnlyMemory<byte>> Records, bool IsDamaged)
{
    /// <summary>The log, and rows that grow with it.</summary>
    public long Bytes => Records.Sum(record => (long)record.Length) + (50 * Progress.Position.Revision.Value);
}

/// <summary>
/// What a node keeps, as <see cref="NodeStore"/> keeps it, in memory: progress and log, changed by one batch at a time. Nothing is synced on
/// a replica, so a loss of power takes the last batches, but never a part of one; a cut and an installed copy are durable. Records are
/// checked as by <see cref="ApplyBatch.AppendVerified"/> when they come and as by <see cref="ChangeLog.ReadPage"/> when they are read.
/// </summary>
internal sealed class SimulatedStore(Plant plant) : IRetainedLog
{
    /// <summary>Batches after which the operating system has written the older half of them.</summary>
    private const int MaxUnwritten = 32;

    // Revisions [Oldest, Last].
    private readonly List<ReadOnlyMemory<byte>> _records = [];

    // The durable state, and those that the batches since then led to. All have the same Oldest.
    private readonly List<State> _states = [new(StoreProgress.Empty, TrueLog.FirstKeyspaceChain)];

    private ReadOnlyMemory<byte> _undamaged;

    private sealed record State(StoreProgress Progress, ChainHash KeyspaceChain);

    private State Current => _states[^1];

    public StoreProgress Progress => Current.Progress;

    /// <inheritdoc/>
    public Revision Oldest => Progress.Oldest;

    /// <inheritdoc/>
    public Revision Last => Progress.Position.Revision;

    /// <inheritdoc/>
    public LogTime LogTime => Progress.LogTime;

    public int Records => _records.Count;

    /// <summary>A record that is not on disk what was written; null for none.</summary>
    public Revision? Damaged { get; private set; }

    /// <summary>Called when a View was published.</summary>
    public Action Published { get; set; } = () => { };

    /// <summary>Called for each batch that was applied, before its View is published: where it began, and the revisions its records name.</summary>
    public Action<Revision, List<Revision>> Applied { get; set; } = (_, _) => { };

    /// <summary>The record of a revision as it is on disk; null where there is none.</summary>
    public ReadOnlyMemory<byte>? FindRecord(Revision revision)
    {
        var index = revision.Value - Oldest.Value;
        if (index < 0 || index >= _records.Count)
        {
            return default;
        }

        return _records[(int)index];
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
        for (var index = (int)Math.Max(0, from.Value - Oldest.Value); index < _records.Count; index++)
        {
            bytes += _records[index].Length;
        }

        return bytes;
    }

    /// <inheritdoc/>
    public Revision FirstSince(LogTime time)
    {
        for (var revision = Oldest; revision <= Last; revision = revision.Next)
        {
            if (RecordView.Parse(FindRecord(revision)!.Value.Span).Header.LogTime >= time)
            {
                return revision;
            }
        }

        return Last.Next;
    }

    /// <summary>Hub: the first entry.</summary>
    public void Form() => SetDurable(Current with { Progress = Adopted(Progress, TrueLog.Cluster, TrueLog.History) });

    private static StoreProgress Adopted(StoreProgress progress, ClusterUuid cluster, HistoryId history)
    {
        var chain = StoreProgress.FirstChain(cluster, history);
        return progress with { Cluster = cluster, Position = new(LogId.Main, history, Revision.None), Chain = chain, OldestChain = chain };
    }

    /// <summary>Hub: records that are committed, durable on a quorum.</summary>
    public void Append(List<ReadOnlyMemory<byte>> records, TrueLog log, LogTime now)
    {
        _records.AddRange(records);
        SetDurable(new(Progress with { Position = Progress.Position with { Revision = log.Last }, Chain = log.Chain, LogTime = now }, log.KeyspaceChain));
        Published();
    }

    /// <summary>
    /// Replica: a page, as <see cref="PageApplier"/> applies it, all of it or nothing. Throws <see cref="MalformedDataException"/> where it
    /// is not what it says.
    /// </summary>
    public void Apply(LogPage page)
    {
        var (progress, keyspaceChain) = Current;
        if (progress.Position.Revision == Revision.None)
        {
            progress = Adopted(progress, page.Cluster, page.Source.History);
        }

        var (chain, logTime, revision) = (progress.Chain, progress.LogTime, progress.Position.Revision);
        var before = revision;
        var records = new List<ReadOnlyMemory<byte>>();
        var revisions = new List<Revision>();
        var reader = new ByteReader(page.Records.Span);
        while (reader.Remaining > 0)
        {
            var bytes = reader.ReadBytes(RecordFormat.MaxBytes, "the record's length");
            var record = RecordView.Parse(bytes);
            var header = record.Header;
            revisions.Add(header.Revision);
            if (plant == Plant.AppliesTwice && header.Revision <= revision)
            {
                // Put over itself: nothing shows it but that it was done.
                continue;
            }

            var digest = record.ComputeDigest();
            chain = chain.Append(digest);
            keyspaceChain = keyspaceChain.Append(digest);
            if (plant != Plant.SkipsARecord && (header.Revision != revision.Next || header.Sequence.Value != revision.Next.Value))
            {
                throw new MalformedDataException($"Revision {revision.Next} was to come, the record says {header.Revision}.");
            }

            if (plant is not (Plant.TakesChainsOnTrust or Plant.SkipsARecord) && (chain != record.LogChain || keyspaceChain != record.KeyspaceChain))
            {
                throw new MalformedDataException($"Revision {header.Revision} does not fit the chains.");
            }

            if (header.LogTime < logTime)
            {
                throw new MalformedDataException($"Revision {header.Revision} has log time {header.LogTime}, the one before has {logTime}.");
            }

            (revision, logTime) = (revision.Next, header.LogTime);
            records.Add(page.Records.Memory.Slice(reader.Offset - bytes.Length, bytes.Length));
        }

        if (plant == Plant.SkipsARecord)
        {
            revision = new(page.To.Value - 1);
        }

        if (revision.Next != page.To)
        {
            throw new MalformedDataException($"The page promises records before {page.To}, its last is {revision}.");
        }

        _records.AddRange(records);
        _states.Add(new(progress with { Position = progress.Position with { Revision = revision }, Chain = chain, LogTime = logTime }, keyspaceChain));
        if (_states.Count > MaxUnwritten)
        {
            _states.RemoveRange(0, MaxUnwritten / 2);
        }

        Applied(before, revisions);
        Published();
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

    /// <summary>As <see cref="NodeStore.CutLog"/> and <see cref="NodeStore.ReclaimLog"/>; false where the log is damaged there, and left as it is.</summary>
    public bool TryCut(Revision oldest)
    {
        if (Damaged < oldest || FindChain(new(oldest.Value - 1)) is not { } chain)
        {
            return false;
        }

        var (progress, keyspaceChain) = Current;
        _records.RemoveRange(0, (int)(oldest.Value - progress.Oldest.Value));
        SetDurable(new(progress with { Oldest = oldest, OldestChain = chain }, keyspaceChain));
        return true;
    }

    public SimulatedSnapshot TakeSnapshot(NodeId self) => new(self, Progress, Current.KeyspaceChain, [.. _records], Damaged is not null);

    /// <summary>As <see cref="NodeStore.Install(IncomingSnapshot, DateTimeOffset?)"/>.</summary>
    public void Install(SimulatedSnapshot snapshot)
    {
        var own = Progress;
        if (own.Position.History == snapshot.Progress.Position.History && own.Position.Revision > snapshot.Progress.Position.Revision)
        {
            throw new ArgumentException($"The snapshot is of revision {snapshot.Progress.Position.Revision}, the store is at {own.Position.Revision} already.", nameof(snapshot));
        }

        Replace(snapshot with { Progress = snapshot.Progress with { FullCopies = own.FullCopies + 1 } });
    }

    /// <summary>Puts a state in place of what is there, whatever it is.</summary>
    public void Replace(SimulatedSnapshot snapshot)
    {
        _records.Clear();
        _records.AddRange(snapshot.Records);
        Damaged = null;
        SetDurable(new(snapshot.Progress, snapshot.KeyspaceChain));
        Published();
    }

    private void SetDurable(State state)
    {
        _states.Clear();
        _states.Add(state);
    }

    /// <summary>The power fails: what the operating system had not written is gone, from some batch on. Returns how many records that are.</summary>
    public long LosePower(Random random)
    {
        var kept = _states[random.Next(_states.Count)];
        var lost = Last.Value - kept.Progress.Position.Revision.Value;
        _records.RemoveRange(_records.Count - (int)lost, (int)lost);
        if (Damaged > kept.Progress.Position.Revision)
        {
            Damaged = null;
        }

        SetDurable(plant == Plant.KeepsThePositionAlone ? Current : kept);
        return lost;
    }

    /// <summary>A byte of a value is not any more what was written. One record at a time.</summary>
    public bool TryDamage(Random random)
    {
        if (_records.Count == 0 || Damaged is not null)
        {
            return false;
        }

        var index = random.Next(_records.Count);
        _undamaged = _records[index];
        var bytes = _undamaged.ToArray();

        // The last one before the two chains.
        bytes[bytes.Length - (2 * ChainHash.SizeBytes) - 1] ^= 1;
        _records[index] = bytes;
        Damaged = new(Oldest.Value + index);
        return true;
    }

    public void Mend()
    {
        if (Damaged is { } damaged)
        {
            _records[(int)(damaged.Value - Oldest.Value)] = _undamaged;
            Damaged = null;
        }
    }
}
