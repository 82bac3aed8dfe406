using System.CommandLine;
using Quicksilver.Model;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs keyspace create|list|delete</c></summary>
internal static class KeyspaceCommands
{
    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var keyspace = new Command("keyspace", "Creates, lists and deletes keyspaces.");
        var name = new Argument<string>("name") { Description = "Name of the keyspace: a-z, 0-9, '.', '_', '-'; at most 63 characters." };
        var shards = new Option<int>("--shards") { Description = "Shards that serve it, 1 to 1,024.", DefaultValueFactory = _ => 1 };
        var skip = new Option<bool>("--skip-unchanged") { Description = "Drop writes that change nothing, instead of logging them." };

        keyspace.Subcommands.Add(add(
            new Command("create", "Creates a keyspace; does nothing where it exists with the same settings.") { name, shards, skip },
            async (parsed, run) => run.Report(
                await run.Client.Catalog.CreateAsync(
                    parsed.GetRequiredValue(name),
                    new() { ShardCount = parsed.GetValue(shards), SkipUnchanged = parsed.GetValue(skip) }, run.Cancellation),
                $"created keyspace {parsed.GetRequiredValue(name)}")));
        keyspace.Subcommands.Add(add(
            new Command("delete", "Deletes a keyspace and all its keys.") { name },
            async (parsed, run) => run.Report(
                await run.Client.Catalog.DeleteAsync(parsed.GetRequiredValue(name), run.Cancellation),
                $"deleted keyspace {parsed.GetRequiredValue(name)}")));
        keyspace.Subcommands.Add(add(new Command("list", "Lists all keyspaces in name order."), (_, run) => ListAsync(run)));
        return keyspace;
    }

    private static async Task<int> ListAsync(Invocation run)
    {
        await foreach (var keyspace in run.Client.Catalog.ListAsync(cancellation: run.Cancellation))
        {
            if (run.Json)
            {
                run.WriteJson(json =>
                {
                    json.WriteString("name", keyspace.Name.Value);
                    json.WriteNumber("id", keyspace.Id.Value);
                    json.WriteNumber("shards", keyspace.Settings.ShardCount);
                    json.WriteBoolean("skipUnchanged", keyspace.Settings.SkipUnchanged);
                    json.WriteNumber("createdAt", keyspace.CreatedAt.Value);
                });
            }
            else
            {
                run.WriteLine(keyspace.Name.Value);
            }
        }

        return ExitCodes.Ok;
    }
}
