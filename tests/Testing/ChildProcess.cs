using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace Quicksilver.Testing;

/// <summary>A real process of this build, with its output kept.</summary>
public sealed partial class ChildProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _errors = new();

    private ChildProcess(Process process) => _process = process;

    public string Output => Read(_output);

    public string Errors => Read(_errors);

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    public int ExitCode => _process.ExitCode;

    /// <summary>What the process reads; closed by <see cref="StreamWriter.Close"/>.</summary>
    public StreamWriter Input => _process.StandardInput;

    /// <summary>Starts an executable of this build: <c>Quicksilver.Silo/Quicksilver.Orleans.Silo</c>, <c>Quicksilver.Cli/qs</c>.</summary>
    public static ChildProcess Start(
        string project, string executable, IEnumerable<string> args, IReadOnlyDictionary<string, string>? environment = null, string? directory = null)
    {
        var configuration = new DirectoryInfo(AppContext.BaseDirectory).Name;

        // A shell that runs the tests in the background has made them, and so their children, deaf to SIGINT: env gives it back.
        var start = new ProcessStartInfo("env", ["--default-signal=INT", Repository.PathOf("artifacts", "bin", project, configuration, executable), .. args])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory ?? Path.GetTempPath(),
        };
        start.Environment.Remove("DOTNET_ENVIRONMENT");
        start.Environment.Remove("ASPNETCORE_ENVIRONMENT");

        // A killed process would leave its diagnostics pipe behind.
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        var child = new ChildProcess(new() { StartInfo = start });
        child._process.OutputDataReceived += (_, line) => Append(child._output, line.Data);
        child._process.ErrorDataReceived += (_, line) => Append(child._errors, line.Data);
        child._process.Start();
        child._process.BeginOutputReadLine();
        child._process.BeginErrorReadLine();
        return child;
    }

    /// <summary>Waits for a text on standard output; fails at once when the process ends without it.</summary>
    public Task WaitForOutputAsync(string text, CancellationToken stop) => Eventually.TrueAsync(
        () => Output.Contains(text, StringComparison.Ordinal)
            || (HasExited ? throw new InvalidOperationException($"The process ended with {ExitCode} before it said '{text}'.\n{Output}\n{Errors}") : false),
        $"'{text}' from the process", stop, TimeSpan.FromSeconds(60));

    /// <summary>Ends it with SIGKILL, as a crash does.</summary>
    public async Task KillAsync(CancellationToken stop)
    {
        _process.Kill();
        await _process.WaitForExitAsync(stop);
    }

    /// <summary>Sends a signal (2 = SIGINT, 15 = SIGTERM) and waits for the end; returns the exit code.</summary>
    public async Task<int> SignalAsync(int signal, CancellationToken stop)
    {
        _ = Kill(_process.Id, signal);
        return await WaitAsync(stop);
    }

    /// <summary>Waits for the end; returns the exit code.</summary>
    /// <param name="limit">How long; a minute by default. More for a command that waits by itself.</param>
    public async Task<int> WaitAsync(CancellationToken stop, TimeSpan? limit = null)
    {
        var longest = limit ?? TimeSpan.FromSeconds(60);
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(stop);
        bound.CancelAfter(longest);
        try
        {
            await _process.WaitForExitAsync(bound.Token);
        }
        catch (OperationCanceledException e) when (!stop.IsCancellationRequested)
        {
            throw new TimeoutException($"The process has not ended after {longest}.\n{Output}\n{Errors}", e);
        }

        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    private static void Append(StringBuilder text, string? line)
    {
        lock (text)
        {
            text.AppendLine(line);
        }
    }

    private static string Read(StringBuilder text)
    {
        lock (text)
        {
            return text.ToString();
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int pid, int signal);
}
