using System.CommandLine;
using System.Globalization;
using Quicksilver.Contracts;
using Spectre.Console;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs status</c></summary>
internal static class StatusCommand
{
    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add) => add(
        new Command("status", "Shows every node that can be reached, starting from the gateways given."),
        async (_, run) =>
        {
            var inspection = await run.Inspector.StatusAsync(run.Cancellation);
            if (run.Json)
            {
                foreach (var node in inspection.Nodes)
                {
                    WriteJson(run, node);
                }
            }
            else
            {
                WriteTable(inspection.Nodes);
            }

            foreach (var problem in inspection.Problems)
            {
                await run.Errors.WriteLineAsync($"qs: attention: {problem}");
            }

            foreach (var silent in inspection.Unreachable)
            {
                await run.Errors.WriteLineAsync($"qs: {silent.Address} did not answer: {silent.Why}");
            }

            return inspection.Unreachable.Count == 0 ? ExitCodes.Ok : ExitCodes.Unavailable;
        });

    private static void WriteJson(Invocation run, NodeStatus node) => run.WriteJson(json =>
    {
        json.WriteString("node", node.Node.Value);
        json.WriteString("role", Name(node.Role));
        json.WriteString("region", node.Region.Value);
        if (node.Role == NodeRole.Hub)
        {
            json.WriteStartObject("raft");
            json.WriteString("role", Name(node.RaftRole));
            json.WriteNumber("term", node.Term.Value);
            json.WriteEndObject();
        }

        json.WriteNumber("revision", node.Position.Revision.Value);
        if (node.LagRevisions is { } lag)
        {
            json.WriteNumber("lagRevisions", lag);
        }
        else
        {
            json.WriteNull("lagRevisions");
        }

        if (node.Lag is { } age)
        {
            json.WriteNumber("lagSeconds", Math.Round(age.TotalSeconds, 3));
        }
        else
        {
            json.WriteNull("lagSeconds");
        }

        json.WriteString("state", node.State);
        if (node.Role == NodeRole.Replica)
        {
            json.WriteStartArray("path");
            foreach (var source in node.Path)
            {
                json.WriteStringValue(source.Value);
            }

            json.WriteEndArray();
        }

        json.WriteNumber("oldestRevision", node.Oldest.Value);
        json.WriteString("gateway", node.Gateway);
        json.WriteString("cluster", node.Cluster.ToString());
        json.WriteString("history", node.Position.History.ToString());
        json.WriteString("chain", node.Chain.ToString());
        json.WriteNumber("fullCopies", node.FullCopies);
        json.WriteString("version", node.Version);
        json.WriteNumber("uptimeSeconds", Math.Round(node.Uptime.TotalSeconds, 1));
        if (node.FreeBytes is { } free)
        {
            json.WriteNumber("freeBytes", free);
        }
        else
        {
            json.WriteNull("freeBytes");
        }

        if (node.Keyspaces is not null)
        {
            json.WriteStartArray("keyspaces");
            foreach (var pattern in node.Keyspaces)
            {
                json.WriteStringValue(pattern);
            }

            json.WriteEndArray();
        }

        json.WriteNumber("queuedCommands", node.QueuedCommands);
        json.WriteNumber("waitingReads", node.WaitingReads);
        if (node.Role == NodeRole.Hub)
        {
            json.WriteStartArray("members");
            foreach (var member in node.Members)
            {
                json.WriteStringValue(member);
            }

            json.WriteEndArray();
        }
    });

    private static void WriteTable(IReadOnlyList<NodeStatus> nodes)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("node", "role", "region", "raft", "revision", "source", "behind", "lag", "up", "disk free", "state");
        foreach (var node in nodes)
        {
            table.AddRow(
                node.Node.Value, Name(node.Role), node.Region.Value,
                node.Role == NodeRole.Hub ? $"{Name(node.RaftRole)} (term {node.Term})" : "",
                node.Position.Revision.ToString(),
                node.Path is [var source, ..] ? source.Value : "",
                node.LagRevisions?.ToString(CultureInfo.InvariantCulture) ?? "?",
                node.Lag is { } lag ? $"{lag.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s" : "?",
                Duration(node.Uptime),
                node.FreeBytes is { } free ? $"{free / (1 << 30)} GiB" : "?",
                Markup.Escape(node.Keyspaces is null ? node.State : $"{node.State}; holds {string.Join(", ", node.Keyspaces)}"));
        }

        AnsiConsole.Write(table);
    }

    private static string Duration(TimeSpan time) => time switch
    {
        { TotalMinutes: < 2 } => $"{(int)time.TotalSeconds} s",
        { TotalHours: < 2 } => $"{(int)time.TotalMinutes} min",
        { TotalDays: < 2 } => $"{(int)time.TotalHours} h",
        _ => $"{(int)time.TotalDays} d",
    };

    private static string Name(NodeRole role) => role == NodeRole.Hub ? "hub" : "replica";

    private static string Name(RaftRole role) => role switch
    {
        RaftRole.Leader => "leader",
        RaftRole.Follower => "follower",
        _ => "candidate",
    };
}
