using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Quicksilver.Testing;

/// <summary>
/// A disk of its own for one directory: an ext4 in a file, whose power a test can cut. What was not flushed by then is gone, as the
/// page cache of a machine is. Needs root.
/// </summary>
public sealed partial class LoopDisk : IAsyncDisposable
{
    // EXT4_IOC_SHUTDOWN of linux/fs/ext4/ext4.h: _IOR('X', 125, __u32), and its mode that writes nothing more, not even the journal.
    private const uint ShutDown = 0x8004_587D;
    private const uint NoLogFlush = 2;

    private static ReadOnlySpan<byte> CanaryText => "canary"u8;

    private readonly string _image;
    private readonly string _directory;
    private bool _isMounted;
    private int _cuts;

    private LoopDisk(string image, string directory)
    {
        _image = image;
        _directory = directory;
    }

    /// <summary>What is missing for such a disk, for people; null where nothing is.</summary>
    public static string? Missing => Environment.IsPrivilegedProcess ? null : "root";

    // Another for each cut.
    private string Canary => Path.Combine(_directory, string.Create(CultureInfo.InvariantCulture, $"canary-{_cuts}"));

    /// <summary>Makes a disk and mounts it.</summary>
    /// <param name="image">The file; it takes room as it is used.</param>
    /// <param name="directory">Where it is mounted; made where it is missing.</param>
    /// <param name="mebibytes">Its size.</param>
    public static async Task<LoopDisk> CreateAsync(string image, string directory, int mebibytes, CancellationToken stop)
    {
        Directory.CreateDirectory(directory);
        await using (var file = new FileStream(image, FileMode.CreateNew))
        {
            file.SetLength((long)mebibytes << 20);
        }

        await RunAsync("mkfs.ext4", ["-q", "-F", image], stop);
        var disk = new LoopDisk(image, directory);
        await disk.MountAsync(stop);
        return disk;
    }

    /// <summary>From now on nothing reaches the disk, and every call on it fails. End who uses it, then <see cref="ReturnAsync"/>.</summary>
    public void CutPower()
    {
        _cuts++;

        // Written and not flushed: it must not be there afterwards, or nothing was cut.
        // As a new file, and no other way: ext4 flushes on close what was truncated before it was written.
        using (var canary = new FileStream(Canary, FileMode.CreateNew, FileAccess.Write))
        {
            canary.Write(CanaryText);
        }

        using var directory = OpenDirectory(_directory);
        var mode = NoLogFlush;
        if (directory.IsInvalid || Control(directory, ShutDown, ref mode) != 0)
        {
            throw new InvalidOperationException($"The power of '{_directory}' was not cut: error {Marshal.GetLastPInvokeError()}.");
        }
    }

    /// <summary>The power is back: mounts the disk as it is. Throws where what was not flushed is there all the same.</summary>
    public async Task ReturnAsync(CancellationToken stop)
    {
        await RunAsync("umount", [_directory], stop);
        _isMounted = false;
        await MountAsync(stop);

        // A name may have gone with what others flushed meanwhile.
        if (File.Exists(Canary) && (await File.ReadAllBytesAsync(Canary, stop)).AsSpan().SequenceEqual(CanaryText))
        {
            throw new InvalidOperationException($"The disk of '{_directory}' has what was never flushed: its power was not cut.");
        }
    }

    private async Task MountAsync(CancellationToken stop)
    {
        await RunAsync("mount", ["-o", "loop", _image, _directory], stop);
        _isMounted = true;
    }

    private static async Task RunAsync(string program, IEnumerable<string> args, CancellationToken stop)
    {
        using var process = Process.Start(new ProcessStartInfo(program, args) { RedirectStandardError = true })!;
        var errors = await process.StandardError.ReadToEndAsync(stop);
        await process.WaitForExitAsync(stop);
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"{program} {string.Join(' ', args)}: {process.ExitCode} {errors}"));
        }
    }

    private static SafeFileHandle OpenDirectory(string path) => new(Open(path, 0), ownsHandle: true);

    /// <summary>Unmounts it; the file stays.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isMounted)
        {
            await RunAsync("umount", [_directory], CancellationToken.None);
            _isMounted = false;
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, nuint request, ref uint argument);
}
