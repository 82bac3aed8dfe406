using System.CommandLine;
using System.Text;
using Quicksilver.Client;
using Quicksilver.Cli.Ndjson;
using Quicksilver.Model;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs watch</c></summary>
internal static class WatchCommand
{
    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var keyspace = new Argument<string>("keyspace") { Description = "Name of the keyspace." };
        var prefix = new Option<string>("--prefix") { Description = "Only keys that start with this text.", DefaultValueFactory = _ => "" };
        var from = new Option<string?>("--from") { Description = "A cursor that an earlier watch printed: goes on behind it." };
        var limit = new Option<long>("--limit") { Description = "Ends after so many changes.", DefaultValueFactory = _ => long.MaxValue, Validators = { Checks.AtLeast(1) } };
        var progress = new Option<bool>("--progress") { Description = "Also says how far it is where nothing changes." };
        return add(
            new Command("watch", "Prints every change as it comes, until it is interrupted.") { keyspace, prefix, from, limit, progress },
            async (parsed, run) =>
            {
                WatchCursor? cursor = null;
                if (parsed.GetValue(from) is { } text)
                {
                    cursor = WatchCursor.TryParse(text, out var read)
                        ? read
                        : throw new ArgumentException($"--from is '{text}': it is no cursor of a watch, or was changed.");
                }

                var options = new WatchOptions
                {
                    Prefix = Encoding.UTF8.GetBytes(parsed.GetRequiredValue(prefix)),
                    From = cursor,
                    Trouble = e => run.Errors.WriteLine($"qs: {e.Message} Trying again."),
                };
                try
                {
                    return await WatchAsync(run, run.Client.Keyspace(parsed.GetRequiredValue(keyspace)), options, parsed.GetValue(progress), parsed.GetValue(limit));
                }
                catch (OperationCanceledException) when (run.Cancellation.IsCancellationRequested)
                {
                    // Interrupted, as was meant.
                    return ExitCodes.Ok;
                }
            });
    }

    private static async Task<int> WatchAsync(Invocation run, IKeyspace keyspace, WatchOptions options, bool progress, long left)
    {
        await foreach (var happened in keyspace.WatchAsync(options, run.Cancellation))
        {
            switch (happened)
            {
                case WatchEvent.Changed changed:
                    foreach (var change in changed.Changes)
                    {
                        Write(run, changed, change);
                    }

                    left -= changed.Changes.Count;
                    if (left <= 0)
                    {
                        return ExitCodes.Ok;
                    }

                    break;
                case WatchEvent.Progress when progress:
                    if (run.Json)
                    {
                        run.WriteJson(json =>
                        {
                            json.WriteString("event", "progress");
                            json.WriteNumber("revision", happened.Cursor.Position.Revision.Value);
                            json.WriteString("cursor", happened.Cursor.ToString());
                        });
                    }
                    else
                    {
                        run.WriteLine($"{happened.Cursor.Position.Revision}\tprogress\t{happened.Cursor}");
                    }

                    break;
                case WatchEvent.TooOld tooOld:
                    throw new QuicksilverException(QuicksilverErrorCode.TooOld, $"The changes after revision {happened.Cursor.Position.Revision} are not kept any more; the oldest is {tooOld.Oldest}. Read what is there (qs scan), and watch from now on.");
                case WatchEvent.KeyspaceDeleted:
                    throw new QuicksilverException(QuicksilverErrorCode.KeyspaceNotFound, $"The keyspace '{keyspace.Name}' was deleted.");
            }
        }

        return ExitCodes.Ok;
    }

    private static void Write(Invocation run, WatchEvent.Changed changed, Change change)
    {
        if (run.Json)
        {
            run.WriteJson(json =>
            {
                json.WriteString("event", change.Entry is null ? "deleted" : "put");
                if (change.Entry is { } entry)
                {
                    RowJson.Write(json, change.Key.Span, entry, withRevision: true);
                }
                else
                {
                    RowJson.WriteBytes(json, "key", change.Key.Span);
                    json.WriteNumber("revision", changed.Revision.Value);
                }

                json.WriteString("cursor", changed.Cursor.ToString());
            });
            return;
        }

        var value = change.Entry is not { } put ? "" : System.Text.Unicode.Utf8.IsValid(put.Value.Span) ? put.Text : Convert.ToBase64String(put.Value.Span);
        run.WriteLine($"{changed.Revision}\t{(change.Entry is null ? "deleted" : "put")}\t{change.Key}\t{value}".TrimEnd('\t'));
    }
}
