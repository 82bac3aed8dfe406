using System.Globalization;
using System.Text;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.InProcess;

/// <summary>The keys of the measurement, one behind the other in memory, each with the keyspace's id in front as the database has it.</summary>
internal sealed class Keys
{
    private readonly byte[] _rows;
    private readonly int _rowBytes;

    public Keys(KeyspaceId keyspace, int count, int keyBytes)
    {
        Count = count;
        _rowBytes = StorageKeys.KeyspaceBytes + keyBytes;
        _rows = new byte[count * _rowBytes];
        for (var i = 0; i < count; i++)
        {
            StorageKeys.WriteData(_rows.AsSpan(i * _rowBytes, _rowBytes), keyspace, Encoding.ASCII.GetBytes(TextOf(i, keyBytes)));
        }
    }

    public int Count { get; }

    /// <summary>A key as an application has it.</summary>
    public ReadOnlySpan<byte> Key(int number) => Row(number)[StorageKeys.KeyspaceBytes..];

    /// <summary>A key as the database has it.</summary>
    public ReadOnlySpan<byte> Row(int number) => _rows.AsSpan(number * _rowBytes, _rowBytes);

    public static string TextOf(int number, int keyBytes) => number.ToString(CultureInfo.InvariantCulture).PadLeft(keyBytes, 'k');
}
