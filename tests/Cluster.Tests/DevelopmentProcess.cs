using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>The development cluster as a process, on ports and in a directory of its own; can be killed and started again.</summary>
public sealed class DevelopmentProcess : IAsyncDisposable
{
    private const string Silo = "Quicksilver.Silo";
    private const string Executable = "Quicksilver.Orleans.Silo";

    private readonly int _gateway = Ports.FreeRange(3);
    private readonly int _http = Ports.FreeRange(3);
    private readonly int _silo = Ports.FreeRange(3);
    private readonly int _raft = Ports.Free();
    private ChildProcess? _process;

    public TempDirectory Directory { get; } = new();

    public ChildProcess Process => _process!;

    public IEnumerable<string> Arguments =>
    [
        $"--Quicksilver:Development:DataDirectory={Directory.Sub("data")}",
        $"--Quicksilver:Development:GatewayPort={_gateway}",
        $"--Quicksilver:Development:HttpPort={_http}",
        $"--Quicksilver:Development:SiloPort={_silo}",
        $"--Quicksilver:Development:RaftPort={_raft}",
    ];

    /// <summary>Gateway of a region: hub, eu or us.</summary>
    public string Gateway(string region) => $"127.0.0.1:{_gateway + Offset(region)}";

    public Uri Http(string region) => new($"http://127.0.0.1:{_http + Offset(region)}");

    public static ChildProcess StartSilo(IEnumerable<string> args, IReadOnlyDictionary<string, string>? environment = null, string? directory = null) =>
        ChildProcess.Start(Silo, Executable, args, environment, directory);

    public async Task StartAsync(CancellationToken stop)
    {
        _process = StartSilo(Arguments);

        // The last line it says, so that all of them are there.
        await _process.WaitForOutputAsync("Ctrl-C stops it; the data stays.", stop);
    }

    public QuicksilverClient Connect(string region, TimeSpan deadline)
    {
        var options = new QuicksilverClientOptions { Deadline = deadline };
        options.Gateways.Add(Gateway(region));
        return new(options, TimeProvider.System, NullLoggerFactory.Instance);
    }

    /// <summary>Runs <c>qs</c> as a process against a region.</summary>
    public async Task<(int Code, string Output, string Errors)> QsAsync(string region, CancellationToken stop, params string[] args)
    {
        await using var process = ChildProcess.Start("Quicksilver.Cli", "qs", [.. args, "--gateway", Gateway(region)]);
        var code = await process.WaitAsync(stop);
        return (code, process.Output.TrimEnd(), process.Errors.TrimEnd());
    }

    private static int Offset(string region) => region switch { "hub" => 0, "eu" => 1, "us" => 2, _ => throw new ArgumentException(region) };

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            await _process.DisposeAsync();
        }

        Directory.Dispose();
    }
}
