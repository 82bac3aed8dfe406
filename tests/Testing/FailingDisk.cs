using System.Runtime.InteropServices;

namespace Quicksilver.Testing;

/// <summary>A disk that turns read-only under a file that this process has open.</summary>
public static partial class FailingDisk
{
    private const int ReadOnly = 0;

    /// <summary>From here on every write through a handle that this process has on the file fails.</summary>
    public static void RefuseWrites(string path)
    {
        var handles = Directory.GetFiles("/proc/self/fd").Where(handle => new FileInfo(handle).LinkTarget == path).Select(handle => int.Parse(Path.GetFileName(handle), System.Globalization.CultureInfo.InvariantCulture)).ToList();
        if (handles.Count == 0)
        {
            throw new FileNotFoundException($"This process does not have '{path}' open.", path);
        }

        var replacement = Open(path, ReadOnly);
        foreach (var handle in handles)
        {
            // Same number, same file, no right to write.
            if (replacement < 0 || Duplicate(replacement, handle) < 0)
            {
                throw new IOException($"Cannot replace a handle of '{path}' (errno {Marshal.GetLastPInvokeError()}).");
            }
        }

        _ = Close(replacement);
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "dup2", SetLastError = true)]
    private static partial int Duplicate(int from, int to);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int handle);
}
