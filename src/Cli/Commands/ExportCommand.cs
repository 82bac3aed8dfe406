using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using Quicksilver.Cli.Ndjson;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs export</c></summary>
internal static class ExportCommand
{
    private static readonly JsonWriterOptions Format = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var keyspace = new Argument<string>("keyspace") { Description = "Name of the keyspace." };
        var file = new Argument<string>("file") { Description = "File to write; '-' for standard output.", DefaultValueFactory = _ => "-" };
        var consistency = ValueCommands.ConsistencyOption();
        return add(
            new Command("export", "Writes all rows in key order, in the format that import reads. Loss-free for any bytes.") { keyspace, file, consistency },
            async (parsed, run) =>
            {
                var path = parsed.GetRequiredValue(file);
                var options = new Client.ScanOptions { Read = await ValueCommands.ReadOptionsAsync(parsed.GetValue(consistency), null, parsed.GetRequiredValue(keyspace), run) };
                var rows = run.Client.Keyspace(parsed.GetRequiredValue(keyspace)).ScanAsync(options, run.Cancellation);
                long count = 0;
                if (path == "-")
                {
                    count = await WriteAsync(rows, run.Output);
                }
                else
                {
                    // Under another name until it is whole: a file of the right name is a complete export.
                    var partial = path + ".partial";
                    await using (var stream = File.Create(partial))
                    {
                        count = await WriteAsync(rows, stream);
                    }

                    File.Move(partial, path, overwrite: true);
                }

                if (path != "-")
                {
                    if (run.Json)
                    {
                        run.WriteJson(json => json.WriteNumber("exported", count));
                    }
                    else
                    {
                        run.WriteLine($"exported {count} records to {path}");
                    }
                }

                return ExitCodes.Ok;
            });
    }

    private static async Task<long> WriteAsync(IAsyncEnumerable<Client.Row> rows, Stream stream)
    {
        long count = 0;
        await using var buffered = new BufferedStream(stream, 256 * 1024);
        await using var json = new Utf8JsonWriter(buffered, Format);
        await foreach (var row in rows)
        {
            json.WriteStartObject();
            RowJson.Write(json, row.Key.Span, row.Entry, withRevision: false);
            json.WriteEndObject();
            await json.FlushAsync();
            json.Reset();
            buffered.WriteByte((byte)'\n');
            count++;
        }

        await buffered.FlushAsync();
        return count;
    }
}
