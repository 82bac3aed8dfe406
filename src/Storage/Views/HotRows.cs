using System.Buffers.Binary;
using System.IO.Hashing;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// The rows of one database that are read most, in memory, in front of it. Bounded; a row enters at its first read while there is room, else when
/// it is asked for a second time within a while, and goes when its place is needed and it was not asked for since. Any thread may look and offer;
/// one at a time touches.
///
/// Invariant: what is found for a revision is exactly what the database has there. A row is found only from the read that found it until the
/// change that touches it, which is before the View with that change is published; and a View that is older than the row does not see it. A
/// reader that was slow between its read and its offer is refused, because its View is older than the last touch.
/// </summary>
internal sealed class HotRows
{
    /// <summary>Larger rows, with their keys, do not enter: they would take the place of many.</summary>
    public const int MaxRowBytes = 1_024;

    /// <summary>Prefixes that are compared with each row that is found; with more, all rows of their keyspaces go.</summary>
    private const int MaxGonePrefixes = 16;

    /// <summary>Keyspaces of which all rows went and that are compared; with more, all rows go. Leaves place for the prefixes that come.</summary>
    private const int MaxGoneKeyspaces = MaxGonePrefixes / 2;

    private const int Ways = 8;

    /// <summary>
    /// Places for each row: with one, a set in eleven of a memory that is two thirds full has more rows to keep than places, and a read that misses one
    /// of those costs as much as ten that do not.
    /// </summary>
    private const int Spread = 2;

    /// <summary>Sets that are looked through for a row that was not asked for lately.</summary>
    private const int MaxLooks = 16;

    private const int MinSeenSlots = 1 << 16;
    private const int MaxGates = 1 << 10;

    // Sets of Ways places. What is in a place never changes, it is replaced. The tags lie together, so that a set is looked through without a look
    // at its rows; one that is not of its row (any more) is a row that is not found. 0 for a free place.
    private readonly byte[]?[] _rows;
    private readonly uint[] _tags;
    private readonly Set[] _sets;

    private readonly int _capacity;
    private int _count;
    private int _hand;

    // One for a run of sets.
    private readonly Gate[] _gates;
    private readonly int _setsOfGate;

    // What was asked for lately, by its tag.
    private readonly uint[] _seen;

    // Prefixes whose rows went, and when: a row that was read before is not found any more, wherever it is.
    private volatile GonePrefix[] _gone = [];

    // A row that was read before is not found any more.
    private long _oldest;

    /// <param name="capacity">About how many rows; 0 for none.</param>
    public HotRows(int capacity)
    {
        var sets = capacity == 0 ? 0 : Math.Max(1, Spread * capacity / Ways);
        _capacity = capacity;
        _rows = new byte[]?[sets * Ways];
        _tags = new uint[sets * Ways];
        _sets = new Set[sets];
        _setsOfGate = Math.Max(1, (sets + MaxGates - 1) / MaxGates);
        _gates = new Gate[(sets + _setsOfGate - 1) / _setsOfGate];
        for (var i = 0; i < _gates.Length; i++)
        {
            _gates[i] = new();
        }

        _seen = sets == 0 ? [] : new uint[Math.Max(MinSeenSlots, BitOperations.RoundUpToPowerOf2((uint)capacity))];
    }

    /// <summary>False where none are kept: then there is no need to ask.</summary>
    public bool IsOn => _sets.Length > 0;

    /// <summary>Rows that are here now, also those that are not found any more.</summary>
    public int Count => Volatile.Read(ref _count);

    private struct Set
    {
        /// <summary>The last revision that touched a row of this set.</summary>
        public Revision Touched;

        public int Hand;
    }

    /// <summary>Held for some instructions.</summary>
    private sealed class Gate
    {
        public Lock Lock { get; } = new();

        /// <summary>How many of its rows are here. With none there is nothing to clear, but memory that nobody may have touched yet.</summary>
        public int Rows { get; set; }
    }

    private sealed record GonePrefix(byte[] Prefix, Revision Revision);

    /// <param name="dataKey">The key with its keyspace in front, as it is in the database.</param>
    public static ulong HashOf(ReadOnlySpan<byte> dataKey) => XxHash3.HashToUInt64(dataKey);

    /// <summary>The row as a View at a revision has it; none where that is to be asked of the database.</summary>
    public HotRow Find(ReadOnlySpan<byte> dataKey, ulong hash, Revision at)
    {
        var place = PlaceOf(dataKey, hash, out var row);
        if (place < 0 || row.Revision > at || IsGone(row.DataKey, row.Seen))
        {
            return default;
        }

        row.Mark(used: true);
        return row;
    }

    /// <summary>Asks the processor for what <see cref="PrefetchRow"/> looks at.</summary>
    public void PrefetchSet(ulong hash)
    {
        var first = SetOf(hash) * Ways;
        Prefetch(ref _tags[first]);
        Prefetch(ref _tags[first + Ways - 1]);
        Prefetch(ref _rows[first]);
        Prefetch(ref _rows[first + Ways - 1]);
    }

    /// <summary>Asks the processor for the row that <see cref="Find"/> looks at.</summary>
    public void PrefetchRow(ulong hash)
    {
        var first = SetOf(hash) * Ways;
        var tag = TagOf(hash);
        for (var place = first; place < first + Ways; place++)
        {
            if (_tags[place] == tag && Volatile.Read(ref _rows[place]) is { } row)
            {
                Prefetch(ref MemoryMarshal.GetArrayDataReference(row));
                return;
            }
        }
    }

    /// <summary>No more than a wish: what is there may have moved since, and other processors than those of Intel and AMD are not asked.</summary>
    private static unsafe void Prefetch<T>(ref T place)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(Unsafe.AsPointer(ref place));
        }
    }

    /// <summary>A row that a View at a revision has. It may be kept.</summary>
    public void Offer(ReadOnlySpan<byte> dataKey, ulong hash, ReadOnlySpan<byte> value, Revision at)
    {
        if (dataKey.Length + value.Length > MaxRowBytes)
        {
            return;
        }

        var set = SetOf(hash);
        var hasRoom = Count < _capacity && FreePlaceOf(set) >= 0;
        if (!hasRoom && IsFirst(hash))
        {
            return;
        }

        var row = HotRow.Create(dataKey, value, at);

        // One for which another one goes was asked for twice, and is not the next to go.
        new HotRow(row).Mark(used: !hasRoom);
        var gate = GateOf(set);
        lock (gate.Lock)
        {
            if (at < _sets[set].Touched || IsGone(dataKey, at))
            {
                return;
            }

            var place = PlaceOf(dataKey, hash, out var other);
            if (place >= 0 && !IsGone(dataKey, other.Seen))
            {
                return;
            }

            if (place < 0 && FreePlaceOf(set) is >= 0 and var free)
            {
                place = free;
                gate.Rows++;
                Interlocked.Increment(ref _count);
            }

            place = place >= 0 ? place : TakePlace(set);
            Volatile.Write(ref _rows[place], row);
            _tags[place] = TagOf(hash);
        }

        if (Count > _capacity)
        {
            Shrink();
        }
    }

    private int FreePlaceOf(int set) => Array.IndexOf(_tags, 0u, set * Ways, Ways);

    /// <summary>
    /// One row goes: the next that was not asked for since the hand came by last. Where so many others come before it that they would keep everybody
    /// waiting, one of those.
    /// </summary>
    private void Shrink()
    {
        for (var looks = 0; ; looks++)
        {
            var set = (int)((uint)Interlocked.Increment(ref _hand) % (uint)_sets.Length);
            var gate = GateOf(set);
            lock (gate.Lock)
            {
                for (var place = set * Ways; place < (set + 1) * Ways; place++)
                {
                    var row = new HotRow(_rows[place]);
                    if (row.Found && (!row.IsUsed || looks >= MaxLooks))
                    {
                        Remove(gate, place);
                        return;
                    }

                    row.Mark(used: false);
                }
            }

            if (Count <= _capacity)
            {
                return;
            }
        }
    }

    /// <summary>Under the gate.</summary>
    private void Remove(Gate gate, int place)
    {
        Volatile.Write(ref _rows[place], null);
        _tags[place] = 0;
        gate.Rows--;
        Interlocked.Decrement(ref _count);
    }

    /// <summary>Marks a key as asked for. False where it was lately.</summary>
    private bool IsFirst(ulong hash)
    {
        ref var seen = ref _seen[(int)(hash & (uint)(_seen.Length - 1))];
        var first = seen != TagOf(hash);
        seen = TagOf(hash);
        return first;
    }

    private int PlaceOf(ReadOnlySpan<byte> dataKey, ulong hash, out HotRow row)
    {
        var first = SetOf(hash) * Ways;
        var tag = TagOf(hash);
        for (var place = first; place < first + Ways; place++)
        {
            if (_tags[place] == tag)
            {
                row = new(Volatile.Read(ref _rows[place]));
                if (row.Found && dataKey.SequenceEqual(row.DataKey))
                {
                    return place;
                }
            }
        }

        row = default;
        return -1;
    }

    /// <summary>
    /// The first place whose row was not asked for since the hand of the set came by last; the hand goes round once, however fast they are asked for.
    /// For a full set, under its gate.
    /// </summary>
    private int TakePlace(int set)
    {
        ref var hand = ref _sets[set].Hand;
        for (var steps = 0; ; steps++)
        {
            var place = (set * Ways) + hand;
            hand = (hand + 1) % Ways;
            var row = new HotRow(_rows[place]);
            if (!row.IsUsed || steps == Ways)
            {
                return place;
            }

            row.Mark(used: false);
        }
    }

    /// <summary>A change of this row is staged: before its View is published.</summary>
    public void Touch(ReadOnlySpan<byte> dataKey, Revision revision)
    {
        if (!IsOn)
        {
            return;
        }

        var hash = HashOf(dataKey);
        var set = SetOf(hash);
        var gate = GateOf(set);
        lock (gate.Lock)
        {
            ref var touched = ref _sets[set].Touched;
            touched = revision > touched ? revision : touched;
            if (PlaceOf(dataKey, hash, out _) is >= 0 and var place)
            {
                Remove(gate, place);
            }
        }
    }

    /// <summary>
    /// All rows go: before the View is published that has others. Where that is one of the same revision, a reader of the View before may still offer
    /// what it read: the caller sees to it that nobody is given that.
    /// </summary>
    public void TouchAll(Revision revision)
    {
        if (!IsOn)
        {
            return;
        }

        // In this order: who does not see a prefix any more sees that all rows before it went.
        Volatile.Write(ref _oldest, Math.Max(_oldest, revision.Value));
        _gone = [];
        for (var i = 0; i < _gates.Length; i++)
        {
            lock (_gates[i].Lock)
            {
                if (_gates[i].Rows > 0)
                {
                    var first = i * _setsOfGate * Ways;
                    var count = Math.Min(_setsOfGate * Ways, _rows.Length - first);
                    Array.Clear(_rows, first, count);
                    Array.Clear(_tags, first, count);
                    Interlocked.Add(ref _count, -_gates[i].Rows);
                    _gates[i].Rows = 0;
                }
            }
        }
    }

    /// <summary>
    /// All rows with any of these prefixes go: before the View with that is published. They are not looked for, which would take as long as there
    /// are rows; who finds one looks whether it went.
    /// </summary>
    /// <param name="prefixes">Each with the keyspace in front.</param>
    public void TouchPrefixes(IReadOnlyList<byte[]> prefixes, Revision revision)
    {
        if (!IsOn || prefixes.Count == 0)
        {
            return;
        }

        GonePrefix[] gone = [.. _gone, .. prefixes.Select(prefix => new GonePrefix(prefix, revision))];
        if (gone.Length > MaxGonePrefixes)
        {
            gone = [.. gone.GroupBy(one => BinaryPrimitives.ReadUInt32BigEndian(one.Prefix)).Select(
                keyspace => new GonePrefix(keyspace.First().Prefix[..StorageKeys.KeyspaceBytes], keyspace.Max(one => one.Revision)))];
            if (gone.Length > MaxGoneKeyspaces)
            {
                TouchAll(revision);
                return;
            }
        }

        _gone = gone;
    }

    /// <summary>True where a row that a View at a revision has may be gone by now.</summary>
    private bool IsGone(ReadOnlySpan<byte> dataKey, Revision at)
    {
        foreach (var gone in _gone)
        {
            if (at < gone.Revision && dataKey.StartsWith(gone.Prefix))
            {
                return true;
            }
        }

        return at.Value < Volatile.Read(ref _oldest);
    }

    /// <summary>Other bits than those that choose the set.</summary>
    private static uint TagOf(ulong hash) => (uint)(hash >> 32) | 1;

    private int SetOf(ulong hash) => (int)(((hash & uint.MaxValue) * (uint)_sets.Length) >> 32);

    private Gate GateOf(int set) => _gates[set / _setsOfGate];
}
