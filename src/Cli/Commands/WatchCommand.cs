using System.CommandLine;
using System.Text;
using System.Text.Json;
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
                WriteJson(json, changed, change);
                json.WriteString("cursor", changed.Cursor.ToString());
            });
            return;
        }

        run.WriteLine($"{changed.Revision}\t" + change switch
        {
            Change.Put put => $"put\t{put.Key}\t{(System.Text.Unicode.Utf8.IsValid(put.Entry.Value.Span) ? put.Entry.Text : Convert.ToBase64String(put.Entry.Value.Span))}".TrimEnd('\t'),
            Change.Deleted deleted => $"deleted\t{deleted.Key}",
            Change.PrefixDeleted deleted => $"prefixDeleted\t{deleted.Prefix}",
            _ => throw new InvalidOperationException($"A change of type {change.GetType()} is unknown."),
        });
    }

    private static void WriteJson(Utf8JsonWriter json, WatchEvent.Changed changed, Change change)
    {
        switch (change)
        {
            case Change.Put put:
                json.WriteString("event", "put");
                RowJson.Write(json, put.Key.Span, put.Entry, withRevision: true);
                break;
            case Change.Deleted deleted:
                json.WriteString("event", "deleted");
                RowJson.WriteBytes(json, "key", deleted.Key.Span);
                json.WriteNumber("revision", changed.Revision.Value);
                break;
            case Change.PrefixDeleted deleted:
                json.WriteString("event", "prefixDeleted");
                RowJson.WriteBytes(json, "prefix", deleted.Prefix.Span);
                json.WriteNumber("revision", changed.Revision.Value);
                break;
        }
    }
}
