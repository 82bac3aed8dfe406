using Quicksilver.Client;
using Quicksilver.Model;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: tokens, positions and cursors that are foreign, made up or huge are refused by the node, typed, and never read as something else. Method:
/// all reads of a client in a region with what was changed in a good token or cursor; and a client that is disposed with calls on their way.
/// </summary>
public sealed class MisuseTests(SharedCluster shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>Every read, of a keyspace that is there.</summary>
    private static readonly Dictionary<string, Func<IQuicksilverClient, Task>> Reads = new()
    {
        ["get"] = async client => await client.Keyspace("misuse").GetAsync("k", cancellation: Stop),
        ["get many"] = async client => await client.Keyspace("misuse").GetManyAsync(["k", "l"], cancellation: Stop),
        ["scan"] = async client => await client.Keyspace("misuse").ScanAsync(cancellation: Stop).ToListAsync(Stop),
        ["scan page"] = async client => await client.Keyspace("misuse").ScanPageAsync(new(), default, Stop),
        ["watch"] = async client => await client.Keyspace("misuse").WatchAsync(cancellation: Stop).FirstAsync(Stop),
        ["find"] = async client => await client.Catalog.FindAsync("misuse", cancellation: Stop),
        ["list"] = async client => await client.Catalog.ListAsync(cancellation: Stop).ToListAsync(Stop),
    };

    public static TheoryData<string> NamesOfReads => [.. Reads.Keys];

    /// <summary>A client of eu that knows the keyspace, and has seen a write to it.</summary>
    private async Task<QuicksilverClient> ConnectAsync()
    {
        var client = shared.Cluster.Connect("eu");
        await client.Catalog.CreateAsync("misuse", cancellation: Stop);
        await client.Keyspace("misuse").PutAsync("k", "v", cancellation: Stop);
        await client.Keyspace("misuse").GetAsync("k", cancellation: Stop);
        return client;
    }

    [Theory]
    [MemberData(nameof(NamesOfReads))]
    public async Task A_session_of_another_cluster_history_or_log_is_refused_by_every_read(string read)
    {
        await using var client = await ConnectAsync();
        var mine = client.Session!.Value;
        foreach (var foreign in new[]
        {
            mine with { Cluster = new(9, 9) },
            mine with { Position = mine.Position with { History = new(9, 9) } },
            mine with { Position = mine.Position with { Log = new(9) } },
            new SessionToken(new(9, 9), new(new(9), new(9, 9), new(1))),
        })
        {
            client.Session = foreign;
            var e = await Assert.ThrowsAsync<QuicksilverException>(() => Reads[read](client));
            Assert.Equal((QuicksilverErrorCode.ForeignPosition, WriteOutcome.NotAWrite, false), (e.Code, e.Outcome, e.IsTransient));

            // It has taken nothing over from the node that refused it.
            Assert.Equal(foreign, client.Session);
        }

        client.Session = mine;
        await Reads[read](client);
    }

    [Fact]
    public async Task A_session_at_a_revision_that_never_was_hears_not_yet()
    {
        await using var client = await ConnectAsync();
        var mine = client.Session!.Value;
        client.Session = mine with { Position = mine.Position with { Revision = new(long.MaxValue) } };
        Assert.True(SessionToken.TryParse(client.Session!.Value.ToString(), out _));
        var reads = new[] { "get", "get many", "scan", "scan page", "find", "list" }.Select(read => Assert.ThrowsAsync<QuicksilverException>(() => Reads[read](client))).ToList();
        Assert.All(await Task.WhenAll(reads), e => Assert.Equal(QuicksilverErrorCode.NotYet, e.Code));
    }

    [Fact]
    public async Task A_cursor_of_a_watch_in_which_anything_was_changed_is_refused()
    {
        await using var client = await ConnectAsync();
        await client.Catalog.CreateAsync("misuse-2", cancellation: Stop);
        var other = await client.Catalog.FindAsync("misuse-2", cancellation: Stop);
        var good = (await client.Keyspace("misuse").WatchAsync(cancellation: Stop).FirstAsync(Stop)).Cursor;
        foreach (var (cursor, code) in new[]
        {
            (good with { Cluster = new(9, 9) }, QuicksilverErrorCode.ForeignPosition),
            (good with { Position = good.Position with { History = new(9, 9) } }, QuicksilverErrorCode.ForeignPosition),
            (good with { Position = good.Position with { Log = new(9) } }, QuicksilverErrorCode.ForeignPosition),
            (default(WatchCursor), QuicksilverErrorCode.ForeignPosition),
            (good with { Keyspace = other!.Id }, QuicksilverErrorCode.InvalidRequest),
        })
        {
            var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await client.Keyspace("misuse").WatchAsync(new() { From = cursor }, Stop).FirstAsync(Stop));
            Assert.Equal(code, e.Code);
        }
    }

    [Fact]
    public async Task A_huge_cursor_of_a_scan_is_refused_and_its_connection_stays()
    {
        await using var client = await ConnectAsync();
        foreach (var length in new[] { 1, 1_000, 1_088, 1_089, Limits.MaxMessageBytes, 4 * Limits.MaxMessageBytes })
        {
            var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await client.Keyspace("misuse").ScanPageAsync(new(), new byte[length], Stop));
            Assert.Equal(QuicksilverErrorCode.InvalidRequest, e.Code);
        }

        Assert.Equal("v", (await client.Keyspace("misuse").GetAsync("k", ReadOptions.Eventual, Stop))!.Text);
    }

    [Fact]
    public async Task What_is_on_its_way_when_its_client_is_disposed_ends_at_once()
    {
        var client = await ConnectAsync();
        var position = client.Session!.Value.Position;
        await using var watch = client.Keyspace("misuse").WatchAsync(new() { Prefix = "never"u8.ToArray() }, Stop).GetAsyncEnumerator(Stop);
        Assert.True(await watch.MoveNextAsync());
        var next = HearAsync();
        var waiting = client.Keyspace("misuse").GetAsync("k", ReadOptions.AtLeast(position with { Revision = new(long.MaxValue) }), Stop).AsTask();
        await client.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => next);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting);
        await client.DisposeAsync();

        // Whatever else changes meanwhile is progress.
        async Task HearAsync()
        {
            while (await watch.MoveNextAsync())
            {
                Assert.IsType<WatchEvent.Progress>(watch.Current);
            }
        }
    }
}
