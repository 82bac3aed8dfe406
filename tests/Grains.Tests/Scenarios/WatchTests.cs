using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: a watch tells every change once and in order, whatever becomes of gateways, nodes and regions. Method: watchers in two regions while the
/// way to one is cut again and again, its node restarts and then goes for good; compared with what the writers were told.
/// </summary>
[Collection(Alone.Name)]
public sealed class WatchTests
{
    private const int Watchers = 10;
    private const int Writers = 16;
    private const int Changes = 20_000;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Ten_watchers_hear_of_20_000_changes_once_and_in_order_over_cuts_a_restart_and_another_region()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var hub = cluster.Connect("hub");
        await hub.Catalog.CreateAsync("watched", cancellation: Stop);
        await cluster.LevelAsync("eu", Stop);
        await cluster.LevelAsync("us", Stop);
        await using var way = new TcpProxy(GatewayAddress.Parse(cluster.Gateway("eu")).Port);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var watchers = Enumerable.Range(0, Watchers).Select(i => new Watcher([way.Address, cluster.Gateway("us")], i % 2 == 0 ? "" : "a")).ToList();
        var running = watchers.ConvertAll(watcher => watcher.RunAsync(enough.Token));
        await Eventually.TrueAsync(() => watchers.TrueForAll(watcher => watcher.HasBegun), "watchers that have begun", Stop);

        var (next, allowed) = (0, 0);
        var written = new ConcurrentDictionary<long, string>();
        var writers = Enumerable.Range(0, Writers).Select(_ => Task.Run(
            async () =>
            {
                for (int i; (i = Interlocked.Increment(ref next)) <= Changes;)
                {
                    await Eventually.TrueAsync(() => i <= Volatile.Read(ref allowed), "its turn", Stop, TimeSpan.FromMinutes(3));
                    var key = $"{(i % 3 == 0 ? 'a' : 'b')}{i % 100}";
                    var result = await hub.Keyspace("watched").PutAsync(key, i.ToString(CultureInfo.InvariantCulture), cancellation: Stop);
                    Assert.True(written.TryAdd(result.Revision.Value, $"{key}={i}"));
                }
            },
            Stop)).ToList();
        for (var quarter = 1; quarter <= 4; quarter++)
        {
            // Something happens in the middle of each quarter, and is over before the next.
            Volatile.Write(ref allowed, quarter * Changes / 4);
            var middle = (Changes * quarter / 4) - (Changes / 8);
            await Eventually.TrueAsync(() => written.Count >= middle, $"{middle} changes", Stop, TimeSpan.FromMinutes(3));
            switch (quarter)
            {
                case 1 or 2:
                    way.Cut();
                    break;
                case 3:
                    await cluster.StopAsync("eu");
                    await cluster.StartAsync("eu", Stop);
                    break;
                default:
                    await cluster.StopAsync("eu");
                    break;
            }
        }

        await Task.WhenAll(writers);
        var all = written.OrderBy(change => change.Key).Select(change => $"{change.Key} {change.Value}").ToList();
        var some = all.Where(change => change.Contains(" a", StringComparison.Ordinal)).ToList();
        await Eventually.TrueAsync(
            () => watchers.TrueForAll(watcher => watcher.Count >= (watcher.Prefix == "" ? all : some).Count), "all changes at all watchers", Stop, TimeSpan.FromMinutes(2));
        await enough.CancelAsync();
        foreach (var run in running)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        }

        Assert.Equal(Changes, all.Count);
        Assert.All(watchers, watcher => Assert.Equal(watcher.Prefix == "" ? all : some, watcher.Heard));
    }

    private sealed class Watcher(string[] gateways, string prefix)
    {
        private readonly List<string> _heard = [];
        private int _count;

        public string Prefix => prefix;

        public bool HasBegun { get; private set; }

        public int Count => Volatile.Read(ref _count);

        public List<string> Heard => _heard;

        public async Task RunAsync(CancellationToken stop)
        {
            var options = new QuicksilverClientOptions();
            gateways.ToList().ForEach(options.Gateways.Add);
            await using var client = new QuicksilverClient(options, TimeProvider.System, NullLoggerFactory.Instance);
            await foreach (var happened in client.Keyspace("watched").WatchAsync(new() { Prefix = System.Text.Encoding.UTF8.GetBytes(prefix) }, stop))
            {
                HasBegun = true;
                if (happened is WatchEvent.Changed changed)
                {
                    var put = Assert.IsType<Change.Put>(Assert.Single(changed.Changes));
                    _heard.Add($"{changed.Revision} {put.Key}={put.Entry.Text}");
                    Volatile.Write(ref _count, _heard.Count);
                }
            }
        }
    }

    [Fact]
    public async Task A_watch_goes_on_from_its_cursor_in_another_process_and_ends_with_its_keyspace()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var hub = cluster.Connect("hub");
        await hub.Catalog.CreateAsync("rules", cancellation: Stop);
        await hub.Catalog.CreateAsync("others", cancellation: Stop);
        await using var us = cluster.Connect("us");
        us.Session = hub.Session;
        await using var watch = us.Keyspace("rules").WatchAsync(cancellation: Stop).GetAsyncEnumerator(Stop);
        Assert.True(await watch.MoveNextAsync());
        var begin = Assert.IsType<WatchEvent.Progress>(watch.Current).Cursor;
        await hub.Keyspace("others").PutAsync("k", "v", cancellation: Stop);
        var put = await hub.Keyspace("rules").CommitAsync([], [Mutation.Put("a", "1"u8.ToArray()), Mutation.Delete("b")], cancellation: Stop);
        var changed = await NextChangeAsync(watch);
        Assert.Equal(put.Revision, changed.Revision);
        Assert.Equal(["a=1", "b is gone"], changed.Changes.Select(Text));

        // What was told counts as read.
        Assert.True(us.Session!.Value.Position.Revision >= put.Revision);

        // As text, elsewhere.
        Assert.True(WatchCursor.TryParse(changed.Cursor.ToString(), out var cursor));
        var second = await hub.Keyspace("rules").PutAsync("c", "2", cancellation: Stop);
        var first = await cluster.QsAsync("eu", "watch", "rules", "--from", begin.ToString(), "--limit", "3", "--json");
        Assert.Equal(0, first.ExitCode);
        var lines = first.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal(["put", "deleted", "put"], lines.Select(line => line.GetProperty("event").GetString()));
        Assert.Equal(second.Revision.Value, lines[2].GetProperty("revision").GetInt64());
        await using var eu = cluster.Connect("eu");
        await using var further = eu.Keyspace("rules").WatchAsync(new() { From = cursor }, Stop).GetAsyncEnumerator(Stop);
        Assert.Equal(second.Revision, (await NextChangeAsync(further)).Revision);

        await using var wrong = eu.Keyspace("others").WatchAsync(new() { From = cursor }, Stop).GetAsyncEnumerator(Stop);
        Assert.Equal(QuicksilverErrorCode.InvalidRequest, (await Assert.ThrowsAsync<QuicksilverException>(async () => await wrong.MoveNextAsync())).Code);
        await using var foreign = eu.Keyspace("rules").WatchAsync(new() { From = cursor with { Cluster = new(9, 9) } }, Stop).GetAsyncEnumerator(Stop);
        Assert.Equal(QuicksilverErrorCode.ForeignPosition, (await Assert.ThrowsAsync<QuicksilverException>(async () => await foreign.MoveNextAsync())).Code);

        await hub.Catalog.DeleteAsync("rules", Stop);
        await hub.Catalog.CreateAsync("rules", cancellation: Stop);
        Assert.IsType<WatchEvent.KeyspaceDeleted>(await LastAsync(further));
        Assert.IsType<WatchEvent.KeyspaceDeleted>(await LastAsync(watch));
        var gone = await cluster.QsAsync("eu", "watch", "rules", "--from", begin.ToString());
        Assert.Equal(3, gone.ExitCode);
        Assert.Contains("was deleted", gone.Errors, StringComparison.Ordinal);
        Assert.Equal(2, (await cluster.QsAsync("eu", "watch", "rules", "--from", begin.ToString()[1..])).ExitCode);
        Assert.Equal(3, (await cluster.QsAsync("eu", "watch", "none")).ExitCode);
    }

    [Fact]
    public async Task A_watch_hears_of_a_prefix_that_was_deleted_as_far_as_it_is_about_it_and_then_of_what_took_its_place()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var hub = cluster.Connect("hub");
        await hub.Catalog.CreateAsync("rules", cancellation: Stop);
        var rules = hub.Keyspace("rules");
        await rules.CommitAsync([], [.. new[] { "a/b/1", "a/b/2", "a/c", "x" }.Select(key => Mutation.Put(key, "old"u8.ToArray()))], cancellation: Stop);
        await using var us = cluster.Connect("us");
        us.Session = hub.Session;
        var known = new SortedDictionary<string, string>(StringComparer.Ordinal);
        await foreach (var row in us.Keyspace("rules").ScanAsync(cancellation: Stop))
        {
            known[row.Key.ToString()] = row.Entry.Text;
        }

        await using var all = us.Keyspace("rules").WatchAsync(cancellation: Stop).GetAsyncEnumerator(Stop);
        await using var some = us.Keyspace("rules").WatchAsync(new() { Prefix = "a/b/"u8.ToArray() }, Stop).GetAsyncEnumerator(Stop);
        await using var none = us.Keyspace("rules").WatchAsync(new() { Prefix = "x"u8.ToArray() }, Stop).GetAsyncEnumerator(Stop);
        foreach (var watch in new[] { all, some, none })
        {
            Assert.True(await watch.MoveNextAsync());
        }

        var begin = all.Current.Cursor;
        var replaced = await rules.CommitAsync([], [Mutation.DeletePrefix("a/"), Mutation.Put("a/b/2", "new"u8.ToArray())], cancellation: Stop);
        var deleted = await rules.CommitAsync([], [Mutation.DeletePrefix("x")], cancellation: Stop);
        var changed = await NextChangeAsync(all);
        Assert.Equal(replaced.Revision, changed.Revision);
        Assert.Equal(["a/* is gone", "a/b/2=new"], changed.Changes.Select(Text));
        Assert.Equal(["a/b/* is gone", "a/b/2=new"], (await NextChangeAsync(some)).Changes.Select(Text));
        changed = await NextChangeAsync(none);
        Assert.Equal(deleted.Revision, changed.Revision);
        Assert.Equal(["x* is gone"], changed.Changes.Select(Text));

        // Who keeps what it was told has what is there.
        foreach (var change in (Change[])[new Change.PrefixDeleted("a/"), new Change.Put("a/b/2", new("new"u8.ToArray(), default, replaced.Revision)), .. (await NextChangeAsync(all)).Changes])
        {
            switch (change)
            {
                case Change.Put put:
                    known[put.Key.ToString()] = put.Entry.Text;
                    break;
                case Change.Deleted gone:
                    known.Remove(gone.Key.ToString());
                    break;
                case Change.PrefixDeleted gone:
                    known.Keys.Where(key => key.StartsWith(gone.Prefix.ToString(), StringComparison.Ordinal)).ToList().ForEach(key => known.Remove(key));
                    break;
            }
        }

        Assert.Equal(["a/b/2=new"], known.Select(row => $"{row.Key}={row.Value}"));
        Assert.Equal(["a/b/2"], await us.Keyspace("rules").ScanAsync(cancellation: Stop).Select(row => row.Key.ToString()).ToListAsync(Stop));
        var said = await cluster.QsAsync("us", "watch", "rules", "--from", begin.ToString(), "--limit", "3");
        Assert.Equal($"{replaced.Revision}\tprefixDeleted\ta/\n{replaced.Revision}\tput\ta/b/2\tnew\n{deleted.Revision}\tprefixDeleted\tx\n", said.Output);
        var json = await cluster.QsAsync("us", "watch", "rules", "--from", begin.ToString(), "--limit", "1", "--json");
        var first = JsonDocument.Parse(json.Output.Split('\n')[0]).RootElement;
        Assert.Equal(("prefixDeleted", "a/"), (first.GetProperty("event").GetString(), first.GetProperty("prefix").GetString()));
    }

    private static string Text(Change change) => change switch
    {
        Change.Put put => $"{put.Key}={put.Entry.Text}",
        Change.Deleted deleted => $"{deleted.Key} is gone",
        Change.PrefixDeleted deleted => $"{deleted.Prefix}* is gone",
        _ => throw new InvalidOperationException(),
    };

    private static async Task<WatchEvent.Changed> NextChangeAsync(IAsyncEnumerator<WatchEvent> watch)
    {
        while (await watch.MoveNextAsync())
        {
            if (watch.Current is WatchEvent.Changed changed)
            {
                return changed;
            }
        }

        throw new InvalidOperationException("The watch has ended.");
    }

    private static async Task<WatchEvent?> LastAsync(IAsyncEnumerator<WatchEvent> watch)
    {
        WatchEvent? last = null;
        while (await watch.MoveNextAsync())
        {
            last = watch.Current;
        }

        return last;
    }
}
