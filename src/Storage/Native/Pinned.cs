namespace Quicksilver.Storage.Native;

/// <summary>The value of one key, pinned in RocksDB's own memory: no copy, no managed allocation.</summary>
internal unsafe ref struct Pinned
{
    private IntPtr _handle;

    private Pinned(IntPtr handle)
    {
        _handle = handle;
        if (handle != IntPtr.Zero)
        {
            var value = NativeCall.Api.rocksdb_pinnableslice_value(handle, out var length);
            Bytes = new((void*)value, (int)length);
        }
    }

    public readonly bool Found => _handle != IntPtr.Zero;

    public ReadOnlySpan<byte> Bytes { get; private set; }

    public static Pinned Get(Database database, IntPtr readOptions, ColumnFamily family, scoped ReadOnlySpan<byte> key)
    {
        fixed (byte* k = key)
        {
            var handle = NativeCall.Api.rocksdb_get_pinned_cf(
                database.Handle, readOptions, database.Family(family), k, (UIntPtr)key.Length, out var error);
            NativeCall.Check(error, "Cannot read from the database");
            return new(handle);
        }
    }

    public void Dispose()
    {
        if (_handle != IntPtr.Zero)
        {
            NativeCall.Api.rocksdb_pinnableslice_destroy(_handle);
            _handle = IntPtr.Zero;
            Bytes = default;
        }
    }
}
