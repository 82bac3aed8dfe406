using System.Buffers.Binary;
using CsCheck;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication.Tests;

internal enum FuzzChangeKind
{
    FlipBit = 0,

    /// <summary>A byte at an edge of what bytes and lengths of one byte can be.</summary>
    Edge = 1,

    Insert = 2,
    Delete = 3,
    Truncate = 4,

    /// <summary>A slice a second time, somewhere.</summary>
    Repeat = 5,

    /// <summary>Another input from here on.</summary>
    Splice = 6,

    /// <summary>A variable integer in place of a byte: a length or a count that claims much.</summary>
    Size = 7,

    /// <summary>Eight bytes of a fixed-width number.</summary>
    Number = 8,
}

/// <summary>One change of some bytes: what, where and with what. Any numbers fit any bytes.</summary>
internal readonly record struct FuzzChange(FuzzChangeKind Kind, int At, int With)
{
    private static readonly byte[] s_edges = [0, 255, 127, 128];

    // The limits of the formats and one more, and the ends of the integers that a length can be put into.
    private static readonly long[] s_sizes =
    [
        0, 1, 63, 64, 65, 255, 256, 257, 1_000, 1_024, 1_025, 1_028, 1_029, Limits.MaxMutations, Limits.MaxMutations + 1, 65_536, 65_537,
        Limits.MaxValueBytes, Limits.MaxValueBytes + 1, RecordFormat.MaxBytes, RecordFormat.MaxBytes + 1, int.MaxValue, int.MaxValue + 1L,
        uint.MaxValue, long.MaxValue,
    ];

    private static readonly long[] s_numbers = [0, 1, -1, 10, 11, 12, int.MaxValue, uint.MaxValue, long.MaxValue, long.MinValue];

    /// <summary>One to eight changes.</summary>
    public static readonly Gen<FuzzChange[]> Some = Gen
        .Select(Gen.Int[0, (int)FuzzChangeKind.Number], Gen.Int[0, 0xffff], Gen.Int[0, 0xffff], (kind, at, with) => new FuzzChange((FuzzChangeKind)kind, at, with))
        .Array[1, 8];

    /// <summary>The bytes after all changes, each on what the one before left.</summary>
    public static byte[] ApplyAll(byte[] bytes, FuzzChange[] changes, byte[][] others)
    {
        foreach (var change in changes)
        {
            bytes = change.Apply(bytes, others);
        }

        return bytes;
    }

    private byte[] Apply(byte[] bytes, byte[][] others)
    {
        if (bytes.Length == 0 && Kind is not (FuzzChangeKind.Insert or FuzzChangeKind.Splice))
        {
            return bytes;
        }

        var at = bytes.Length == 0 ? 0 : At % bytes.Length;
        byte[] changed = [.. bytes];
        switch (Kind)
        {
            case FuzzChangeKind.FlipBit:
                changed[at] ^= (byte)(1 << (With & 7));
                return changed;
            case FuzzChangeKind.Edge:
                changed[at] = s_edges[With % s_edges.Length];
                return changed;
            case FuzzChangeKind.Insert:
                return [.. bytes[..at], .. Enumerable.Repeat((byte)With, 1 + ((With >> 8) & 7)), .. bytes[at..]];
            case FuzzChangeKind.Delete:
                return [.. bytes[..at], .. bytes[Math.Min(bytes.Length, at + 1 + (With & 15))..]];
            case FuzzChangeKind.Truncate:
                return bytes[..at];
            case FuzzChangeKind.Repeat:
                var to = With % bytes.Length;
                return [.. bytes[..to], .. bytes[at..Math.Min(bytes.Length, at + 1 + (With & 63))], .. bytes[to..]];
            case FuzzChangeKind.Splice:
                var other = others[With % others.Length];
                return [.. bytes[..at], .. other[((With >> 4) % (other.Length + 1))..]];
            case FuzzChangeKind.Size:
                var size = new ByteWriter();
                size.WriteVarint(s_sizes[With % s_sizes.Length]);
                return [.. bytes[..at], .. size.WrittenSpan, .. bytes[(at + 1)..]];
            case FuzzChangeKind.Number:
                var number = new byte[8];
                BinaryPrimitives.WriteInt64BigEndian(number, s_numbers[With % s_numbers.Length]);
                number.AsSpan(0, Math.Min(number.Length, bytes.Length - at)).CopyTo(changed.AsSpan(at));
                return changed;
            default:
                throw new InvalidOperationException($"Unknown change {Kind}.");
        }
    }
}
