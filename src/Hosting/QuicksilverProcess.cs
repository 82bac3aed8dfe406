using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Quicksilver.Hosting;

/// <summary>The process of one node, or of a development cluster: signals, start, stop, exit code.</summary>
public static class QuicksilverProcess
{
    /// <summary>
    /// Runs until a signal or a failure. Settings come from <c>--config FILE</c> (JSON), the environment (<c>Quicksilver__Role</c>)
    /// and the command line (<c>--Quicksilver:Role=hub</c>), later ones over earlier ones, read once. Returns the exit code.
    /// </summary>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter errors)
    {
        using var stop = new CancellationTokenSource();
        void OnSignal(PosixSignalContext signal)
        {
            // The second signal ends the process at once.
            signal.Cancel = !stop.IsCancellationRequested;
            stop.Cancel();
        }

        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        var started = new List<NodeHost>();
        try
        {
            var environment = Environment.GetEnvironmentVariable("DOTNET_ENVIRONMENT") ?? Environment.GetEnvironmentVariable("ASPNETCORE_ENVIRONMENT");
            var settings = SettingsReader.Read(Configuration(args), environment);
            PortCheck.Require(settings.Nodes.SelectMany(NodeHost.PortsOf));
            foreach (var node in settings.Nodes)
            {
                started.Add(await NodeHost.StartAsync(node, TimeProvider.System, ConfigureLogging, stop.Token));
            }

            Announce(settings, output);
            return await WaitAsync(started, errors, stop.Token);
        }
        catch (Exception e) when (stop.IsCancellationRequested && e is not OutOfMemoryException)
        {
            // Stopped during the start: what the parts throw then is their way of saying so.
            return ExitCode.Ok;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            var code = ExitCode.For(e);
            await errors.WriteLineAsync(code == ExitCode.Error ? $"quicksilver: {e}" : $"quicksilver: {Told(e)}");
            return code;
        }
        finally
        {
            started.Reverse();
            foreach (var node in started)
            {
                await node.DisposeAsync();
            }
        }
    }

    private static async Task<int> WaitAsync(List<NodeHost> nodes, TextWriter errors, CancellationToken stop)
    {
        var stopped = new TaskCompletionSource<Exception>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = stop.Register(() => stopped.TrySetCanceled(stop));
        var first = await Task.WhenAny([stopped.Task, .. nodes.Select(node => node.Fault)]);
        if (first.IsCanceled)
        {
            return ExitCode.Ok;
        }

        var fault = await first;
        await errors.WriteLineAsync($"quicksilver: this node cannot go on: {Told(fault)}");
        return ExitCode.For(fault) is var code and not ExitCode.Error ? code : ExitCode.Storage;
    }

    /// <summary>What happened, and the next step where the message does not name it: a database knows only which call failed.</summary>
    private static string Told(Exception e) => Innermost(e) is var inner and (Storage.StorageException { Fault: Storage.StorageFault.Io } or IOException)
        ? $"{inner.Message.TrimEnd(' ', '.')}. When the disk is in order and has room, start this node again."
        : Innermost(e).Message;

    private static Exception Innermost(Exception e) => e is ConfigurationException or Storage.StorageException or Sequencing.NeedsRepairException or Sequencing.FormationRefusedException or Sequencing.MemberRemovedException || e.InnerException is null
        ? e
        : Innermost(e.InnerException);

    private static IConfiguration Configuration(string[] args)
    {
        var builder = new ConfigurationBuilder();
        var config = Array.IndexOf(args, "--config");
        if (config >= 0)
        {
            if (config + 1 >= args.Length || !File.Exists(args[config + 1]))
            {
                throw new ConfigurationException("--config", config + 1 < args.Length ? args[config + 1] : null, "name a JSON file that exists.");
            }

            try
            {
                builder.AddJsonFile(Path.GetFullPath(args[config + 1]), optional: false, reloadOnChange: false);
                if (!builder.Build().GetSection(SettingsReader.SectionName).GetChildren().Any())
                {
                    throw new ConfigurationException("--config", args[config + 1], $"it has no section '{SettingsReader.SectionName}'. Put the settings there.");
                }
            }
            catch (InvalidDataException e)
            {
                throw new ConfigurationException("--config", args[config + 1], $"it is not readable JSON: {e.InnerException?.Message ?? e.Message}");
            }

            args = [.. args[..config], .. args[(config + 2)..]];
        }

        foreach (var arg in args)
        {
            if (!arg.StartsWith("--Quicksilver:", StringComparison.OrdinalIgnoreCase) || !arg.Contains('=', StringComparison.Ordinal))
            {
                throw new ConfigurationException("command line", arg, "write settings as --Quicksilver:KEY=VALUE, or name a file with --config FILE.");
            }
        }

        return builder.AddEnvironmentVariables().AddCommandLine(args).Build();
    }

    private static void ConfigureLogging(ILoggingBuilder logging)
    {
        logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.UseUtcTimestamp = true;
            console.TimestampFormat = "HH:mm:ss.fff ";
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        });
        logging.Services.Configure(static (ConsoleLoggerOptions o) => o.LogToStandardErrorThreshold = LogLevel.Trace);
        logging.SetMinimumLevel(LogLevel.Warning);
        logging.AddFilter("Quicksilver", LogLevel.Information);
        logging.AddFilter("Quicksilver.Grains.NodeService", LogLevel.Warning);

        // What the two libraries warn of is either said by our own state changes, or said once per round.
        logging.AddFilter("DotNext", LogLevel.Error);
        logging.AddFilter("Orleans", LogLevel.Error);
    }

    private static void Announce(ProcessSettings settings, TextWriter output)
    {
        if (!settings.IsDevelopment)
        {
            var node = settings.Nodes[0];
            output.WriteLine($"Quicksilver node {node.NodeId} is ready: gateway {node.GatewayText}, http {node.Address}:{node.Ports.Http}");
            return;
        }

        output.WriteLine("Quicksilver development cluster is ready: a hub and two regions in one process.");
        output.WriteLine();
        output.WriteLine("  node    region  gateway          http                   data");
        foreach (var node in settings.Nodes)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"  {node.NodeId.Value,-7} {node.Region.Value,-7} {node.GatewayText,-16} http://{node.Address}:{node.Ports.Http}  {node.DataDirectory}"));
        }

        output.WriteLine();
        output.WriteLine("Try, in another terminal:");
        output.WriteLine("  dotnet run --project src/Cli -- keyspace create flags");
        output.WriteLine($"  dotnet run --project src/Cli -- put flags checkout on --gateway {settings.Nodes[^1].GatewayText}");
        output.WriteLine($"  dotnet run --project src/Cli -- get flags checkout --gateway {settings.Nodes[1].GatewayText}");
        output.WriteLine();
        output.WriteLine("Ctrl-C stops it; the data stays.");
    }
}
