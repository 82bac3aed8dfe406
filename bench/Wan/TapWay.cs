using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Quicksilver.Wan;

/// <summary>
/// A way of packets: two network devices that this process makes, one here and one in a namespace of its own, with a delay between them and
/// some packets lost. What the kernel makes of that is TCP as it is. The namespace has a second, undisturbed way, for whoever is beside the
/// node there. Needs root; everything goes with this process.
/// </summary>
internal sealed partial class TapWay : IDisposable
{
    private const int OpenReadWrite = 2;
    private const uint SetInterface = 0x400454ca;
    private const short TapWithoutHeader = 0x1002;
    private const int LargestFrame = 65_536;

    private readonly Process _holder;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<int> _taps = [];

    private TapWay(Process holder) => _holder = holder;

    /// <summary>Where the near end listens.</summary>
    public static string Near => "198.18.200.1";

    /// <summary>Where the node at the far end listens, for those beside it.</summary>
    public static string Far => "198.18.201.2";

    public IEnumerable<string> Under => ["nsenter", $"--net=/proc/{_holder.Id}/ns/net"];

    /// <summary>Packets that were lost, of how many.</summary>
    public (long Lost, long Of) Packets => (Interlocked.Read(ref _lost), Interlocked.Read(ref _packets));

    private long _lost;
    private long _packets;

    public static TapWay Create(TimeSpan delay, double loss, TimeProvider time)
    {
        var start = new ProcessStartInfo("unshare", ["--net", "sh", "-c", "echo ready; exec cat > /dev/null"]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        var way = new TapWay(Process.Start(start)!);
        try
        {
            way._holder.StandardOutput.ReadLine();
            var (near, far) = ($"qsn{Environment.ProcessId}", $"qsf{Environment.ProcessId}");
            way._taps.AddRange([Open(near), Open(far)]);
            way.Run($"ip addr add {Near}/24 dev {near} && ip link set {near} up && ip link set {far} netns {way._holder.Id}");
            way.Run($"ip link add qsv{Environment.ProcessId} type veth peer name beside netns {way._holder.Id} && ip addr add 198.18.201.1/24 dev qsv{Environment.ProcessId} && ip link set qsv{Environment.ProcessId} up");
            way.Run($"nsenter --net=/proc/{way._holder.Id}/ns/net sh -c 'ip link set lo up && ip addr add 198.18.200.2/24 dev {far} && ip link set {far} up && ip addr add {Far}/24 dev beside && ip link set beside up'");
            way.Carry(way._taps[0], way._taps[1], delay, loss, seed: 1, time);
            way.Carry(way._taps[1], way._taps[0], delay, loss, seed: 2, time);
            return way;
        }
        catch
        {
            way.Dispose();
            throw;
        }
    }

    private static unsafe int Open(string name)
    {
        var file = NativeOpen("/dev/net/tun", OpenReadWrite);
        var request = stackalloc byte[40];
        new Span<byte>(request, 40).Clear();
        for (var i = 0; i < name.Length; i++)
        {
            request[i] = (byte)name[i];
        }

        *(short*)(request + 16) = TapWithoutHeader;
        return file >= 0 && NativeIoctl(file, SetInterface, request) == 0
            ? file
            : throw new InvalidOperationException($"The device {name} cannot be made (error {Marshal.GetLastPInvokeError()}): this needs root and /dev/net/tun.");
    }

    private void Run(string script)
    {
        using var process = Process.Start(new ProcessStartInfo("sh", ["-c", $"PATH=$PATH:/usr/sbin:/sbin; {script}"]) { RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{script}: {errors}");
        }
    }

    /// <summary>One thread takes frames, another puts them out when their time has come, in their order.</summary>
    private void Carry(int from, int to, TimeSpan delay, double loss, int seed, TimeProvider time)
    {
        var wire = new BlockingCollection<(byte[] Frame, long At)>();
        var random = new Random(seed);
        new Thread(() =>
        {
            var buffer = new byte[LargestFrame];
            while (!_stop.IsCancellationRequested)
            {
                int length;
                unsafe
                {
                    fixed (byte* bytes = buffer)
                    {
                        length = (int)NativeRead(from, bytes, (nuint)buffer.Length);
                    }
                }

                if (length <= 0)
                {
                    return;
                }

                Interlocked.Increment(ref _packets);
                if (random.NextDouble() < loss)
                {
                    Interlocked.Increment(ref _lost);
                    continue;
                }

                wire.Add((buffer[..length], time.GetTimestamp()));
            }
        }) { IsBackground = true }.Start();
        new Thread(() =>
        {
            try
            {
                foreach (var (frame, at) in wire.GetConsumingEnumerable(_stop.Token))
                {
                    var left = delay - time.GetElapsedTime(at);
                    if (left > TimeSpan.FromMilliseconds(0.5))
                    {
                        _stop.Token.WaitHandle.WaitOne(left);
                    }

                    unsafe
                    {
                        fixed (byte* bytes = frame)
                        {
                            // A device that is going away takes nothing: that is a lost packet, too.
                            _ = NativeWrite(to, bytes, (nuint)frame.Length);
                        }
                    }
                }
            }
            catch (OperationCanceledException)
            {
                // The way is closed.
            }
        }) { IsBackground = true }.Start();
    }

    public void Dispose()
    {
        _stop.Cancel();
        _taps.ForEach(tap => NativeClose(tap));
        _holder.StandardInput.Close();
        _holder.WaitForExit();
        _holder.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeOpen(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static unsafe partial int NativeIoctl(int file, nuint request, byte* argument);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static unsafe partial nint NativeRead(int file, byte* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static unsafe partial nint NativeWrite(int file, byte* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int NativeClose(int file);
}
