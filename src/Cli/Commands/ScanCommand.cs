using System.CommandLine;
using System.Text;
using Quicksilver.Client;
using Quicksilver.Cli.Ndjson;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs scan</c></summary>
internal static class ScanCommand
{
    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var keyspace = new Argument<string>("keyspace") { Description = "Name of the keyspace." };
        var prefix = new Option<string>("--prefix") { Description = "Only keys that start with this text.", DefaultValueFactory = _ => "" };
        var start = new Option<string>("--start") { Description = "Only keys at or after this text.", DefaultValueFactory = _ => "" };
        var end = new Option<string>("--end") { Description = "Only keys before this text.", DefaultValueFactory = _ => "" };
        var limit = new Option<long>("--limit") { Description = "Most rows.", DefaultValueFactory = _ => long.MaxValue, Validators = { Checks.AtLeast(1) } };
        var pageSize = new Option<int>("--page-size") { Description = "Rows of one page, 1 to 10,000.", DefaultValueFactory = _ => 1_000 };
        var keysOnly = new Option<bool>("--keys-only") { Description = "Keys without values, which are not sent." };
        var metadata = new Option<bool>("--metadata") { Description = "Also the metadata." };
        var reverse = new Option<bool>("--reverse") { Description = "The last key first." };
        var consistency = ValueCommands.ConsistencyOption();
        return add(
            new Command("scan", "Lists rows in key order.") { keyspace, prefix, start, end, limit, pageSize, keysOnly, metadata, reverse, consistency },
            async (parsed, run) =>
            {
                var options = new ScanOptions
                {
                    Prefix = Encoding.UTF8.GetBytes(parsed.GetRequiredValue(prefix)),
                    Start = Encoding.UTF8.GetBytes(parsed.GetRequiredValue(start)),
                    End = Encoding.UTF8.GetBytes(parsed.GetRequiredValue(end)),
                    Reverse = parsed.GetValue(reverse),
                    WithMetadata = parsed.GetValue(metadata),
                    PageSize = (int)Math.Min(parsed.GetValue(pageSize), parsed.GetValue(limit)),
                    Read = await ValueCommands.ReadOptionsAsync(parsed.GetValue(consistency), null, parsed.GetRequiredValue(keyspace), run),
                };
                var left = parsed.GetValue(limit);
                var asked = run.Client.Keyspace(parsed.GetRequiredValue(keyspace));
                return await (parsed.GetValue(keysOnly)
                    ? WriteAsync(asked.ScanKeysAsync(options, run.Cancellation), left, row => Write(run, row))
                    : WriteAsync(asked.ScanAsync(options, run.Cancellation), left, row => Write(run, row, parsed.GetValue(metadata))));
            });
    }

    private static async Task<int> WriteAsync<TRow>(IAsyncEnumerable<TRow> rows, long left, Action<TRow> write)
    {
        await foreach (var row in rows)
        {
            write(row);
            if (--left == 0)
            {
                break;
            }
        }

        return ExitCodes.Ok;
    }

    private static void Write(Invocation run, RowHead row)
    {
        if (run.Json)
        {
            run.WriteJson(json =>
            {
                RowJson.WriteBytes(json, "key", row.Key.Span);
                if (row.Metadata is { IsEmpty: false } metadata)
                {
                    RowJson.WriteBytes(json, "metadata", metadata.Span);
                }

                json.WriteNumber("revision", row.Revision.Value);
            });
        }
        else
        {
            run.WriteLine(row.Metadata is { } metadata ? $"{row.Key}\t{Text(metadata.Span)}" : row.Key.ToString());
        }
    }

    private static void Write(Invocation run, Row row, bool withMetadata)
    {
        if (run.Json)
        {
            run.WriteJson(json => RowJson.Write(json, row.Key.Span, row.Entry, withRevision: true));
        }
        else
        {
            var line = $"{row.Key}\t{Text(row.Entry.Value.Span)}";
            run.WriteLine(withMetadata ? $"{line}\t{Text(row.Entry.Metadata.Span)}" : line);
        }
    }

    private static string Text(ReadOnlySpan<byte> bytes) =>
        System.Text.Unicode.Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : Convert.ToBase64String(bytes);
}
