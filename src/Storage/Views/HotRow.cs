using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// One row in memory, key and value in one array, because each object on the way to it is a miss of the processor's cache; or none (default).
/// But for the mark of use it never changes.
/// </summary>
internal readonly struct HotRow
{
    // Where what is in front of the key: when it was made, when it was read, the mark, the length of the key.
    private const int ReadAt = 8;
    private const int Used = 16;
    private const int KeyLength = 17;
    private const int Key = 19;

    private readonly byte[]? _bytes;

    public HotRow(byte[]? bytes) => _bytes = bytes;

    /// <param name="dataKey">With the keyspace in front.</param>
    /// <param name="value">As the database has it.</param>
    /// <param name="readAt">The View that has it.</param>
    public static byte[] Create(ReadOnlySpan<byte> dataKey, ReadOnlySpan<byte> value, Revision readAt)
    {
        var bytes = new byte[Key + dataKey.Length + value.Length];
        MemoryMarshal.Write(bytes, DataRow.Parse(value).Revision.Value);
        MemoryMarshal.Write(bytes.AsSpan(ReadAt), readAt.Value);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(KeyLength), (ushort)dataKey.Length);
        dataKey.CopyTo(bytes.AsSpan(Key));
        value.CopyTo(bytes.AsSpan(Key + dataKey.Length));
        return bytes;
    }

    public bool Found => _bytes is not null;

    /// <summary>The revision that made it.</summary>
    public Revision Revision => new(MemoryMarshal.Read<long>(_bytes));

    /// <summary>The revision of the View that it was read from: it was so there, and may have been for long.</summary>
    public Revision Seen => new(MemoryMarshal.Read<long>(_bytes.AsSpan(ReadAt)));

    public ReadOnlySpan<byte> DataKey => _bytes.AsSpan(Key, KeyBytes);

    public DataRow Row => DataRow.Parse(_bytes.AsSpan(Key + KeyBytes));

    /// <summary>Asked for since the hand came by. A lost write costs a place too early, no more.</summary>
    public bool IsUsed => _bytes![Used] != 0;

    private int KeyBytes => BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(KeyLength));

    /// <summary>Written only where it changes: a line of the cache that all processors read is not taken from them.</summary>
    public void Mark(bool used)
    {
        if (Found && IsUsed != used)
        {
            _bytes![Used] = used ? (byte)1 : (byte)0;
        }
    }
}
