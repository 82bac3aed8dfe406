namespace Quicksilver.Storage.Native;

/// <summary>
/// A cursor over one column family at one View. The wrapper hides errors of iterators: one that met a damaged block looks as if
/// it had reached the end. This one asks after every step that ends and throws instead. Dispose it always: a forgotten one
/// pins files for ever.
/// </summary>
internal unsafe ref struct DbIterator
{
    private IntPtr _iterator;

    public DbIterator(Database database, IntPtr readOptions, ColumnFamily family) =>
        _iterator = NativeCall.Api.rocksdb_create_iterator_cf(database.Handle, readOptions, database.Family(family));

    /// <summary>The current key; valid until the next move.</summary>
    public readonly ReadOnlySpan<byte> Key
    {
        get
        {
            var key = NativeCall.Api.rocksdb_iter_key(_iterator, out var length);
            return new((void*)key, (int)length);
        }
    }

    /// <summary>The current value; valid until the next move.</summary>
    public readonly ReadOnlySpan<byte> Value
    {
        get
        {
            var value = NativeCall.Api.rocksdb_iter_value(_iterator, out var length);
            return new((void*)value, (int)length);
        }
    }

    /// <summary>Moves to the first key at or after <paramref name="key"/>; false at the end.</summary>
    public readonly bool Seek(ReadOnlySpan<byte> key)
    {
        fixed (byte* k = key)
        {
            NativeCall.Api.rocksdb_iter_seek(_iterator, k, (UIntPtr)key.Length);
        }

        return IsValid();
    }

    /// <summary>Moves to the last key at or before <paramref name="key"/>; false where there is none.</summary>
    public readonly bool SeekForPrevious(ReadOnlySpan<byte> key)
    {
        fixed (byte* k = key)
        {
            NativeCall.Api.rocksdb_iter_seek_for_prev(_iterator, k, (UIntPtr)key.Length);
        }

        return IsValid();
    }

    public readonly bool Next()
    {
        NativeCall.Api.rocksdb_iter_next(_iterator);
        return IsValid();
    }

    public readonly bool Previous()
    {
        NativeCall.Api.rocksdb_iter_prev(_iterator);
        return IsValid();
    }

    private readonly bool IsValid()
    {
        if (NativeCall.Api.rocksdb_iter_valid(_iterator) != 0)
        {
            return true;
        }

        NativeCall.Api.rocksdb_iter_get_error(_iterator, out var error);
        NativeCall.Check(error, "Cannot read from the database");
        return false;
    }

    public void Dispose()
    {
        if (_iterator != IntPtr.Zero)
        {
            NativeCall.Api.rocksdb_iter_destroy(_iterator);
            _iterator = IntPtr.Zero;
        }
    }
}
