using System.CommandLine;
using Quicksilver.Client;
using Quicksilver.Model;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs delete</c>: one key, or all with a prefix.</summary>
internal static class DeleteCommand
{
    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var keyspace = ValueCommands.KeyspaceArgument();
        var key = new Argument<string?>("key")
        {
            Description = "The key, as UTF-8 text, or as base64 with --key-base64.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var prefix = new Option<string?>("--prefix") { Description = "In place of a key: all keys that start with this text, at one revision; at most 100,000." };
        var yes = new Option<bool>("--yes") { Description = "Delete them. Without it --prefix only says how many there are." };
        var keyBase64 = ValueCommands.KeyIsBase64();
        var ifRevision = ValueCommands.IfRevision();
        var operationId = ValueCommands.OperationIdOption();
        return add(
            new Command("delete", "Removes a key, or all keys with a prefix.") { keyspace, key, prefix, yes, keyBase64, ifRevision, operationId },
            (parsed, run) =>
            {
                var asked = run.Client.Keyspace(parsed.GetRequiredValue(keyspace));
                var options = new WriteOptions
                {
                    IfRevision = parsed.GetValue(ifRevision) is { } revision ? new Revision(revision) : null,
                    OperationId = ValueCommands.ParseOperationId(parsed.GetValue(operationId)),
                };
                return (parsed.GetValue(key), parsed.GetValue(prefix)) switch
                {
                    ({ } one, null) => DeleteAsync(run, asked, ValueCommands.Decode(one, parsed.GetValue(keyBase64), "the key"), options),
                    (null, { } all) when options.IfRevision is not null || parsed.GetValue(keyBase64) =>
                        throw new ArgumentException("--if-revision and --key-base64 go with a key, not with --prefix."),
                    (null, { } all) => DeletePrefixAsync(run, asked, Key.From(all), parsed.GetValue(yes), options),
                    _ => throw new ArgumentException("Name either a key, or the keys that start with a text by --prefix."),
                };
            });
    }

    private static async Task<int> DeleteAsync(Invocation run, IKeyspace keyspace, byte[] key, WriteOptions options) =>
        run.Report(await keyspace.DeleteAsync(Key.From(key), options, run.Cancellation), "deleted");

    private static async Task<int> DeletePrefixAsync(Invocation run, IKeyspace keyspace, Key prefix, bool isSure, WriteOptions options)
    {
        if (isSure)
        {
            return run.Report(await keyspace.DeletePrefixAsync(prefix, options, run.Cancellation), "deleted");
        }

        // One more than may go at once is enough to know.
        var count = 0;
        var scan = new ScanOptions { Prefix = prefix.Memory, PageSize = Limits.MaxScanRows };
        await foreach (var _ in keyspace.ScanKeysAsync(scan, run.Cancellation))
        {
            if (++count > Limits.MaxPrefixRows)
            {
                break;
            }
        }

        await run.Errors.WriteLineAsync(count > Limits.MaxPrefixRows
            ? $"qs: more than {Limits.MaxPrefixRows} keys start with '{prefix}': too many to delete at once. Nothing was deleted. Delete longer prefixes, one after the other."
            : $"qs: {count} keys start with '{prefix}'. Nothing was deleted: say --yes to delete them.");
        return ExitCodes.Usage;
    }
}
