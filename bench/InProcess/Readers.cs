using System.Buffers;
using Quicksilver.Hosting;
using Quicksilver.Storage.Native;

namespace Quicksilver.InProcess;

/// <summary>One way to read a value, of one thread.</summary>
internal interface IReader
{
    /// <summary>Reads one key and copies its value; false where it is not what was written.</summary>
    bool Read(int key);
}

/// <summary>What an application calls.</summary>
internal sealed class TryGetReader(ILocalKeyspace keyspace, Keys keys, int valueBytes) : IReader
{
    private readonly ArrayBufferWriter<byte> _value = new(2 * valueBytes);

    public bool Read(int key)
    {
        _value.ResetWrittenCount();
        return keyspace.TryGet(keys.Key(key), _value) && _value.WrittenCount == valueBytes;
    }
}

/// <summary>RocksDB's own get of a pinned value, with the key as the database has it, from whatever state the database has: the least that a read costs.</summary>
internal sealed class RawReader(Database database, IntPtr options, Keys keys, int valueBytes) : IReader
{
    // A row has a few bytes in front of its value.
    private readonly byte[] _value = new byte[valueBytes + 64];

    public bool Read(int key)
    {
        using var row = Pinned.Get(database, options, ColumnFamily.Data, keys.Row(key));
        row.Bytes.CopyTo(_value);
        return row.Bytes.Length >= valueBytes;
    }
}
