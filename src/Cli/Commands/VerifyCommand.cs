using System.CommandLine;
using Quicksilver.Client;
using Quicksilver.Contracts;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs verify</c></summary>
internal static class VerifyCommand
{
    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add) => add(
        new Command("verify", "Compares chain and state of all nodes that can be reached, at one revision; writes may go on meanwhile."),
        async (_, run) =>
        {
            var result = await run.Inspector.VerifyAsync(run.Cancellation);
            foreach (var node in result.Nodes)
            {
                Write(run, node, result);
            }

            foreach (var silent in result.Unreachable)
            {
                await run.Errors.WriteLineAsync($"qs: {silent.Address} did not answer: {silent.Why}");
            }

            if (!run.Json)
            {
                run.WriteLine(result.IsEqual
                    ? $"equal: {result.Nodes.Count} nodes at revision {result.At}"
                    : $"NOT EQUAL at revision {result.At}: {string.Join(", ", result.Different)}{Problems(result)}");
            }

            return !result.IsEqual ? ExitCodes.Error : result.Unreachable.Count > 0 ? ExitCodes.Unavailable : ExitCodes.Ok;
        });

    private static string Problems(Verification result)
    {
        var count = result.Nodes.Count(node => node.Problem is not null);
        return count == 0 ? "" : $" ({count} could not be compared)";
    }

    private static void Write(Invocation run, NodeComparison node, Verification result)
    {
        var verdict = node.Problem is not null ? "notCompared" : result.Different.Contains(node.Node) ? "different" : "equal";
        if (run.Json)
        {
            run.WriteJson(json =>
            {
                json.WriteString("node", node.Node.Value);
                json.WriteString("region", node.Region.Value);
                json.WriteString("verdict", verdict);
                json.WriteNumber("revision", node.Position.Revision.Value);
                json.WriteString("chain", node.Chain.ToString());
                json.WriteString("state", node.State.ToString());
                json.WriteNumber("rows", node.Rows);
                if (node.Problem is not null)
                {
                    json.WriteString("problem", node.Problem);
                }
            });
        }
        else
        {
            run.WriteLine($"{node.Node,-10} {verdict,-11} chain {node.Chain}  state {node.State}  rows {node.Rows}{(node.Problem is null ? "" : "  " + node.Problem)}");
        }
    }
}
