using System.Buffers.Binary;
using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>
/// The Raft log in the column family <c>raft</c> of the node's database: one write-ahead log, and one flush of the device, for the
/// log and for what is applied of it. The database opens with whatever prefix of its write-ahead log is whole; entries and the state
/// they led to are in one sequence there, so that prefix is a state this member once had. Whether it is too short says
/// <see cref="DurableMark"/>.
/// </summary>
public sealed class RaftLogStore : IRaftLogStore
{
    /// <summary>
    /// Table files of entries, bytes; beyond it the oldest are deleted, whatever is in them. Three times what is ever kept of the log
    /// (<c>RaftLogOptions.CutAfterBytes</c>, and less than that again which is not applied yet), so what is in them was cut long ago.
    /// </summary>
    public const long MaxTableBytes = 512L << 20;

    private readonly NodeStore _store;
    private readonly DurableMark _mark;
    private readonly WriteBatchBuilder _batch = new();
    private readonly Lock _voting = new();
    private long _votesNumber;

    private RaftLogStore(NodeStore store, DurableMark mark)
    {
        _store = store;
        _mark = mark;
        (_votesNumber, Votes) = ReadVotes();
    }

    /// <inheritdoc/>
    public RaftVotes Votes { get; private set; }

    /// <summary>
    /// Opens the log of a member. Throws <see cref="StorageException"/>: Corrupt where the database has lost entries or votes that were
    /// durable, Io otherwise.
    /// </summary>
    /// <param name="store">The member's database; it outlives this.</param>
    /// <param name="directory">The Raft directory.</param>
    public static RaftLogStore Open(NodeStore store, string directory)
    {
        // Before the mark is made, or the next start would find it.
        if (!DurableMark.IsIn(directory) && HasLog(store))
        {
            throw new StorageException(
                StorageFault.Corrupt,
                $"The directory '{directory}' lacks the mark of what was durable: whether the database has all of this member's log and votes cannot be told. This member must be repaired.");
        }

        var mark = DurableMark.Open(directory);
        try
        {
            var log = new RaftLogStore(store, mark);
            log.CheckNothingLost();
            return log;
        }
        catch
        {
            mark.Dispose();
            throw;
        }
    }

    /// <summary>True where a log of this kind was begun in a Raft directory.</summary>
    public static bool IsIn(string directory) => DurableMark.IsIn(directory);

    /// <summary>
    /// A snapshot takes the place of state and log of a member that is behind what the others still have. Its votes stay: it is the same
    /// member. The log begins behind the entry that the snapshot is of. Nothing of the log may be open. Throws as
    /// <see cref="NodeStore.Install(IncomingSnapshot)"/>, and <see cref="ArgumentException"/> where the snapshot does not name the term of
    /// its entry.
    /// </summary>
    public static void Install(NodeStore store, string directory, IncomingSnapshot snapshot)
    {
        var header = snapshot.Header ?? throw new ArgumentException("The snapshot is not whole.", nameof(snapshot));
        var floor = new RaftFloor(header.Progress.AppliedIndex, header.AppliedTerm);
        if (floor.Index <= store.Progress.AppliedIndex || floor.Term == default)
        {
            throw new ArgumentException($"The snapshot is of Raft entry {floor.Index} (term {floor.Term}), the store has applied {store.Progress.AppliedIndex}.", nameof(snapshot));
        }

        store.Install(snapshot, floor, beforeSwitch: () =>
        {
            // What this member has behind that entry is of a leader before, and not committed: it goes. As always where the log gets
            // shorter, the mark is lowered first.
            using var mark = DurableMark.Open(directory);
            mark.LowerTo(floor);
        }, indexesExpiry: true);
    }

    private static bool HasLog(NodeStore store)
    {
        using var votes = store.ReadLatest(ColumnFamily.Meta, StorageKeys.RaftVotes);
        return votes.Found || ReadFrom(store, LogIndex.None).Count > 0;
    }

    private void CheckNothingLost()
    {
        var floor = _store.ReadRaftFloor() ?? default;
        if (_mark.Last.Index > floor.Index && ReadTerm(_mark.Last.Index) != _mark.Last.Term)
        {
            throw new StorageException(
                StorageFault.Corrupt,
                $"The database lacks entry {_mark.Last.Index} of the Raft log (term {_mark.Last.Term}), which was durable: a part of it was lost, or replaced by an older copy. This member must be repaired.");
        }

        if (_mark.Votes > _votesNumber)
        {
            throw new StorageException(
                StorageFault.Corrupt,
                $"The database has {_votesNumber} changes of this member's vote, and there were {_mark.Votes}: a part of it was lost, or replaced by an older copy. This member must be repaired.");
        }
    }

    private Term? ReadTerm(LogIndex index) => Find(index)?.Term;

    /// <inheritdoc/>
    public void SaveVotes(RaftVotes votes)
    {
        lock (_voting)
        {
            var row = new ByteWriter();
            RaftRows.WriteVotes(row, _votesNumber + 1, votes);
            var batch = new WriteBatchBuilder();
            batch.Put(Family(ColumnFamily.Meta), StorageKeys.RaftVotes, row.WrittenSpan);
            Guarded(() =>
            {
                _store.Database.Write(batch);
                _store.Database.SyncWal();
                _mark.SetVotes(_votesNumber + 1);
            });
            _votesNumber++;
            Votes = votes;
        }
    }

    /// <inheritdoc/>
    public IEnumerable<RaftLogEntry> ReadAll()
    {
        var next = (_store.ReadRaftFloor()?.Index ?? default).Next;
        while (ReadFrom(_store, next) is { Count: > 0 } some)
        {
            foreach (var entry in some)
            {
                if (entry.Index != next)
                {
                    throw new StorageException(StorageFault.Corrupt, $"The Raft log lacks entry {next}; the next it has is {entry.Index}. This member must be repaired.");
                }

                next = next.Next;
                yield return entry;
            }
        }
    }

    /// <summary>Some entries from one on: an iterator of the database cannot stay open between two of ours.</summary>
    private static List<RaftLogEntry> ReadFrom(NodeStore store, LogIndex first)
    {
        const int MaxBytes = 4 << 20;
        var some = new List<RaftLogEntry>();
        Span<byte> key = stackalloc byte[RaftRows.IndexBytes];
        RaftRows.WriteKey(key, first);
        var options = NativeCall.Api.rocksdb_readoptions_create();
        try
        {
            using var iterator = new DbIterator(store.Database, options, ColumnFamily.Raft);
            var bytes = 0;
            for (var more = iterator.Seek(key); more && bytes < MaxBytes; more = iterator.Next())
            {
                some.Add(RaftRows.Read(new(BinaryPrimitives.ReadInt64BigEndian(iterator.Key)), iterator.Value));
                bytes += iterator.Value.Length;
            }
        }
        finally
        {
            NativeCall.Api.rocksdb_readoptions_destroy(options);
        }

        return some;
    }

    /// <inheritdoc/>
    public RaftLogEntry Read(LogIndex index) =>
        Find(index) ?? throw new StorageException(StorageFault.Corrupt, $"The Raft log lacks entry {index}. This member must be repaired.");

    private RaftLogEntry? Find(LogIndex index)
    {
        Span<byte> key = stackalloc byte[RaftRows.IndexBytes];
        RaftRows.WriteKey(key, index);
        using var pinned = _store.ReadLatest(ColumnFamily.Raft, key);
        return pinned.Found ? RaftRows.Read(index, pinned.Bytes) : null;
    }

    /// <inheritdoc/>
    public void Append(IReadOnlyList<RaftLogEntry> entries, RaftFloor before, LogIndex? replacedTo)
    {
        _batch.Clear();
        var family = Family(ColumnFamily.Raft);
        if (replacedTo is { } last && last >= entries[0].Index)
        {
            RaftRows.Delete(_batch, family, entries[0].Index, last);
        }

        foreach (var entry in entries)
        {
            RaftRows.Put(_batch, family, entry);
        }

        Guarded(() =>
        {
            if (replacedTo is not null)
            {
                _mark.LowerTo(before);
            }

            _store.Database.Write(_batch);
        });
    }

    /// <inheritdoc/>
    public void CutOff(RaftFloor end, LogIndex last)
    {
        _batch.Clear();
        RaftRows.Delete(_batch, Family(ColumnFamily.Raft), end.Index.Next, last);
        Guarded(() =>
        {
            _mark.LowerTo(end);
            _store.Database.Write(_batch);
            _store.Database.SyncWal();
        });
    }

    /// <inheritdoc/>
    public void Sync(RaftFloor last) => Guarded(() =>
    {
        _store.Database.SyncWal();
        _mark.SetLast(last);
    });

    private void Guarded(Action write)
    {
        _store.ThrowIfFailed();
        try
        {
            write();
        }
        catch (StorageException e)
        {
            _store.Fail(e);
            throw;
        }
    }

    private (long Number, RaftVotes Votes) ReadVotes()
    {
        using var pinned = _store.ReadLatest(ColumnFamily.Meta, StorageKeys.RaftVotes);
        return pinned.Found ? RaftRows.ReadVotes(pinned.Bytes) : (0, RaftVotes.None);
    }

    private uint Family(ColumnFamily family) => _store.Database.FamilyId(family);

    public void Dispose() => _mark.Dispose();
}
