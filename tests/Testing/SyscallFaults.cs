using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Quicksilver.Testing;

/// <summary>
/// Makes system calls of a node fail, as a disk does that breaks or fills up: strace gives the error instead of calling the kernel. Or
/// makes them late.
/// What failed, and how the process ended, is in the file that strace writes.
/// </summary>
public sealed partial class SyscallFaults : IAsyncDisposable
{
    private readonly Process _strace;
    private readonly string _file;

    private SyscallFaults(Process strace, string file)
    {
        _strace = strace;
        _file = file;
    }

    /// <summary>From now on the calls of a running process, all its threads, fail.</summary>
    /// <param name="file">Where strace writes.</param>
    /// <param name="calls">Names of system calls, with commas.</param>
    /// <param name="error">Name of the error: EIO, ENOSPC.</param>
    /// <param name="paths">Only calls on these files, which need not be there yet; empty for any.</param>
    public static Task<SyscallFaults> AttachAsync(
        int process, string file, string calls, string error, IEnumerable<string> paths, CancellationToken stop) =>
        AttachAsync(process, file, Arguments(file, calls, $"error={error}", paths), stop);

    /// <summary>From now on each of the calls of a running process takes that much longer, as on a disk that stalls.</summary>
    public static Task<SyscallFaults> StallAsync(int process, string file, string calls, TimeSpan delay, CancellationToken stop) =>
        AttachAsync(process, file, Arguments(file, calls, string.Create(CultureInfo.InvariantCulture, $"delay_enter={delay.TotalMicroseconds:0}"), []), stop);

    private static async Task<SyscallFaults> AttachAsync(int process, string file, string[] arguments, CancellationToken stop)
    {
        var start = new ProcessStartInfo("strace", [.. arguments, "-p", process.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardError = true,
        };
        var strace = Process.Start(start)!;
        while (await strace.StandardError.ReadLineAsync(stop) is { } line)
        {
            if (line.Contains("attached", StringComparison.Ordinal))
            {
                // What it says of new threads must go somewhere, or it would stop.
                _ = strace.StandardError.ReadToEndAsync(CancellationToken.None);
                return new(strace, file);
            }
        }

        throw new InvalidOperationException($"strace did not attach to process {process}.");
    }

    /// <summary>
    /// A command to start a process under, whose calls fail from the beginning. It stays the parent's child: strace watches from aside.
    /// </summary>
    public static string[] Under(string file, string calls, string error, IEnumerable<string> paths) =>
        ["strace", "-D", "--seccomp-bpf", .. Arguments(file, calls, $"error={error}", paths)];

    private static string[] Arguments(string file, string calls, string fault, IEnumerable<string> paths) =>
        ["-f", "-o", file, "-e", $"trace={calls}", "-e", $"inject={calls}:{fault}", .. paths.SelectMany(path => new[] { "-P", path })];

    /// <summary>Calls that failed so far, as far as strace has written it down.</summary>
    public static int Failed(string file) => Lines(file).Count(line => line.EndsWith("(INJECTED)", StringComparison.Ordinal));

    /// <summary>The code with which a process ended; null where it has not, or not by itself.</summary>
    public static int? ExitCode(string file, int process)
    {
        var begin = process.ToString(CultureInfo.InvariantCulture) + " ";
        return Lines(file).Where(line => line.StartsWith(begin, StringComparison.Ordinal)).Select(line => Exited().Match(line)).LastOrDefault(match => match.Success) is { } exited
            ? int.Parse(exited.Groups[1].Value, CultureInfo.InvariantCulture)
            : null;
    }

    private static IEnumerable<string> Lines(string file) => File.Exists(file) ? File.ReadLines(file) : [];

    /// <summary>The calls succeed again, where the process still runs.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_strace.HasExited)
        {
            using var kill = Process.Start("kill", ["-INT", _strace.Id.ToString(CultureInfo.InvariantCulture)]);
            await _strace.WaitForExitAsync();
        }

        _strace.Dispose();
        File.Delete(_file);
    }

    [GeneratedRegex(@"\+\+\+ exited with (\d+) \+\+\+")]
    private static partial Regex Exited();
}
