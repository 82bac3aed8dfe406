using System.Globalization;

namespace Quicksilver.Testing;

/// <summary>
/// Wall clocks of processes that a test sets while they run, by libfaketime; monotonic time is left alone.
/// </summary>
/// <param name="directory">Where the settings are, a file for each process.</param>
public sealed class WallClocks(string directory) : IDisposable
{
    private const string Shared = "/dev/shm";

    private static readonly string? s_library = new[] { "/usr/lib", "/usr/lib64", "/usr/local/lib" }.Where(Directory.Exists)
        .SelectMany(root => Directory.EnumerateDirectories(root).SelectMany(parent => new[] { Path.Combine(parent, "faketime"), parent }).Append(Path.Combine(root, "faketime")))
        .Select(parent => Path.Combine(parent, "libfaketime.so.1")).FirstOrDefault(File.Exists);

    /// <summary>What is missing for such clocks, for people; null where nothing is.</summary>
    public static string? Missing => s_library is null ? "the library libfaketime" : null;

    /// <summary>A command under which a process has a clock of its own, right at first.</summary>
    public IEnumerable<string> Under(string name)
    {
        if (!File.Exists(FileOf(name)))
        {
            Set(name, TimeSpan.Zero);
        }

        return ["env", $"LD_PRELOAD={s_library}", $"FAKETIME_TIMESTAMP_FILE={FileOf(name)}", "FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"];
    }

    /// <summary>Sets the clock of a process to so much after the right time.</summary>
    public void Set(string name, TimeSpan ahead)
    {
        // Replaced, not written: it is read at any time, once a second. Read at each look at the clock it would be most of what a node does.
        var next = FileOf(name) + ".next";
        File.WriteAllText(next, string.Create(CultureInfo.InvariantCulture, $"{(ahead < TimeSpan.Zero ? '-' : '+')}{(long)ahead.Duration().TotalSeconds}\n"));
        File.Move(next, FileOf(name), overwrite: true);
    }

    /// <summary>How far the clock of a process is ahead, as it tells whoever asks on its HTTP port.</summary>
    public async Task<TimeSpan> ReadAsync(string endpoint, CancellationToken stop)
    {
        using var http = new HttpClient();
        using var answer = await http.GetAsync(new Uri($"http://{endpoint}/healthz/ready"), stop);
        return answer.Headers.Date!.Value - TimeProvider.System.GetUtcNow();
    }

    /// <summary>Takes away what the library leaves of processes that were killed; all must have ended.</summary>
    public void Dispose()
    {
        foreach (var file in Directory.Exists(Shared) ? Directory.EnumerateFiles(Shared, "*faketime_s??_*") : [])
        {
            if (!Directory.Exists(Path.Combine("/proc", file[(file.LastIndexOf('_') + 1)..])))
            {
                File.Delete(file);
            }
        }
    }

    private string FileOf(string name) => Path.Combine(directory, $"clock-{name}");
}
