using System.IO.Hashing;
using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>
/// The rows of one database that are read most, in memory, in front of it. Bounded; a row enters when it is asked for a second time within a
/// while, and goes when its place is needed and it was not asked for since. Any thread may look and offer; one at a time touches.
///
/// Invariant: what is found for a revision is exactly what the database has there. A row is here only from the read that found it until the
/// change that touches it, which is before the View with that change is published; and a View that is older than the row does not see it. A
/// reader that was slow between its read and its offer is refused, because its View is older than the last touch.
/// </summary>
internal sealed class HotRows
{
    /// <summary>Larger rows, with their keys, do not enter: they would take the place of many.</summary>
    public const int MaxRowBytes = 1_024;

    /// <summary>With more prefixes at once every row goes: to look which stay takes longer than to read them again.</summary>
    private const int MaxComparedPrefixes = 16;

    private static readonly byte[][] AllRows = [[]];

    private const int Ways = 8;
    private const int SeenSlots = 1 << 16;

    // Sets of Ways places; a power of two of them. What is in a place never changes, it is replaced.
    private readonly HotRow?[] _rows;
    private readonly Set[] _sets;

    // What was asked for lately, by the upper half of its hash.
    private readonly uint[] _seen = new uint[SeenSlots];

    /// <param name="capacity">About how many rows; 0 for none.</param>
    public HotRows(int capacity)
    {
        var sets = capacity == 0 ? 0 : (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(1, capacity / Ways));
        _rows = new HotRow?[sets * Ways];
        _sets = new Set[sets];
        for (var i = 0; i < sets; i++)
        {
            _sets[i] = new();
        }
    }

    /// <summary>False where none are kept: then there is no need to ask.</summary>
    public bool IsOn => _sets.Length > 0;

    /// <summary>Rows that are here now.</summary>
    public int Count => _rows.Count(static row => row is not null);

    private sealed class Set
    {
        public Lock Gate { get; } = new();

        /// <summary>The last revision that touched a row of this set, or may have.</summary>
        public Revision Touched { get; set; }

        public int Hand { get; set; }
    }

    /// <param name="dataKey">The key with its keyspace in front, as it is in the database.</param>
    public static ulong HashOf(ReadOnlySpan<byte> dataKey) => XxHash3.HashToUInt64(dataKey);

    /// <summary>The row as a View at a revision has it; null where that is to be asked of the database.</summary>
    public HotRow? Find(ReadOnlySpan<byte> dataKey, ulong hash, Revision at)
    {
        var first = FirstOf(hash);
        for (var i = first; i < first + Ways; i++)
        {
            if (Volatile.Read(ref _rows[i]) is { } row && row.Hash == hash && row.Is(dataKey))
            {
                if (row.Revision > at)
                {
                    return null;
                }

                row.IsUsed = true;
                return row;
            }
        }

        return null;
    }

    /// <summary>A row that a View at a revision has. It may be kept.</summary>
    public void Offer(ReadOnlySpan<byte> dataKey, ulong hash, ReadOnlySpan<byte> value, Revision at)
    {
        if (dataKey.Length + value.Length > MaxRowBytes)
        {
            return;
        }

        ref var seen = ref _seen[(int)(hash & (SeenSlots - 1))];
        var mark = (uint)(hash >> 32) | 1;
        if (seen != mark)
        {
            seen = mark;
            return;
        }

        var row = new HotRow(hash, dataKey.ToArray(), value.ToArray());
        var first = FirstOf(hash);
        var set = SetOf(hash);
        lock (set.Gate)
        {
            if (at < set.Touched)
            {
                return;
            }

            var place = -1;
            for (var i = first; i < first + Ways; i++)
            {
                if (_rows[i] is not { } other)
                {
                    place = i;
                }
                else if (other.Hash == hash && other.Is(dataKey))
                {
                    return;
                }
            }

            Volatile.Write(ref _rows[place < 0 ? TakePlace(set, first) : place], row);
        }
    }

    /// <summary>The first place whose row was not asked for since the hand came by last.</summary>
    private int TakePlace(Set set, int first)
    {
        while (true)
        {
            var place = first + set.Hand;
            set.Hand = (set.Hand + 1) % Ways;
            if (!_rows[place]!.IsUsed)
            {
                return place;
            }

            _rows[place]!.IsUsed = false;
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
        var first = FirstOf(hash);
        var set = SetOf(hash);
        lock (set.Gate)
        {
            set.Touched = revision > set.Touched ? revision : set.Touched;
            for (var i = first; i < first + Ways; i++)
            {
                if (_rows[i] is { } row && row.Hash == hash && row.Is(dataKey))
                {
                    Volatile.Write(ref _rows[i], null);
                }
            }
        }
    }

    /// <summary>Rows of whole keyspaces change or go: before the View with that is published.</summary>
    public void TouchAll(Revision revision) => TouchPrefixes(AllRows, revision);

    /// <summary>All rows with any of these prefixes go: before the View with that is published.</summary>
    /// <param name="prefixes">Each with the keyspace in front.</param>
    public void TouchPrefixes(IReadOnlyList<byte[]> prefixes, Revision revision)
    {
        for (var i = 0; prefixes.Count > 0 && i < _sets.Length; i++)
        {
            lock (_sets[i].Gate)
            {
                _sets[i].Touched = revision > _sets[i].Touched ? revision : _sets[i].Touched;
                for (var place = i * Ways; place < (i + 1) * Ways; place++)
                {
                    if (_rows[place] is { } row && (prefixes.Count > MaxComparedPrefixes || row.StartsWithAny(prefixes)))
                    {
                        Volatile.Write(ref _rows[place], null);
                    }
                }
            }
        }
    }

    private int FirstOf(ulong hash) => (int)((hash >> 16) & (uint)(_sets.Length - 1)) * Ways;

    private Set SetOf(ulong hash) => _sets[(int)((hash >> 16) & (uint)(_sets.Length - 1))];
}

/// <summary>One row in memory, as the database has it.</summary>
internal sealed class HotRow(ulong hash, byte[] dataKey, byte[] value)
{
    public ulong Hash { get; } = hash;

    /// <summary>The revision that made it.</summary>
    public Revision Revision { get; } = DataRow.Parse(value).Revision;

    public DataRow Row => DataRow.Parse(value);

    /// <summary>Asked for since the hand came by. A lost write costs a place too early, no more.</summary>
    public bool IsUsed { get; set; }

    public bool Is(ReadOnlySpan<byte> other) => other.SequenceEqual(dataKey);

    public bool StartsWithAny(IReadOnlyList<byte[]> prefixes)
    {
        foreach (var prefix in prefixes)
        {
            if (dataKey.AsSpan().StartsWith(prefix))
            {
                return true;
            }
        }

        return false;
    }
}
