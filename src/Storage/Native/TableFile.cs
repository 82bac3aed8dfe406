using Quicksilver.Model;

namespace Quicksilver.Storage.Native;

/// <summary>
/// A table file of RocksDB that is written aside, keys in order, to be taken in by a database later. On disk when
/// <see cref="Finish"/> returned; one that was not finished is nothing.
/// </summary>
internal sealed class TableFile : IDisposable
{
    private readonly List<Action> _release = [];
    private readonly IntPtr _writer;

    public TableFile(string path, ColumnFamily family)
    {
        var api = NativeCall.Api;
        var environment = api.rocksdb_envoptions_create();
        _release.Add(() => api.rocksdb_envoptions_destroy(environment));
        var options = Database.FamilyOptions(family, IntPtr.Zero, _release);
        _writer = api.rocksdb_sstfilewriter_create(environment, options);
        _release.Add(() => api.rocksdb_sstfilewriter_destroy(_writer));
        try
        {
            api.rocksdb_sstfilewriter_open(_writer, path, out var error);
            NativeCall.Check(error, $"Cannot create the file '{path}'");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Bytes of keys and values so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>Keys come in order. Throws <see cref="StorageException"/>.</summary>
    public unsafe void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        fixed (byte* k = key, v = value)
        {
            NativeCall.Api.rocksdb_sstfilewriter_put(_writer, (IntPtr)k, (UIntPtr)key.Length, (IntPtr)v, (UIntPtr)value.Length, out var error);
            NativeCall.Check(error, "Cannot write a table file");
        }

        Bytes += key.Length + value.Length;
    }

    /// <summary>Closes the file and syncs it; its name is durable once its directory is.</summary>
    public void Finish()
    {
        NativeCall.Api.rocksdb_sstfilewriter_finish(_writer, out var error);
        NativeCall.Check(error, "Cannot finish a table file");
    }

    public void Dispose()
    {
        for (var i = _release.Count - 1; i >= 0; i--)
        {
            _release[i]();
        }

        _release.Clear();
    }
}
