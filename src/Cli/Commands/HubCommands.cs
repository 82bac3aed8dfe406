using System.CommandLine;
using System.Net;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs hub list|add|remove|repair|transfer</c></summary>
internal static class HubCommands
{
    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var hub = new Command("hub", "Shows who votes in the hub and changes it, one member at a time, while writes go on. Needs a gateway of a hub node.");
        hub.Subcommands.Add(List(add));
        hub.Subcommands.Add(Add(add));
        hub.Subcommands.Add(Remove(add));
        hub.Subcommands.Add(Repair(add));
        hub.Subcommands.Add(Transfer(add));
        return hub;
    }

    private static Command List(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add) => add(
        new Command("list", "Lists the voting members, and the nodes that are invited to become members."),
        async (_, run) =>
        {
            await using var administrator = run.HubAdministrator;
            var hub = await administrator.MembersAsync(run.Deadline, run.Cancellation);
            foreach (var member in hub.Members)
            {
                Write(run, member, member.Node == hub.Leader ? "leader" : "follower");
            }

            foreach (var invited in hub.Invited)
            {
                Write(run, invited, "invited");
            }

            return ExitCodes.Ok;
        });

    private static Argument<string> NodeArgument(string description) => new("node") { Description = description };

    private static Option<double> WaitOption(string description, double seconds) => new("--wait")
    {
        Description = description,
        DefaultValueFactory = _ => seconds,
        Validators = { Checks.Between(0, 86_400) },
    };

    private static Command Add(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var name = NodeArgument("The node to make a member, for example hub-3.");
        var endpoint = new Option<string>("--endpoint") { Description = "IP:PORT of its Raft port, as its own Hub:Members says.", Required = true };
        var wait = WaitOption("Seconds to wait until the node has joined.", 300);
        return add(
            new Command(
                "add",
                "Makes a node a voting member: invites it, and waits until its process has copied a member and joined. A hub has at most three members. "
                + "The process must be started; it may be before or after. The invitation stays until the node has joined, or 'remove' withdraws it.")
            { name, endpoint, wait },
            async (parsed, run) =>
            {
                var node = Parse(parsed.GetRequiredValue(name));
                var text = parsed.GetRequiredValue(endpoint);
                if (!IPEndPoint.TryParse(text, out var place) || place.Port == 0 || place.Address.Equals(IPAddress.Any) || place.Address.Equals(IPAddress.IPv6Any))
                {
                    throw new FormatException($"--endpoint is '{text}'; it must be the IP:PORT of a Raft port.");
                }

                await using var administrator = run.HubAdministrator;
                if (await administrator.InviteAsync(new(node, place.ToString()), Longer(run.Deadline), run.Cancellation) is { } refusal)
                {
                    return await RefuseAsync(run, refusal);
                }

                Say(run, node, "invited", $"{node} is invited. Waiting until it has joined; start its process where nothing starts it.");
                return await WaitAsync(run, administrator, node, parsed.GetValue(wait), "is a member.");
            });
    }

    private static Command Remove(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var name = NodeArgument("The member to take out, or the node whose invitation to withdraw.");
        var force = new Option<bool>("--force") { Description = "Also where the member is in order." };
        return add(
            new Command("remove", "Takes the vote from a member, for good: it comes back only by 'add' or 'repair'. Of three members one can be taken out, of two none.") { name, force },
            async (parsed, run) =>
            {
                var node = Parse(parsed.GetRequiredValue(name));
                await using var administrator = run.HubAdministrator;
                if (await administrator.RemoveAsync(node, parsed.GetValue(force), Longer(run.Deadline), run.Cancellation) is { } refusal)
                {
                    return await RefuseAsync(run, refusal);
                }

                Say(run, node, "removed", $"{node} has no vote now, and is not invited. Stop its process; it would wait to be invited.");
                return ExitCodes.Ok;
            });
    }

    private static Command Repair(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var name = NodeArgument("The member to rebuild, for example hub-2.");
        var force = new Option<bool>("--force") { Description = "Also where the member is in order." };
        var wait = WaitOption("Seconds to wait until the node has joined again.", 300);
        return add(
            new Command(
                "repair",
                "Rebuilds a member that lost its disk, its votes or its place in the log: takes its vote, invites it anew, and waits until its process has "
                + "set aside what it has, copied another member and joined. The process must be started, by its supervisor or by hand.") { name, force, wait },
            async (parsed, run) =>
            {
                var node = Parse(parsed.GetRequiredValue(name));
                await using var administrator = run.HubAdministrator;
                if (await administrator.RepairAsync(node, parsed.GetValue(force), Longer(run.Deadline), run.Cancellation) is { } refusal)
                {
                    return await RefuseAsync(run, refusal);
                }

                Say(run, node, "removed", $"{node} has no vote now. Waiting until it has joined anew; start its process where nothing restarts it.");
                return await WaitAsync(run, administrator, node, parsed.GetValue(wait), "is a member again.");
            });
    }

    private static Command Transfer(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var to = new Option<string?>("--to") { Description = "The member that is to lead. Default: any other." };
        var wait = WaitOption("Seconds to wait until it leads.", 30);
        return add(
            new Command(
                "transfer",
                "Hands the leadership to another member, and waits until that one leads. What the leader took is finished first; writes wait for the election. "
                + "Where another than the wanted one wins it, that one is asked to hand over, too, five times at most.") { to, wait },
            async (parsed, run) =>
            {
                NodeId? node = parsed.GetValue(to) is { } text ? Parse(text) : null;
                await using var administrator = run.HubAdministrator;
                var transfer = await administrator.TransferAsync(node, TimeSpan.FromSeconds(parsed.GetValue(wait)), run.Cancellation);
                if (transfer.Problem is { } problem)
                {
                    return await RefuseAsync(run, $"{problem} '{transfer.Leader}' leads.");
                }

                Say(run, transfer.Leader, "leads", $"{transfer.Leader} leads.");
                return ExitCodes.Ok;
            });
    }

    private static NodeId Parse(string text) => NodeId.TryParse(text, out var node) ? node : throw new FormatException($"'{text}' is not the name of a node.");

    private static async Task<int> RefuseAsync(Invocation run, string refusal)
    {
        await run.Errors.WriteLineAsync($"qs: {refusal}");
        return ExitCodes.Error;
    }

    private static async Task<int> WaitAsync(Invocation run, HubAdministrator administrator, NodeId node, double seconds, string text)
    {
        await administrator.WaitForMemberAsync(node, TimeSpan.FromSeconds(seconds), run.Cancellation);
        Say(run, node, "joined", $"{node} {text}");
        return ExitCodes.Ok;
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

    private static void Write(Invocation run, HubMemberInfo member, string role)
    {
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
