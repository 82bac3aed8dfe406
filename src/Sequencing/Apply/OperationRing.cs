using System.Runtime.CompilerServices;
using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>An effective transaction, as far as a retry of it asks.</summary>
internal readonly record struct RememberedOperation(OperationId Id, Revision Revision, ChainHash RequestHash, LogTime LogTime);

/// <summary>
/// Operations in the order in which they were added, found by their id: a ring of records, and an open hash table of their places. A
/// dictionary beside a queue would hold each id twice, and would stand still for a tenth of a second whenever it grows; here a record is
/// added in the same time whatever there is. Memory comes in pieces, as it is needed: 56 bytes an operation, and 8 for its place at most.
/// Not safe for concurrent use.
/// </summary>
/// <param name="capacity">Most operations at a time.</param>
/// <param name="seed">Any number that those who choose ids do not know, or they could make all ids meet in one place.</param>
internal sealed class OperationRing(int capacity, ulong seed)
{
    private const int PieceBits = 14;
    private const int PieceSize = 1 << PieceBits;

    private readonly RememberedOperation[]?[] _pieces = new RememberedOperation[]?[(capacity + PieceSize - 1) / PieceSize];

    // Places in the ring plus one, 0 for none; half full at most, so that a search is short.
    private readonly int[] _places = new int[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, 2L * capacity))];
    private int _first;

    public int Count { get; private set; }

    /// <summary>The one that was added first. Only where there is one.</summary>
    public ref readonly RememberedOperation Oldest => ref At(_first);

    public bool TryFind(in OperationId id, out RememberedOperation found)
    {
        var slot = SlotOf(id);
        if (_places[slot] == 0)
        {
            found = default;
            return false;
        }

        found = At(_places[slot] - 1);
        return true;
    }

    /// <summary>Adds one. Of two with one id the later is found. Throws where there is no room.</summary>
    public void Add(in RememberedOperation operation)
    {
        if (Count == capacity)
        {
            throw new InvalidOperationException($"There are {Count} operations already.");
        }

        var place = (int)(((long)_first + Count) % capacity);
        (_pieces[place >> PieceBits] ??= new RememberedOperation[PieceSize])[place & (PieceSize - 1)] = operation;
        _places[SlotOf(operation.Id)] = place + 1;
        Count++;
    }

    /// <summary>Removes the oldest. Only where there is one.</summary>
    public void RemoveOldest()
    {
        var mask = _places.Length - 1;
        var hole = SlotOf(Oldest.Id);
        var isFound = _places[hole] == _first + 1;
        _first = _first + 1 == capacity ? 0 : _first + 1;
        Count--;
        if (!isFound)
        {
            return;
        }

        // Those behind the hole that were put there because it was taken move up, or a search for them would end at it.
        for (var next = (hole + 1) & mask; _places[next] != 0; next = (next + 1) & mask)
        {
            var home = Home(At(_places[next] - 1).Id);
            if (((next - home) & mask) >= ((next - hole) & mask))
            {
                _places[hole] = _places[next];
                hole = next;
            }
        }

        _places[hole] = 0;
    }

    public void Clear()
    {
        Array.Clear(_places);
        (_first, Count) = (0, 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref RememberedOperation At(int place) => ref _pieces[place >> PieceBits]![place & (PieceSize - 1)];

    /// <summary>Where the id is, or where it would be.</summary>
    private int SlotOf(in OperationId id)
    {
        var mask = _places.Length - 1;
        var slot = Home(id);
        while (_places[slot] is var place and not 0 && At(place - 1).Id != id)
        {
            slot = (slot + 1) & mask;
        }

        return slot;
    }

    /// <summary>Where a search begins. The seed is multiplied in, so that it cannot be taken out again by the choice of an id.</summary>
    private int Home(in OperationId id)
    {
        var hash = Math.BigMul(id.RandomHigh ^ seed, id.RandomLow ^ (seed | 1) * 0x9E3779B97F4A7C15, out var low) ^ low;
        return (int)(Math.BigMul(hash ^ (ulong)id.IssuedAt.Value, 0xD6E8FEB86659FD93 ^ seed, out low) ^ low) & (_places.Length - 1);
    }
}
