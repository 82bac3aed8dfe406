using System.Buffers;
using System.Buffers.Binary;

namespace Quicksilver.Model;

/// <summary>
/// A growing buffer for our binary formats, the mirror of <see cref="ByteReader"/>. It is made to be reused: <see cref="Clear"/>
/// keeps the memory. Spans handed out are valid until the next write. Not safe for concurrent use.
/// </summary>
public sealed class ByteWriter(int initialCapacity = 256) : IBufferWriter<byte>
{
    private byte[] _buffer = new byte[Math.Max(16, initialCapacity)];

    /// <summary>Bytes written so far.</summary>
    public int Length { get; private set; }

    public ReadOnlySpan<byte> WrittenSpan => _buffer.AsSpan(0, Length);

    public ReadOnlyMemory<byte> WrittenMemory => _buffer.AsMemory(0, Length);

    /// <summary>Forgets what was written and keeps the memory.</summary>
    public void Clear() => Length = 0;

    /// <summary>Forgets what was written after the first <paramref name="length"/> bytes.</summary>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)length, (uint)Length);
        Length = length;
    }

    /// <summary>Bytes that were written before, to fill in what was not known then.</summary>
    public Span<byte> Written(int offset, int count) => _buffer.AsSpan(0, Length).Slice(offset, count);

    public byte[] ToArray() => WrittenSpan.ToArray();

    public void WriteByte(byte value) => Reserve(1)[0] = value;

    public void WriteUInt16(ushort value) => BinaryPrimitives.WriteUInt16BigEndian(Reserve(2), value);

    public void WriteUInt32(uint value) => BinaryPrimitives.WriteUInt32BigEndian(Reserve(4), value);

    public void WriteUInt64(ulong value) => BinaryPrimitives.WriteUInt64BigEndian(Reserve(8), value);

    /// <summary>A 64-bit number that is 0 or more.</summary>
    public void WritePosition(long value)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(value);
        WriteUInt64((ulong)value);
    }

    /// <summary>An unsigned LEB128 number, 0 to 2^63 - 1.</summary>
    public void WriteVarint(long value)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(value);
        var left = (ulong)value;
        var span = GetSpan(10);
        var length = 0;
        while (left >= 0x80)
        {
            span[length++] = (byte)(left | 0x80);
            left >>= 7;
        }

        span[length++] = (byte)left;
        Length += length;
    }

    /// <summary>A byte string with its length in front.</summary>
    public void WriteBytes(ReadOnlySpan<byte> value)
    {
        WriteVarint(value.Length);
        WriteRaw(value);
    }

    /// <summary>Bytes as they are.</summary>
    public void WriteRaw(ReadOnlySpan<byte> value) => value.CopyTo(Reserve(value.Length));

    /// <summary>The next <paramref name="count"/> bytes, counted as written, for the caller to fill at once.</summary>
    public Span<byte> Reserve(int count)
    {
        EnsureRoom(count);
        var span = _buffer.AsSpan(Length, count);
        Length += count;
        return span;
    }

    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)(_buffer.Length - Length));
        Length += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        EnsureRoom(Math.Max(1, sizeHint));
        return _buffer.AsMemory(Length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        EnsureRoom(Math.Max(1, sizeHint));
        return _buffer.AsSpan(Length);
    }

    private void EnsureRoom(int count)
    {
        if (_buffer.Length - Length < count)
        {
            Array.Resize(ref _buffer, checked(Math.Max(_buffer.Length * 2, Length + count)));
        }
    }
}
