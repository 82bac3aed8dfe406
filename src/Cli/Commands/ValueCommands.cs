using System.CommandLine;
using System.Text;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Cli.Ndjson;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs put|get</c>, and what they share with <see cref="DeleteCommand"/>.</summary>
internal static class ValueCommands
{
    internal static Argument<string> KeyspaceArgument() => new("keyspace") { Description = "Name of the keyspace." };

    private static Argument<string> KeyArgument() => new("key") { Description = "The key, as UTF-8 text, or as base64 with --key-base64." };

    internal static Option<bool> KeyIsBase64() => new("--key-base64") { Description = "The key is given as base64." };

    internal static Option<long?> IfRevision() => new("--if-revision")
    {
        Description = "Only where the key's last change is exactly this revision; 0 = where it does not exist.",
        Validators = { Checks.AtLeast(0) },
    };

    internal static Option<string?> OperationIdOption() => new("--operation-id")
    {
        Description = "Names the write; with the id of an earlier one of unknown outcome and the same content, tells what became of it.",
    };

    public static Command Put(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var keyspace = KeyspaceArgument();
        var key = KeyArgument();
        var value = new Argument<string>("value") { Description = "The value, as UTF-8 text, or as base64 with --value-base64; '-' reads it from standard input." };
        var keyBase64 = KeyIsBase64();
        var valueBase64 = new Option<bool>("--value-base64") { Description = "The value is given as base64." };
        var metadata = new Option<string?>("--metadata") { Description = "Text kept beside the value, at most 1 KiB." };
        var timeToLive = new Option<string?>("--ttl") { Description = "Delete the key after this time, unless it is put again before: 500ms, 90s, 15m, 12h or 30d.", Validators = { Durations.Check } };
        var ifRevision = IfRevision();
        var ifAbsent = new Option<bool>("--if-absent") { Description = "Only where the key does not exist." };
        var skipUnchanged = new Option<bool>("--skip-unchanged") { Description = "Take no revision where the key has this value already." };
        var operationId = OperationIdOption();
        return add(
            new Command("put", "Sets a key.") { keyspace, key, value, keyBase64, valueBase64, metadata, timeToLive, ifRevision, ifAbsent, skipUnchanged, operationId },
            async (parsed, run) =>
            {
                var bytes = parsed.GetRequiredValue(value) is var text && text == "-"
                    ? await ReadStandardInputAsync(run.Cancellation)
                    : Decode(text, parsed.GetValue(valueBase64), "the value");
                if (parsed.GetValue(ifAbsent) && parsed.GetValue(ifRevision) is not null)
                {
                    throw new ArgumentException("--if-absent and --if-revision exclude each other.");
                }

                var options = new WriteOptions
                {
                    IfRevision = parsed.GetValue(ifRevision) is { } revision ? new Revision(revision) : null,
                    IfAbsent = parsed.GetValue(ifAbsent),
                    SkipUnchanged = parsed.GetValue(skipUnchanged),
                    Metadata = Encoding.UTF8.GetBytes(parsed.GetValue(metadata) ?? ""),
                    TimeToLive = parsed.GetValue(timeToLive) is { } duration ? Durations.Parse(duration) : null,
                    OperationId = ParseOperationId(parsed.GetValue(operationId)),
                };
                return run.Report(
                    await run.Client.Keyspace(parsed.GetRequiredValue(keyspace)).PutAsync(
                        Key.From(Decode(parsed.GetRequiredValue(key), parsed.GetValue(keyBase64), "the key")), bytes, options, run.Cancellation),
                    "committed");
            });
    }

    public static Command Get(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var keyspace = KeyspaceArgument();
        var key = KeyArgument();
        var keyBase64 = KeyIsBase64();
        var raw = new Option<bool>("--raw") { Description = "Write the bytes of the value and nothing else." };
        var consistency = ConsistencyOption();
        var atLeast = new Option<long?>("--at-least") { Description = "Not older than this revision; waits for it for a moment.", Validators = { Checks.AtLeast(0) } };
        return add(
            new Command("get", "Reads a key.") { keyspace, key, keyBase64, raw, consistency, atLeast },
            async (parsed, run) =>
            {
                var bytes = Decode(parsed.GetRequiredValue(key), parsed.GetValue(keyBase64), "the key");
                var name = parsed.GetRequiredValue(keyspace);
                if (parsed.GetValue(raw) && run.Json)
                {
                    throw new ArgumentException("--raw and --json exclude each other.");
                }

                var options = await ReadOptionsAsync(parsed.GetValue(consistency), parsed.GetValue(atLeast), name, run);
                var entry = await run.Client.Keyspace(name).GetAsync(Key.From(bytes), options, run.Cancellation);
                if (entry is null)
                {
                    await run.Errors.WriteLineAsync($"qs: keyspace '{name}' has no such key.");
                    return ExitCodes.NotFound;
                }

                if (parsed.GetValue(raw))
                {
                    run.Output.Write(entry.Value.Span);
                    run.Output.Flush();
                }
                else if (run.Json)
                {
                    run.WriteJson(json => RowJson.Write(json, bytes, entry, withRevision: true));
                }
                else
                {
                    run.WriteLine(System.Text.Unicode.Utf8.IsValid(entry.Value.Span) ? entry.Text : Convert.ToBase64String(entry.Value.Span));
                }

                return ExitCodes.Ok;
            });
    }

    internal static Option<string> ConsistencyOption()
    {
        var option = new Option<string>("--consistency") { Description = "session, eventual or linearizable.", DefaultValueFactory = _ => "session" };
        option.AcceptOnlyFromAmong("session", "eventual", "linearizable");
        return option;
    }

    internal static async Task<ReadOptions> ReadOptionsAsync(string? consistency, long? atLeast, string keyspace, Invocation run)
    {
        var options = new ReadOptions
        {
            Consistency = consistency switch
            {
                "eventual" => ReadConsistency.Eventual,
                "linearizable" => ReadConsistency.Linearizable,
                _ => ReadConsistency.Session,
            },
        };
        if (atLeast is not { } revision)
        {
            return options;
        }

        if (options.Consistency != ReadConsistency.Session)
        {
            throw new ArgumentException($"--at-least goes with --consistency session, not {consistency}.");
        }

        // A bare revision is for people: it means the history that this cluster is in, which any answer tells.
        await run.Client.Catalog.FindAsync(keyspace, ReadOptions.Eventual, run.Cancellation);
        return run.Client.Session is { } session
            ? options with { Position = session.Position with { Revision = new(revision) } }
            : throw new QuicksilverException(QuicksilverErrorCode.NotYet, $"The node has no data yet, so it is not at revision {revision}.");
    }

    internal static byte[] Decode(string text, bool base64, string what)
    {
        if (!base64)
        {
            return Encoding.UTF8.GetBytes(text);
        }

        var bytes = new byte[text.Length];
        return Convert.TryFromBase64String(text, bytes, out var length)
            ? bytes[..length]
            : throw new FormatException($"{what} is not valid base64.");
    }

    internal static OperationId? ParseOperationId(string? text) => text is null
        ? null
        : OperationId.TryParse(text, out var id)
            ? id
            : throw new FormatException($"--operation-id is '{text}': it must be the 48 hexadecimal digits that an earlier answer named.");

    private static async Task<byte[]> ReadStandardInputAsync(CancellationToken cancellation)
    {
        await using var input = Console.OpenStandardInput();
        using var bytes = new MemoryStream();
        var buffer = new byte[64 * 1024];
        for (int read; (read = await input.ReadAsync(buffer, cancellation)) > 0;)
        {
            bytes.Write(buffer, 0, read);
            if (bytes.Length > Limits.MaxValueBytes)
            {
                throw new ArgumentException($"The value on standard input has more than {Limits.MaxValueBytes} bytes (Limits.MaxValueBytes).");
            }
        }

        return bytes.ToArray();
    }
}
