using System.Runtime.InteropServices;
using RocksDbSharp;

namespace Quicksilver.Storage.Native;

/// <summary>The one gate for errors of native calls: none is ever ignored.</summary>
internal static class NativeCall
{
    public static RocksDbSharp.Native Api => RocksDbSharp.Native.Instance;

    /// <summary>Throws when a native call reported an error, and frees its text.</summary>
    public static void Check(IntPtr error, string doing)
    {
        if (error == IntPtr.Zero)
        {
            return;
        }

        var text = Marshal.PtrToStringUTF8(error) ?? "unknown error";
        Api.rocksdb_free(error);
        throw ToException(text, doing);
    }

    public static StorageException ToException(string text, string doing)
    {
        var fault = text.StartsWith("Corruption", StringComparison.Ordinal) ? StorageFault.Corrupt
            : text.Contains("lock", StringComparison.OrdinalIgnoreCase) && text.Contains("LOCK", StringComparison.Ordinal) ? StorageFault.InUse
            : StorageFault.Io;
        return new StorageException(fault, $"{doing}: {text}");
    }
}
