using System.CommandLine;
using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Spectre.Console;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs lag</c></summary>
internal static class LagCommand
{
    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var watch = new Option<bool>("--watch") { Description = "Goes on until it is interrupted." };
        var every = new Option<double>("--every") { Description = "Seconds between two looks, 0.2 to 3600.", DefaultValueFactory = _ => 1 };
        every.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double>() is not (>= 0.2 and <= 3_600))
            {
                result.AddError("--every must be from 0.2 to 3600 seconds.");
            }
        });
        return add(
            new Command("lag", "Shows how far each replica is behind its source and behind the hub.") { watch, every },
            async (parsed, run) =>
            {
                for (var code = ExitCodes.Ok; ;)
                {
                    try
                    {
                        var inspection = await run.Inspector.StatusAsync(run.Cancellation);
                        Show(run, inspection);
                        code = inspection.Unreachable.Count == 0 ? ExitCodes.Ok : ExitCodes.Unavailable;
                        if (!parsed.GetValue(watch))
                        {
                            return code;
                        }

                        await Task.Delay(TimeSpan.FromSeconds(parsed.GetValue(every)), run.Cancellation);
                    }
                    catch (OperationCanceledException) when (parsed.GetValue(watch) && run.Cancellation.IsCancellationRequested)
                    {
                        // Interrupted, as was meant.
                        return code;
                    }
                }
            });
    }

    private static void Show(Invocation run, Inspection inspection)
    {
        // The newest that anybody has: the hub's leader, where it answers.
        var newest = inspection.Nodes.Max(node => node.Position.Revision.Value);
        var replicas = inspection.Nodes.Where(node => node.Role == NodeRole.Replica).ToList();
        if (run.Json)
        {
            foreach (var node in replicas)
            {
                run.WriteJson(json =>
                {
                    json.WriteString("node", node.Node.Value);
                    json.WriteString("region", node.Region.Value);
                    json.WriteString("source", node.Path is [var source, ..] ? source.Value : null);
                    json.WriteNumber("revision", node.Position.Revision.Value);
                    json.WriteNumber("behindNewest", newest - node.Position.Revision.Value);
                    if (node.LagRevisions is { } behind)
                    {
                        json.WriteNumber("behindSource", behind);
                    }
                    else
                    {
                        json.WriteNull("behindSource");
                    }

                    if (node.Lag is { } lag)
                    {
                        json.WriteNumber("lagSeconds", Math.Round(lag.TotalSeconds, 3));
                    }
                    else
                    {
                        json.WriteNull("lagSeconds");
                    }

                    json.WriteString("state", node.State);
                });
            }
        }
        else
        {
            var table = new Table().Border(TableBorder.Simple).AddColumns("node", "region", "source", "revision", "behind the newest", "behind its source", "lag", "state");
            foreach (var node in replicas)
            {
                table.AddRow(
                    node.Node.Value, node.Region.Value, node.Path is [var source, ..] ? source.Value : "", node.Position.Revision.ToString(),
                    (newest - node.Position.Revision.Value).ToString(CultureInfo.InvariantCulture),
                    node.LagRevisions?.ToString(CultureInfo.InvariantCulture) ?? "?",
                    node.Lag is { } lag ? $"{lag.TotalSeconds.ToString("0.000", CultureInfo.InvariantCulture)} s" : "?",
                    Markup.Escape(node.State));
            }

            AnsiConsole.Write(table);
        }

        foreach (var silent in inspection.Unreachable)
        {
            run.Errors.WriteLine($"qs: {silent.Address} did not answer: {silent.Why}");
        }
    }
}
