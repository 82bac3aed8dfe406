using System.Buffers.Binary;
using Quicksilver.Model;

namespace Quicksilver.Storage.Native;

/// <summary>
/// Builds RocksDB's serialized write batch in managed memory, so that a batch of any size costs one native call instead of one
/// per row. Source of the format: db/write_batch.cc (sequence, count, then tagged records).
/// </summary>
internal sealed class WriteBatchBuilder
{
    private const int HeaderBytes = 12;
    private const byte TagDelete = 0x04;
    private const byte TagPut = 0x05;
    private const byte TagDeleteRange = 0x0E;

    private readonly ByteWriter _writer = new(64 * 1024);
    private int _count;

    public WriteBatchBuilder() => Clear();

    /// <summary>The whole batch; valid until the next change.</summary>
    public ReadOnlySpan<byte> Bytes
    {
        get
        {
            BinaryPrimitives.WriteInt32LittleEndian(_writer.Written(8, 4), _count);
            return _writer.WrittenSpan;
        }
    }

    public int Length => _writer.Length;

    public int Count => _count;

    public void Clear()
    {
        _writer.Clear();
        _writer.Reserve(HeaderBytes).Clear();
        _count = 0;
    }

    /// <summary>Starts a put and returns the span of the key, to fill at once; the value's bytes must follow through <see cref="Value"/>.</summary>
    public Span<byte> BeginPut(uint family, int keyLength)
    {
        _count++;
        _writer.WriteByte(TagPut);
        _writer.WriteVarint(family);
        _writer.WriteVarint(keyLength);
        return _writer.Reserve(keyLength);
    }

    /// <summary>The writer, positioned after the length of the value: the caller writes exactly <paramref name="valueLength"/> bytes.</summary>
    public ByteWriter Value(int valueLength)
    {
        _writer.WriteVarint(valueLength);
        return _writer;
    }

    public void Put(uint family, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        key.CopyTo(BeginPut(family, key.Length));
        Value(value.Length).WriteRaw(value);
    }

    /// <summary>A delete; returns the span of the key, to fill at once.</summary>
    public Span<byte> Delete(uint family, int keyLength)
    {
        _count++;
        _writer.WriteByte(TagDelete);
        _writer.WriteVarint(family);
        _writer.WriteVarint(keyLength);
        return _writer.Reserve(keyLength);
    }

    /// <summary>Deletes all keys in [start, end).</summary>
    public void DeleteRange(uint family, ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        _count++;
        _writer.WriteByte(TagDeleteRange);
        _writer.WriteVarint(family);
        _writer.WriteBytes(start);
        _writer.WriteBytes(end);
    }
}
