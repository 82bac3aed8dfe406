using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <content>Watches: alone, and behind a scan.</content>
public sealed partial class DocumentSnippetTests
{
    /// <summary>For a watch to end: one that hangs is a failure.</summary>
    private static readonly TimeSpan EndOfWatch = TimeSpan.FromMinutes(1);

    [Fact]
    public async Task A_watch_tells_puts_deletions_and_prefixes_until_the_keyspace_is_gone()
    {
        await using var client = await ConnectAsync("eu", "rules");
        var told = new ConcurrentDictionary<string, string>();
        var watching = WatchAsync(Stop);
        await using var hub = Cluster.Connect("hub");
        var rules = hub.Keyspace("rules");

        // The watch begins a moment after it is asked for, and tells only what changes from then on.
        var puts = 0;
        await Eventually.TrueAsync(
            async () =>
            {
                if (watching.IsCompleted)
                {
                    await watching;
                    Assert.Fail("The watch ended before it told anything.");
                }

                await rules.PutAsync("eu/1", $"{puts++}", cancellation: Stop);
                return !told.IsEmpty;
            },
            "the beginning of the watch", Stop, EndOfWatch);

        await rules.PutAsync("us/1", "not watched", cancellation: Stop);
        await rules.PutAsync("eu/a/2", "2", cancellation: Stop);
        await rules.DeleteAsync("eu/1", cancellation: Stop);
        await rules.PutAsync("eu/3", "3", cancellation: Stop);
        await Eventually.TrueAsync(() => told.Keys.Order().SequenceEqual(["eu/3", "eu/a/2"]), "two keys", Stop);
        await rules.DeletePrefixAsync("eu/a/", cancellation: Stop);
        await Eventually.TrueAsync(() => told.Keys.SequenceEqual(["eu/3"]), "one key", Stop);
        await hub.Catalog.DeleteAsync("rules", Stop);
        await watching.WaitAsync(EndOfWatch, Stop);

        void Set(Key key, Entry entry) => told[key.ToString()] = entry.Text;

        void Remove(Key key) => told.TryRemove(key.ToString(), out _);

        void RemoveAll(Key prefix)
        {
            foreach (var key in told.Keys.Where(key => key.StartsWith(prefix.ToString(), StringComparison.Ordinal)))
            {
                told.TryRemove(key, out _);
            }
        }

        async Task WatchAsync(CancellationToken cancellation)
        {
            // snippet: watching
            await foreach (var happened in client.Keyspace("rules").WatchAsync(new() { Prefix = "eu/"u8.ToArray() }, cancellation))
            {
                switch (happened)
                {
                    case WatchEvent.Changed changed:             // one revision: all its changes at once
                        foreach (var change in changed.Changes)  // in this order
                        {
                            switch (change)
                            {
                                case Change.Put(var key, var entry):
                                    Set(key, entry);
                                    break;
                                case Change.Deleted(var key):
                                    Remove(key);
                                    break;
                                case Change.PrefixDeleted(var prefix):
                                    RemoveAll(prefix);           // every key that begins with it
                                    break;
                            }
                        }

                        break;
                    case WatchEvent.Progress:                    // nothing changed up to happened.Cursor
                        break;
                    case WatchEvent.TooOld or WatchEvent.KeyspaceDeleted:
                        return;                                  // the last event: read everything again
                }
            }
            // end snippet
        }
    }

    [Fact]
    public async Task What_was_listed_and_then_watched_is_what_is_there()
    {
        const int Rows = 2_500;
        await using var client = await ConnectAsync("eu", "rules");
        await using var hub = Cluster.Connect("hub");
        var writing = hub.Keyspace("rules");
        for (var i = 0; i < Rows; i += 500)
        {
            var from = i;
            await writing.CommitAsync([], [.. Enumerable.Range(from, 500).Select(row => Put(row, "before"))], cancellation: Stop);
        }

        // Pages, events and writes all at the same time.
        Dictionary<string, string> published = [];
        client.Session = hub.Session;
        var following = FollowAsync(Stop);
        for (var i = 0; i < 300; i++)
        {
            var row = i * 7919 % Rows;
            await writing.CommitAsync(
                [], i % 10 == 9 ? [Mutation.DeletePrefix($"{row / 10:d4}"), Put(row, $"instead {i}")] : [Put(row, $"put {i}"), Mutation.Delete(Name((row + 1) % Rows))], cancellation: Stop);
        }

        await writing.PutAsync("end", "end", cancellation: Stop);
        var there = (await writing.ScanAsync(cancellation: Stop).ToListAsync(Stop)).ToDictionary(row => row.Key.ToString(), row => row.Entry.Text);
        Assert.True(there.Count > Rows / 2, $"{there.Count} rows");
        await Eventually.TrueAsync(
            () => Volatile.Read(ref published) is var seen && seen.Count == there.Count && there.All(row => seen.GetValueOrDefault(row.Key) == row.Value),
            "all changes", Stop, EndOfWatch);
        await hub.Catalog.DeleteAsync("rules", Stop);
        await following.WaitAsync(EndOfWatch, Stop);

        static string Name(int row) => row.ToString("d5", CultureInfo.InvariantCulture);

        static Mutation Put(int row, string value) => Mutation.Put(Name(row), Encoding.UTF8.GetBytes(value));

        void Publish(Dictionary<Key, Entry> all) => Volatile.Write(ref published, all.ToDictionary(row => row.Key.ToString(), row => row.Value.Text));

        async Task FollowAsync(CancellationToken cancellation)
        {
            // snippet: what is there, and then what changes
            var rules = client.Keyspace("rules");
            await using var watch = rules.WatchAsync(cancellation: cancellation).GetAsyncEnumerator(cancellation);
            await watch.MoveNextAsync();                         // Progress: from here on nothing is missed
            var known = new Dictionary<Key, Entry>();
            await foreach (var row in rules.ScanAsync(cancellation: cancellation))
            {
                known[row.Key] = row.Entry;                      // as of the beginning of the watch, or later
            }

            while (await watch.MoveNextAsync())
            {
                if (watch.Current is WatchEvent.Changed changed)
                {
                    foreach (var change in changed.Changes)
                    {
                        switch (change)
                        {
                            case Change.Put put when IsOlder(put.Key):
                                known[put.Key] = put.Entry;
                                break;
                            case Change.Deleted gone when IsOlder(gone.Key):
                                known.Remove(gone.Key);
                                break;
                            case Change.PrefixDeleted gone:
                                foreach (var key in known.Keys.Where(key => key.Span.StartsWith(gone.Prefix.Span) && IsOlder(key)).ToList())
                                {
                                    known.Remove(key);
                                }

                                break;
                        }
                    }

                    Publish(known);

                    // Else the scan had it already.
                    bool IsOlder(Key key) => !known.TryGetValue(key, out var seen) || seen.Revision < changed.Revision;
                }
            }
            // end snippet
        }
    }
}
