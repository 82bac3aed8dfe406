using System.Buffers;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>This member cannot go on by its own log and must be rebuilt. Its process ends with an exit code of its own.</summary>
public sealed class NeedsRepairException(string message) : Exception(message)
{
    /// <summary>
    /// The Raft entry that the leader's log begins behind, where that is what the member lacks. It keeps its vote then, and at its next start
    /// takes the state of another member; null where it is more than that.
    /// </summary>
    public LogIndex? Behind { get; private init; }

    internal static NeedsRepairException BehindLeader(LogIndex applied, LogIndex oldest) => new(
        $"This member has applied Raft entry {applied}; the leader has cut its log up to {oldest}. Started again, it takes a snapshot of another member and goes on. Where its log is kept in files (Quicksilver:Hub:RaftLog), it must be repaired instead: 'qs hub repair'.")
    {
        Behind = oldest,
    };

    internal static NeedsRepairException VotesLost(NodeId node, LogIndex applied) => new(
        $"This member has state (Raft entry {applied}) and no list of members: its Raft directory was lost, or it was interrupted while it joined. It has forgotten what it voted and must not take part. Run 'qs hub repair {node}' against another node of the hub, where that was not done, and start this one again.");

    internal static NeedsRepairException LogLost(LogIndex applied, LogIndex last) => new(
        $"The Raft log of this member ends at entry {last}; its store has applied entry {applied}: the log was lost or replaced, and with it the member's vote. It must not take part; rebuild it from another member.");
}

/// <summary>
/// What the library applies committed entries to. It hands them to <see cref="EntryApplier"/> in order, skips what the store
/// has already, and decides how far the log may be cut. Its first failure is final: the library would go on with a member that
/// no longer applies, so whoever owns this must watch <see cref="Fault"/> and stop the process.
/// </summary>
internal sealed class HubStateMachine : IStateMachine
{
    /// <summary>Tells our entries from the library's own.</summary>
    public const int CommandKind = 1;

    /// <summary>Members of an older version grant no vote to, and take no entries from, one of a newer.</summary>
    public const int ProtocolVersion = 1;

    private readonly NodeStore _store;
    private readonly EntryApplier _applier;
    private readonly Action<AppliedEntry> _onApplied;
    private readonly RaftLogCutter _cutter;
    private readonly Lock _cutting = new();
    private readonly TaskCompletionSource<Exception> _fault = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile LogFloor? _floor;

    public HubStateMachine(NodeStore store, EntryApplier applier, RaftLogOptions options, Action<AppliedEntry> onApplied)
    {
        _store = store;
        _applier = applier;
        _onApplied = onApplied;
        _cutter = new(options);

        // The stored floor, not the applied index: peers that lag a little must still find their entries here after a restart.
        _floor = store.ReadRaftFloor() is { } floor ? new(floor) : null;
    }

    /// <summary>Completes with the first failure of apply.</summary>
    public Task<Exception> Fault => _fault.Task;

    int IStateMachine.Version => ProtocolVersion;

    ISnapshot? ISnapshotManager.Snapshot => _floor;

    /// <summary>The entry that the log begins behind.</summary>
    public LogIndex FloorIndex => new(_floor?.Index ?? 0);

    ValueTask ISnapshotManager.ReclaimGarbageAsync(long watermark, CancellationToken token) => ValueTask.CompletedTask;

    /// <summary>
    /// Lets entries in. The library starts to apply inside the constructor of its log, before anybody has checked the log's
    /// hashes; what is not checked must not reach the store.
    /// </summary>
    public void Open() => _opened.TrySetResult();

    /// <summary>This member cannot go on; the first failure counts.</summary>
    public void Fail(Exception e) => _fault.TrySetResult(e);

    /// <summary>
    /// Applies an entry; returns the new floor where it is time for one. Durable in the store then: the log may be cut up to it.
    /// </summary>
    public RaftFloor? Apply(RaftLogEntry entry) =>
        entry.CommandId == CommandKind ? ApplyCommand(entry.Index, entry.Term, entry.Payload.Span) : null;

    /// <summary>An entry whose effects the store has; as <see cref="Apply(RaftLogEntry)"/>, without its payload.</summary>
    /// <param name="bytes">Size of the payload.</param>
    public RaftFloor? Pass(LogIndex index, Term term, int? commandId, int bytes) => commandId == CommandKind ? CutWhereDue(index, term, bytes) : null;

    /// <summary>
    /// The leader has cut its log up to here, and sends nothing before. Throws <see cref="NeedsRepairException"/> where the store is
    /// behind.
    /// </summary>
    public void RequireReaches(RaftFloor floor)
    {
        if (floor.Index > _store.Progress.AppliedIndex)
        {
            throw NeedsRepairException.BehindLeader(_store.Progress.AppliedIndex, floor.Index);
        }
    }

    /// <summary>Takes the floor of a leader; throws as <see cref="RequireReaches"/>.</summary>
    public void InstallFloor(RaftFloor floor)
    {
        RequireReaches(floor);
        Cut(floor);
    }

    async ValueTask<long> IStateMachine.ApplyAsync(LogEntry entry, CancellationToken token)
    {
        if (!_opened.Task.IsCompleted)
        {
            await _opened.Task.WaitAsync(token).ConfigureAwait(false);
        }

        try
        {
            Apply(entry);
            return entry.Index;
        }
        catch (Exception e)
        {
            // The library has no event for this, and it must never advance past an entry that was not applied.
            Fail(e);
            throw;
        }
    }

    private void Apply(in LogEntry entry)
    {
        var index = new LogIndex(entry.Index);
        if (entry.IsSnapshot)
        {
            InstallFloor(new(index, new(entry.Term)));
            return;
        }

        if (entry.CommandId is not CommandKind)
        {
            return;
        }

        if (!entry.TryGetPayload(out ReadOnlySequence<byte> payload))
        {
            throw new InvalidDataException($"Raft entry {index} has no payload.");
        }

        if (payload.IsSingleSegment)
        {
            ApplyCommand(index, new(entry.Term), payload.FirstSpan);
            return;
        }

        // The entry straddles two chunks of the log.
        var rented = ArrayPool<byte>.Shared.Rent(checked((int)payload.Length));
        try
        {
            payload.CopyTo(rented);
            ApplyCommand(index, new(entry.Term), rented.AsSpan(0, (int)payload.Length));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private RaftFloor? ApplyCommand(LogIndex index, Term term, ReadOnlySpan<byte> payload)
    {
        if (_applier.Apply(index, payload) is { } applied)
        {
            _onApplied(applied);
        }

        return CutWhereDue(index, term, payload.Length);
    }

    private RaftFloor? CutWhereDue(LogIndex index, Term term, long bytes)
    {
        var floor = _cutter.OnApplied(new(index, term), bytes);
        if (floor is { } cut)
        {
            Cut(cut);
        }

        return floor;
    }

    /// <summary>Order matters: durable in the store first, then the library may delete. The floor never falls.</summary>
    private void Cut(RaftFloor floor)
    {
        lock (_cutting)
        {
            if (_floor is { } current && floor.Index.Value <= current.Index)
            {
                return;
            }

            _store.SaveRaftFloor(floor);
            _floor = new(floor);
        }
    }
}

/// <summary>
/// Decides when the Raft log is cut and where. Rarely, because each cut stalls replication for a moment, and never close to the
/// end, because a follower one round behind would then need repair.
/// </summary>
internal sealed class RaftLogCutter(RaftLogOptions options)
{
    private readonly Queue<(RaftFloor Entry, long Bytes)> _above = new();
    private long _bytesAbove;

    /// <summary>Notes an applied entry; returns the new floor where it is time for one.</summary>
    public RaftFloor? OnApplied(RaftFloor entry, long bytes)
    {
        _above.Enqueue((entry, bytes));
        _bytesAbove += bytes;
        if (_above.Count < options.CutAfterEntries && _bytesAbove < options.CutAfterBytes)
        {
            return null;
        }

        RaftFloor? floor = null;
        while (_above.Count > options.CutAfterEntries * options.KeepShare || _bytesAbove > options.CutAfterBytes * options.KeepShare)
        {
            if (_above.Count <= 1)
            {
                break;
            }

            var (cut, size) = _above.Dequeue();
            _bytesAbove -= size;
            floor = cut;
        }

        return floor;
    }
}
