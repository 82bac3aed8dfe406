using System.Buffers.Binary;

namespace Quicksilver.Model;

/// <summary>
/// Reads our binary formats from a span: fixed-width integers big-endian, variable integers as unsigned LEB128, byte strings
/// with a variable-length prefix. Every length is checked against what is left and against the caller's limit before use, so
/// hostile bytes cost no allocation. All failures are <see cref="MalformedDataException"/>.
/// </summary>
public ref struct ByteReader(ReadOnlySpan<byte> source)
{
    private readonly ReadOnlySpan<byte> _source = source;

    /// <summary>Bytes read so far.</summary>
    public int Offset { get; private set; }

    /// <summary>Bytes not read yet.</summary>
    public readonly int Remaining => _source.Length - Offset;

    public byte ReadByte() => Take(1)[0];

    public ushort ReadUInt16() => BinaryPrimitives.ReadUInt16BigEndian(Take(2));

    public uint ReadUInt32() => BinaryPrimitives.ReadUInt32BigEndian(Take(4));

    public ulong ReadUInt64() => BinaryPrimitives.ReadUInt64BigEndian(Take(8));

    /// <summary>A 64-bit number that formats promise to be 0 or more.</summary>
    public long ReadPosition()
    {
        var value = ReadUInt64();
        return value <= long.MaxValue ? (long)value : throw Malformed("a position is negative");
    }

    /// <summary>An unsigned LEB128 number of at most 63 bits. Only the shortest encoding is accepted, so equal data has equal bytes.</summary>
    public long ReadVarint()
    {
        ulong value = 0;
        for (var shift = 0; shift < 63; shift += 7)
        {
            var b = ReadByte();
            value |= (ulong)(b & 0x7f) << shift;
            if (b < 0x80)
            {
                return b == 0 && shift > 0 ? throw Malformed("a number has a longer encoding than it needs") : (long)value;
            }
        }

        throw Malformed("a number has more than 63 bits");
    }

    /// <summary>A count or length of at most <paramref name="max"/>.</summary>
    public int ReadCount(int max, string what)
    {
        var value = ReadVarint();
        return value <= max ? (int)value : throw Malformed($"{what} is {value}, the limit is {max}");
    }

    /// <summary>A byte string of at most <paramref name="max"/> bytes. The span lives as long as the source.</summary>
    public ReadOnlySpan<byte> ReadBytes(int max, string what) => Take(ReadCount(max, what));

    /// <summary>The next <paramref name="count"/> bytes as they are.</summary>
    public ReadOnlySpan<byte> Take(int count)
    {
        if ((uint)count > (uint)Remaining)
        {
            throw Malformed($"{count} more bytes expected, {Remaining} left");
        }

        var taken = _source.Slice(Offset, count);
        Offset += count;
        return taken;
    }

    /// <summary>Throws where anything is left: formats allow no trailing bytes.</summary>
    public readonly void ExpectEnd()
    {
        if (Remaining != 0)
        {
            throw Malformed($"{Remaining} bytes after the end");
        }
    }

    public readonly MalformedDataException Malformed(string what) => new($"Malformed data at byte {Offset} of {_source.Length}: {what}.");
}
