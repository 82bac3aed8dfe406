using System.CommandLine;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs hub list|repair</c></summary>
internal static class HubCommands
{
    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var hub = new Command("hub", "Shows who votes in the hub, and rebuilds a member. Needs a gateway of a hub node.");
        hub.Subcommands.Add(List(add));
        hub.Subcommands.Add(Repair(add));
        return hub;
    }

    private static Command List(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add) => add(
        new Command("list", "Lists the voting members."),
        async (_, run) =>
        {
            await using var administrator = run.HubAdministrator;
            var hub = await administrator.MembersAsync(run.Deadline, run.Cancellation);
            foreach (var member in hub.Members)
            {
                Write(run, member, hub.Leader);
            }

            return ExitCodes.Ok;
        });

    private static Command Repair(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var name = new Argument<string>("node") { Description = "The member to rebuild, for example hub-2." };
        var force = new Option<bool>("--force") { Description = "Also where the member is in order." };
        var wait = new Option<double>("--wait")
        {
            Description = "Seconds to wait until the node has joined again.",
            DefaultValueFactory = _ => 300,
            Validators = { Checks.Between(0, 86_400) },
        };
        return add(
            new Command(
                "repair",
                "Rebuilds a member that lost its disk, its votes or its place in the log: takes its vote, waits until its process has set aside what it "
                + "has, copied another member and joined anew. The process must be started, by its supervisor or by hand.") { name, force, wait },
            async (parsed, run) =>
            {
                var node = NodeId.TryParse(parsed.GetRequiredValue(name), out var given)
                    ? given
                    : throw new FormatException($"'{parsed.GetRequiredValue(name)}' is not the name of a node.");
                await using var administrator = run.HubAdministrator;
                if (await administrator.RemoveAsync(node, parsed.GetValue(force), Longer(run.Deadline), run.Cancellation) is { } refusal)
                {
                    await run.Errors.WriteLineAsync($"qs: {refusal}");
                    return ExitCodes.Error;
                }

                Say(run, node, "removed", $"{node} has no vote now. Waiting until it has joined anew; start its process where nothing restarts it.");
                await administrator.WaitForMemberAsync(node, TimeSpan.FromSeconds(parsed.GetValue(wait)), run.Cancellation);
                Say(run, node, "joined", $"{node} is a member again.");
                return ExitCodes.Ok;
            });
    }

    /// <summary>A leader that is to be removed hands over first, which takes an election.</summary>
    private static TimeSpan Longer(TimeSpan deadline) => deadline > TimeSpan.FromSeconds(20) ? deadline : TimeSpan.FromSeconds(20);

    private static void Say(Invocation run, NodeId node, string step, string text)
    {
        if (run.Json)
        {
            run.WriteJson(json =>
            {
                json.WriteString("node", node.Value);
                json.WriteString("step", step);
            });
        }
        else
        {
            run.WriteLine(text);
        }
    }

    private static void Write(Invocation run, HubMemberInfo member, NodeId leader)
    {
        var role = member.Node == leader ? "leader" : "follower";
        if (run.Json)
        {
            run.WriteJson(json =>
            {
                json.WriteString("node", member.Node.Value);
                json.WriteString("endpoint", member.Endpoint);
                json.WriteString("role", role);
            });
        }
        else
        {
            run.WriteLine($"{member.Node,-10} {member.Endpoint,-22} {role}");
        }
    }
}
