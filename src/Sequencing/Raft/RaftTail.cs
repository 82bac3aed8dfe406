using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// The Raft log above its floor, in memory: of every entry its term, kind and size, and the payload of the last ones, because leaders
/// send and members apply what was appended a moment ago. Not safe for concurrent use.
/// </summary>
/// <param name="payloadBytes">Payloads of applied entries that stay in memory, bytes. Those of others always do.</param>
internal sealed class RaftTail(long payloadBytes)
{
    private readonly List<Slot> _slots = [];
    private int _start;
    private int _firstLoaded;
    private long _loadedBytes;

    private readonly record struct Slot(Term Term, int? CommandId, bool IsConfiguration, int Length, RaftLogEntry? Entry);

    /// <summary>The entry before the first of these.</summary>
    public RaftFloor Floor { get; private set; }

    public LogIndex LastIndex => new(Floor.Index.Value + Count);

    public RaftFloor Last => Count == 0 ? Floor : new(LastIndex, _slots[^1].Term);

    private int Count => _slots.Count - _start;

    /// <summary>Payload bytes in memory.</summary>
    public long LoadedBytes => _loadedBytes;

    /// <summary>Begins again behind an entry, with nothing.</summary>
    public void Reset(RaftFloor floor)
    {
        _slots.Clear();
        (_start, _firstLoaded, _loadedBytes) = (0, 0, 0);
        Floor = floor;
    }

    public void Add(RaftLogEntry entry)
    {
        if (entry.Index != LastIndex.Next)
        {
            throw new InvalidOperationException($"Entry {LastIndex.Next} was to come, not {entry.Index}.");
        }

        _slots.Add(new(entry.Term, entry.CommandId, entry.IsConfiguration, entry.Payload.Length, entry));
        _loadedBytes += entry.Payload.Length;
    }

    /// <summary>Drops every entry behind this one.</summary>
    public void CutOffBehind(LogIndex last)
    {
        var keep = Position(last) + 1;
        for (var i = keep; i < _slots.Count; i++)
        {
            _loadedBytes -= _slots[i].Entry is null ? 0 : _slots[i].Length;
        }

        _slots.RemoveRange(keep, _slots.Count - keep);
        _firstLoaded = Math.Min(_firstLoaded, _slots.Count);
    }

    /// <summary>Drops the entries up to a new floor.</summary>
    public void RaiseFloor(RaftFloor floor)
    {
        if (floor.Index <= Floor.Index)
        {
            return;
        }

        if (floor.Index > LastIndex)
        {
            Reset(floor);
            return;
        }

        var end = Position(floor.Index) + 1;
        for (var i = _start; i < end; i++)
        {
            UnloadAt(i);
        }

        _start = end;
        _firstLoaded = Math.Max(_firstLoaded, _start);
        Floor = floor;

        // In halves, so that each entry is moved a bounded number of times.
        if (_start > _slots.Count / 2)
        {
            _slots.RemoveRange(0, _start);
            _firstLoaded -= _start;
            _start = 0;
        }
    }

    /// <summary>Gives up payloads of entries up to <paramref name="applied"/>, the oldest first, where there are too many.</summary>
    public void Unload(LogIndex applied)
    {
        while (_loadedBytes > payloadBytes && _firstLoaded < _slots.Count && IndexAt(_firstLoaded) <= applied)
        {
            UnloadAt(_firstLoaded++);
        }
    }

    private void UnloadAt(int position)
    {
        if (_slots[position] is { Entry: not null } slot)
        {
            _loadedBytes -= slot.Length;
            _slots[position] = slot with { Entry = null };
        }
    }

    /// <summary>Term of an entry from the floor on; the floor's for everything before it.</summary>
    public Term TermOf(LogIndex index) => index <= Floor.Index ? Floor.Term : _slots[Position(index)].Term;

    public int LengthOf(LogIndex index) => _slots[Position(index)].Length;

    public bool IsConfiguration(LogIndex index) => _slots[Position(index)].IsConfiguration;

    public int? CommandIdOf(LogIndex index) => _slots[Position(index)].CommandId;

    /// <summary>The entry, or null where its payload is not in memory.</summary>
    public RaftLogEntry? Find(LogIndex index) => _slots[Position(index)].Entry;

    private int Position(LogIndex index) => checked((int)(index.Value - Floor.Index.Value - 1)) + _start;

    private LogIndex IndexAt(int position) => new(Floor.Index.Value + 1 + position - _start);
}
