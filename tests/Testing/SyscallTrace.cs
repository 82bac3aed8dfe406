using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Quicksilver.Testing;

/// <summary>
/// The system calls of a running process, as strace reports them, and what they say of its Raft port: whether an answer left before
/// the disk had what it acknowledges. Entries are recognized by marks in the values that a test writes.
/// </summary>
public sealed partial class SyscallTrace : IAsyncDisposable
{
    private readonly Process _strace;
    private readonly string _file;
    private readonly StreamReader _reader;
    private readonly AcknowledgementAudit _audit;
    private readonly StringBuilder _partial = new();

    private SyscallTrace(Process strace, string file, AcknowledgementAudit audit)
    {
        _strace = strace;
        _file = file;
        _audit = audit;
        _reader = new(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite), Encoding.Latin1);
    }

    /// <summary>A value that carries the number twice: a file may cut one of them in two by a header of its own.</summary>
    public static string Mark(int number) => string.Create(CultureInfo.InvariantCulture, $"~{number:d8}~{new string('.', 40)}~{number:d8}~");

    /// <param name="process">Whom to trace; all its threads, also those to come.</param>
    /// <param name="file">Where strace writes.</param>
    /// <param name="raftPort">The port on which the process answers leaders.</param>
    /// <param name="data">Where that member has its files; a process may have several members.</param>
    public static async Task<SyscallTrace> AttachAsync(int process, string file, int raftPort, string data, CancellationToken stop)
    {
        var start = new ProcessStartInfo("strace",
        [
            "-f", "-yy", "-s", "262144", "-o", file, "-p", process.ToString(CultureInfo.InvariantCulture),
            "-e", "trace=recvfrom,recvmsg,read,sendto,sendmsg,write,writev,pwrite64,fdatasync,fsync",
        ])
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
                return new(strace, file, new(raftPort, data));
            }
        }

        throw new InvalidOperationException($"strace did not attach to process {process}.");
    }

    /// <summary>Reads on; returns what was found so far.</summary>
    public AcknowledgementAudit Read()
    {
        var buffer = new char[1 << 20];
        while (_reader.Read(buffer) is > 0 and var count)
        {
            var rest = buffer.AsSpan(0, count);
            while (rest.IndexOf('\n') is >= 0 and var end)
            {
                _partial.Append(rest[..end]);
                _audit.Read(_partial.ToString());
                _partial.Clear();
                rest = rest[(end + 1)..];
            }

            _partial.Append(rest);
        }

        return _audit;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_strace.HasExited)
        {
            // It detaches in order at this signal, and leaves the process as it was.
            using var kill = Process.Start("kill", ["-INT", _strace.Id.ToString(CultureInfo.InvariantCulture)]);
            await _strace.WaitForExitAsync();
        }

        _strace.Dispose();
        _reader.Dispose();
        File.Delete(_file);
    }
}

/// <summary>
/// Reads lines of strace. A mark is pending on a connection from the moment it was received there until something is sent there; it
/// is durable when a flush has completed that began after the mark was written, or when a write to a file that is written through has.
/// </summary>
public sealed partial class AcknowledgementAudit(int raftPort, string data)
{
    private readonly Dictionary<string, Call> _unfinished = [];
    private readonly Dictionary<string, HashSet<int>> _pending = [];
    private readonly HashSet<int> _written = [];
    private readonly HashSet<int> _durable = [];
    private readonly Dictionary<string, List<int>> _flushing = [];

    private sealed record Call(string Name, string Target, List<int> Marks);

    /// <summary>Answers that acknowledge something.</summary>
    public int Acknowledgements { get; private set; }

    /// <summary>Answers that left before all they acknowledge was durable.</summary>
    public int Early { get; private set; }

    /// <summary>The first of the early ones, for people.</summary>
    public string? FirstEarly { get; private set; }

    public void Read(string line)
    {
        if (Resumed().Match(line) is { Success: true } resumed)
        {
            if (_unfinished.Remove(resumed.Groups["thread"].Value, out var begun))
            {
                // A receive shows what it got only when it is done.
                End(resumed.Groups["thread"].Value, begun with { Marks = [.. begun.Marks, .. MarksOf(line)] }, Succeeded(line));
            }

            return;
        }

        if (Begun().Match(line) is not { Success: true } match)
        {
            return;
        }

        var thread = match.Groups["thread"].Value;
        var call = new Call(match.Groups["name"].Value, match.Groups["target"].Value, MarksOf(line));
        Begin(thread, call, line);
        if (line.EndsWith("<unfinished ...>", StringComparison.Ordinal))
        {
            _unfinished[thread] = call;
        }
        else
        {
            End(thread, call, Succeeded(line));
        }
    }

    private void Begin(string thread, Call call, string line)
    {
        switch (call.Name)
        {
            case "sendto" or "sendmsg" or "write" or "writev" when IsRaft(call.Target):
                Answer(call.Target, line);
                break;
            case "fdatasync" or "fsync" when IsDatabaseLog(call.Target):
                _flushing[thread] = [.. _written];
                break;
        }
    }

    private void End(string thread, Call call, bool succeeded)
    {
        switch (call.Name)
        {
            case "recvfrom" or "recvmsg" or "read" when IsRaft(call.Target) && call.Marks.Count > 0:
                if (!_pending.TryGetValue(call.Target, out var pending))
                {
                    _pending.Add(call.Target, pending = []);
                }

                pending.UnionWith(call.Marks);
                break;
            case "write" or "writev" or "pwrite64" when succeeded && IsDatabaseLog(call.Target):
                _written.UnionWith(call.Marks);
                break;
            case "pwrite64" when succeeded && IsWrittenThrough(call.Target):
                _durable.UnionWith(call.Marks);
                break;
            case "fdatasync" or "fsync" when IsDatabaseLog(call.Target):
                if (_flushing.Remove(thread, out var flushed) && succeeded)
                {
                    _durable.UnionWith(flushed);
                    _written.ExceptWith(flushed);
                }

                break;
        }
    }

    private void Answer(string connection, string line)
    {
        if (!_pending.TryGetValue(connection, out var pending) || pending.Count == 0)
        {
            return;
        }

        Acknowledgements++;
        var missing = pending.Where(mark => !_durable.Contains(mark)).ToList();
        if (missing.Count > 0)
        {
            Early++;
            FirstEarly ??= $"marks {string.Join(", ", missing.Take(5))} were not durable at: {line[..Math.Min(200, line.Length)]}";
        }

        pending.Clear();
    }

    private bool IsRaft(string target) => target.StartsWith("TCP", StringComparison.Ordinal) && target.Contains($":{raftPort}->", StringComparison.Ordinal);

    private bool IsDatabaseLog(string target) =>
        target.StartsWith(Path.Combine(data, "db"), StringComparison.Ordinal) && target.EndsWith(".log", StringComparison.Ordinal);

    private bool IsWrittenThrough(string target) => target.StartsWith(Path.Combine(data, "raft", "data"), StringComparison.Ordinal);

    private static bool Succeeded(string line) => !line.Contains(") = -1 ", StringComparison.Ordinal);

    private static List<int> MarksOf(string line) =>
        [.. MarkPattern().Matches(line).Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))];

    [GeneratedRegex(@"^(?<thread>\d+) +<\.\.\. (?<name>\w+) resumed>")]
    private static partial Regex Resumed();

    [GeneratedRegex(@"^(?<thread>\d+) +(?<name>\w+)\(\d+<(?<target>(?:->|[^>])*)>")]
    private static partial Regex Begun();

    [GeneratedRegex(@"~(\d{8})~")]
    private static partial Regex MarkPattern();
}
