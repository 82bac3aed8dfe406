using System.Runtime.InteropServices;

namespace Quicksilver.Storage;

/// <summary>Makes the names in a directory durable: a file that was created or renamed is not there after a power cut before that.</summary>
public static partial class DirectorySync
{
    private const int ReadOnly = 0;
    private const int CloseOnExec = 0x80000;

    /// <summary>Throws <see cref="IOException"/>. The runtime has no call for this, and its flush of files hides errors (docs/decisions/0003-fsync.md).</summary>
    public static void Flush(string directory)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        var descriptor = Open(directory, ReadOnly | CloseOnExec);
        if (descriptor < 0)
        {
            throw Error("open", directory);
        }

        try
        {
            if (FSync(descriptor) != 0)
            {
                throw Error("sync", directory);
            }
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    private static IOException Error(string doing, string directory) =>
        new($"Cannot {doing} the directory '{directory}': {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
