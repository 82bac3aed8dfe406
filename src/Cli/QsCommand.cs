using System.CommandLine;
using System.CommandLine.Parsing;
using Quicksilver.Client;
using Quicksilver.Cli.Commands;
using Quicksilver.Model;

namespace Quicksilver.Cli;

/// <summary>The command tree of <c>qs</c> and its one way of ending.</summary>
public static class QsCommand
{
    internal const string GatewayVariable = "QUICKSILVER_GATEWAY";

    /// <summary>Runs one command line. Results go to <paramref name="output"/>, messages to <paramref name="errors"/>.</summary>
    public static async Task<int> RunAsync(string[] args, Stream output, TextWriter errors)
    {
        var result = Parse(Build(output, errors), args);
        if (result.Errors.Count > 0)
        {
            foreach (var error in result.Errors)
            {
                await errors.WriteLineAsync($"qs: {error.Message}");
            }

            await errors.WriteLineAsync("Try 'qs --help'.");
            return ExitCodes.Usage;
        }

        return await result.InvokeAsync(new() { EnableDefaultExceptionHandler = false });
    }

    /// <summary>The whole tree, which does nothing before it is invoked.</summary>
    internal static RootCommand Build(Stream output, TextWriter errors)
    {
        var common = new CommonOptions();
        var root = new RootCommand("qs: reads, writes and inspects a Quicksilver cluster.");
        root.Options.Add(common.Gateway);
        root.Options.Add(common.Json);
        root.Options.Add(common.Timeout);

        Command Add(Command command, Func<ParseResult, Invocation, Task<int>> run)
        {
            command.SetAction((parsed, cancellation) => InvokeAsync(common, parsed, run, output, errors, cancellation));
            return command;
        }

        root.Subcommands.Add(KeyspaceCommands.Build(Add));
        root.Subcommands.Add(ValueCommands.Put(Add));
        root.Subcommands.Add(ValueCommands.Get(Add));
        root.Subcommands.Add(DeleteCommand.Build(Add));
        root.Subcommands.Add(ScanCommand.Build(Add));
        root.Subcommands.Add(WatchCommand.Build(Add));
        root.Subcommands.Add(ImportCommand.Build(Add));
        root.Subcommands.Add(ExportCommand.Build(Add));
        root.Subcommands.Add(StatusCommand.Build(Add));
        root.Subcommands.Add(LagCommand.Build(Add));
        root.Subcommands.Add(VerifyCommand.Build(Add));
        root.Subcommands.Add(HubCommands.Build(Add));
        return root;
    }

    /// <summary>A value may begin with '@'; it is not the name of a file with arguments.</summary>
    internal static ParseResult Parse(RootCommand root, string[] args) => root.Parse(args, new() { ResponseFileTokenReplacer = null });

    internal static async Task<int> InvokeAsync(
        CommonOptions common, ParseResult parsed, Func<ParseResult, Invocation, Task<int>> run, Stream output, TextWriter errors, CancellationToken cancellation)
    {
        var gateways = parsed.GetValue(common.Gateway) is { Length: > 0 } given
            ? given
            : (Environment.GetEnvironmentVariable(GatewayVariable) ?? QuicksilverClientOptions.DefaultGateway).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (var gateway in gateways)
        {
            if (!GatewayAddress.TryParse(gateway, out _))
            {
                await errors.WriteLineAsync($"qs: --gateway is '{gateway}': write HOST:PORT, for example {QuicksilverClientOptions.DefaultGateway}.");
                return ExitCodes.Usage;
            }
        }

        await using var invocation = new Invocation(
            gateways, parsed.GetValue(common.Json), TimeSpan.FromSeconds(parsed.GetValue(common.Timeout)), output, errors, cancellation);
        try
        {
            return await run(parsed, invocation);
        }
        catch (QuicksilverException e)
        {
            Complain(invocation, e.Message, ExitCodes.For(e), e.OperationId);
            return ExitCodes.For(e);
        }
        catch (MalformedDataException e)
        {
            Complain(invocation, $"The answer is not understood: {e.Message}", ExitCodes.Error, null);
            return ExitCodes.Error;
        }
        catch (Exception e) when (e is ArgumentException or FormatException)
        {
            Complain(invocation, e.Message, ExitCodes.Usage, null);
            return ExitCodes.Usage;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Complain(invocation, e.Message, ExitCodes.Error, null);
            return ExitCodes.Error;
        }
        catch (OperationCanceledException e)
        {
            // A write that was on its way may have happened: the exception inside says so and names it.
            if (e.InnerException is QuicksilverException inner)
            {
                Complain(invocation, inner.Message, ExitCodes.For(inner), inner.OperationId);
                return ExitCodes.For(inner);
            }

            Complain(invocation, "interrupted", ExitCodes.Error, null);
            return ExitCodes.Error;
        }
    }

    private static string OutcomeOf(int code) => code switch
    {
        ExitCodes.Unknown => "unknown",
        ExitCodes.Unavailable => "unavailable",
        ExitCodes.NotFound => "keyspaceNotFound",
        _ => "refused",
    };

    private static void Complain(Invocation invocation, string message, int code, OperationId? operationId)
    {
        if (invocation.Json && operationId is { } id)
        {
            invocation.WriteJson(json =>
            {
                json.WriteString("outcome", OutcomeOf(code));
                json.WriteString("operationId", id.ToString());
            });
        }

        // Framework messages carry the name of a parameter that means nothing here.
        var text = message.Split(" (Parameter '", StringSplitOptions.None)[0];
        invocation.Errors.WriteLine($"qs: {text}");
        if (operationId is { } operation && code == ExitCodes.Unknown)
        {
            invocation.Errors.WriteLine($"operation id: {operation}");
        }
    }
}

/// <summary>Options that every command has.</summary>
internal sealed class CommonOptions
{
    public Option<string[]> Gateway { get; } = new("--gateway", "-g")
    {
        Description = $"Gateway as HOST:PORT; several in order of preference. Default: ${QsCommand.GatewayVariable}, else {QuicksilverClientOptions.DefaultGateway}.",
        Recursive = true,
        HelpName = "HOST:PORT",
    };

    public Option<bool> Json { get; } = new("--json") { Description = "One JSON object per line on standard output, nothing else.", Recursive = true };

    public Option<double> Timeout { get; } = new("--timeout")
    {
        Description = "Seconds that one operation may take: connecting, finding its keyspace and all tries together.",
        Recursive = true,
        DefaultValueFactory = _ => QuicksilverClientOptions.DefaultDeadline.TotalSeconds,
        Validators = { Checks.Between(0.1, 3_600) },
    };
}

/// <summary>Checks of option values.</summary>
internal static class Checks
{
    public static Action<OptionResult> AtLeast(double least) => Between(least, double.MaxValue);

    public static Action<OptionResult> Between(double least, double most) => result =>
    {
        if (result.Tokens.Count > 0
            && double.TryParse(result.Tokens[^1].Value, System.Globalization.CultureInfo.InvariantCulture, out var value)
            && !(value >= least && value <= most))
        {
            var range = most == double.MaxValue ? $"at least {Text(least)}" : $"{Text(least)} to {Text(most)}";
            result.AddError($"{result.IdentifierToken?.Value ?? result.Option.Name} is {result.Tokens[^1].Value}; it must be {range}.");
        }
    };

    private static string Text(double value) => value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
