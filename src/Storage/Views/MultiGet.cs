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
    private readonly HotRow[] _hot = new HotRow[Capacity];
    private readonly IntPtr[] _values = new IntPtr[Capacity];

    // Of those that are asked of the database, in their order: where they belong, and what for.
    private readonly int[] _places = new int[Capacity];
    private readonly ulong[] _hashes = new ulong[Capacity];
    private readonly IntPtr[] _found = new IntPtr[Capacity];
    private readonly IntPtr[] _errors = new IntPtr[Capacity];
    private readonly Slice[] _slices = new Slice[Capacity];

    private MultiGet()
    {
    }

    public int Count { get; private set; }

    /// <summary>How many of the keys of the last execution were in memory.</summary>
    public int Hot { get; private set; }

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
        var hot = view.Database.Hot;
        fixed (byte* keys = _keys.WrittenSpan)
        fixed (Slice* slices = _slices)
        fixed (IntPtr* found = _found)
        {
            if (hot.IsOn)
            {
                FindHot(hot, keys, view.Position.Revision);
            }

            var asked = 0;
            for (int i = 0, start = 0; i < Count; start = _ends[i++])
            {
                if (!_hot[i].Found)
                {
                    _hashes[asked] = _hashes[i];
                    _places[asked] = i;
                    slices[asked++] = new() { Data = (IntPtr)(keys + start), Size = (UIntPtr)(_ends[i] - start) };
                }
            }

            Hot = Count - asked;
            if (asked > 0)
            {
                Array.Clear(_errors);
                NativeCall.Api.rocksdb_batched_multi_get_cf_slice(
                    view.Database.Handle, view.ReadOptions, view.Database.Family(ColumnFamily.Data), (UIntPtr)asked,
                    (IntPtr)slices, (IntPtr)found, _errors, 0);
            }

            // All of them first: whoever looks at an error lets go of the rest.
            for (var i = 0; i < asked; i++)
            {
                _values[_places[i]] = found[i];
            }

            for (var i = 0; i < asked; i++)
            {
                NativeCall.Check(_errors[i], "Cannot read from the database");
                if (hot.IsOn && found[i] != IntPtr.Zero)
                {
                    var key = new ReadOnlySpan<byte>((void*)slices[i].Data, (int)slices[i].Size);
                    hot.Offer(key, _hashes[i], Value(found[i]), view.Position.Revision);
                }
            }
        }
    }

    /// <summary>
    /// Each step of all keys before the next one of any: what is not in the processor's cache is on its way for all of them, and not waited for one
    /// after the other.
    /// </summary>
    private void FindHot(HotRows hot, byte* keys, Revision at)
    {
        for (int i = 0, start = 0; i < Count; start = _ends[i++])
        {
            _hashes[i] = HotRows.HashOf(new(keys + start, _ends[i] - start));
            hot.PrefetchSet(_hashes[i]);
        }

        for (var i = 0; i < Count && Count > 1; i++)
        {
            hot.PrefetchRow(_hashes[i]);
        }

        for (int i = 0, start = 0; i < Count; start = _ends[i++])
        {
            _hot[i] = hot.Find(new(keys + start, _ends[i] - start), _hashes[i], at);
        }
    }

    private static ReadOnlySpan<byte> Value(IntPtr found)
    {
        var value = NativeCall.Api.rocksdb_pinnableslice_value(found, out var length);
        return new((void*)value, (int)length);
    }

    /// <summary>Row of the key that was added as number <paramref name="index"/>; false where the key does not exist.</summary>
    public bool TryGetRow(int index, out DataRow row)
    {
        if (_hot[index].Found)
        {
            row = _hot[index].Row;
            return true;
        }

        if (_values[index] == IntPtr.Zero)
        {
            row = default;
            return false;
        }

        row = DataRow.Parse(Value(_values[index]));
        return true;
    }

    /// <summary>Lets go of the rows and makes room for other keys.</summary>
    public void Clear()
    {
        Array.Clear(_hot, 0, Count);
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
