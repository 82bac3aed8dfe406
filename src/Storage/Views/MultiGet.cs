using System.Runtime.InteropServices;
using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>
/// Reads a handful of keys of one View in one native call, measured a quarter faster per key than one by one. Use: rent, add up
/// to <see cref="Capacity"/> keys, execute, look at the rows, dispose. For one thread, without awaiting in between.
/// </summary>
public sealed unsafe class MultiGet : IDisposable
{
    /// <summary>Most keys of one execution: bounds the memory that is pinned at the same time.</summary>
    public const int Capacity = 64;

    [ThreadStatic]
    private static MultiGet? t_spare;

    private readonly ByteWriter _keys = new(4 * 1024);
    private readonly int[] _ends = new int[Capacity];
    private readonly IntPtr[] _values = new IntPtr[Capacity];
    private readonly IntPtr[] _errors = new IntPtr[Capacity];
    private readonly Slice[] _slices = new Slice[Capacity];

    private MultiGet()
    {
    }

    public int Count { get; private set; }

    public static MultiGet Rent()
    {
        var rented = t_spare ?? new();
        t_spare = null;
        return rented;
    }

    public void Add(KeyspaceId keyspace, ReadOnlySpan<byte> key)
    {
        if (Count == Capacity || key.Length > Limits.MaxKeyBytes)
        {
            throw new ArgumentException($"At most {Capacity} keys of at most {Limits.MaxKeyBytes} bytes.", nameof(key));
        }

        StorageKeys.WriteData(_keys.Reserve(StorageKeys.KeyspaceBytes + key.Length), keyspace, key);
        _ends[Count++] = _keys.Length;
    }

    public void Execute(View view)
    {
        fixed (byte* keys = _keys.WrittenSpan)
        fixed (Slice* slices = _slices)
        fixed (IntPtr* values = _values)
        {
            var start = 0;
            for (var i = 0; i < Count; i++)
            {
                slices[i] = new() { Data = (IntPtr)(keys + start), Size = (UIntPtr)(_ends[i] - start) };
                start = _ends[i];
            }

            Array.Clear(_errors);
            NativeCall.Api.rocksdb_batched_multi_get_cf_slice(
                view.Database.Handle, view.ReadOptions, view.Database.Family(ColumnFamily.Data), (UIntPtr)Count,
                (IntPtr)slices, (IntPtr)values, _errors, 0);
        }

        for (var i = 0; i < Count; i++)
        {
            NativeCall.Check(_errors[i], "Cannot read from the database");
        }
    }

    /// <summary>Row of the key that was added as number <paramref name="index"/>; false where the key does not exist.</summary>
    public bool TryGetRow(int index, out DataRow row)
    {
        if (_values[index] == IntPtr.Zero)
        {
            row = default;
            return false;
        }

        var value = NativeCall.Api.rocksdb_pinnableslice_value(_values[index], out var length);
        row = DataRow.Parse(new((void*)value, (int)length));
        return true;
    }

    /// <summary>Lets go of the rows and makes room for other keys.</summary>
    public void Clear()
    {
        for (var i = 0; i < Count; i++)
        {
            if (_values[i] != IntPtr.Zero)
            {
                NativeCall.Api.rocksdb_pinnableslice_destroy(_values[i]);
                _values[i] = IntPtr.Zero;
            }
        }

        Count = 0;
        _keys.Clear();
    }

    public void Dispose()
    {
        Clear();
        t_spare = this;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Slice
    {
        public IntPtr Data;
        public UIntPtr Size;
    }
}
