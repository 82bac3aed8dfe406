using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Quicksilver.Peers;

/// <summary>What is written: the same for all peers.</summary>
internal static class Sizes
{
    public const int Keys = 100_000;
    public const int KeyBytes = 24;
    public const int ValueBytes = 100;
    public const int PutsOfTransaction = 100;

    public static byte[] Key(Random random) => Encoding.ASCII.GetBytes(random.Next(Keys).ToString(CultureInfo.InvariantCulture).PadLeft(KeyBytes, 'k'));

    /// <summary>Keys of one transaction, all different.</summary>
    public static IEnumerable<byte[]> DistinctKeys(Random random)
    {
        var first = random.Next(Keys);
        for (var i = 0; i < PutsOfTransaction; i++)
        {
            // A step that shares no factor with the number of keys visits each once.
            var number = (int)((first + (i * 7_919L)) % Keys);
            yield return Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture).PadLeft(KeyBytes, 'k'));
        }
    }

    public static byte[] Value(Random random)
    {
        var value = new byte[ValueBytes];
        random.NextBytes(value);
        return value;
    }

    public static long ResidentBytes(int process)
    {
        var line = File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith("VmRSS", StringComparison.Ordinal));
        return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }

    /// <summary>What a process has had of the processors, user and kernel, since it was started. In steps of 10 ms, as <c>/proc/PID/stat</c> has it.</summary>
    public static TimeSpan ProcessorTime(int process)
    {
        using var running = Process.GetProcessById(process);
        return running.TotalProcessorTime;
    }
}
