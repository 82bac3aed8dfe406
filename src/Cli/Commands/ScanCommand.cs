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
        var keysOnly = new Option<bool>("--keys-only") { Description = "Keys without values." };
        var consistency = ValueCommands.ConsistencyOption();
        return add(
            new Command("scan", "Lists rows in key order.") { keyspace, prefix, start, end, limit, pageSize, keysOnly, consistency },
            async (parsed, run) =>
            {
                var options = new ScanOptions
                {
                    Prefix = Encoding.UTF8.GetBytes(parsed.GetRequiredValue(prefix)),
                    Start = Encoding.UTF8.GetBytes(parsed.GetRequiredValue(start)),
                    End = Encoding.UTF8.GetBytes(parsed.GetRequiredValue(end)),
                    PageSize = (int)Math.Min(parsed.GetValue(pageSize), parsed.GetValue(limit)),
                    Read = await ValueCommands.ReadOptionsAsync(parsed.GetValue(consistency), null, parsed.GetRequiredValue(keyspace), run),
                };
                var left = parsed.GetValue(limit);
                await foreach (var row in run.Client.Keyspace(parsed.GetRequiredValue(keyspace)).ScanAsync(options, run.Cancellation))
                {
                    Write(run, row, parsed.GetValue(keysOnly));
                    if (--left == 0)
                    {
                        break;
                    }
                }

                return ExitCodes.Ok;
            });
    }

    private static void Write(Invocation run, Row row, bool keysOnly)
    {
        if (run.Json)
        {
            run.WriteJson(json =>
            {
                if (keysOnly)
                {
                    RowJson.WriteBytes(json, "key", row.Key.Span);
                    json.WriteNumber("revision", row.Entry.Revision.Value);
                }
                else
                {
                    RowJson.Write(json, row.Key.Span, row.Entry, withRevision: true);
                }
            });
        }
        else
        {
            var value = System.Text.Unicode.Utf8.IsValid(row.Entry.Value.Span) ? row.Entry.Text : Convert.ToBase64String(row.Entry.Value.Span);
            run.WriteLine(keysOnly ? row.Key.ToString() : $"{row.Key}\t{value}");
        }
    }
}
