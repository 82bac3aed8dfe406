using System.Text;
using Quicksilver.Client;
using Quicksilver.Model;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: scans give every row of their range once, in byte order or against it, and of each row what was asked for. Method: keys of all kinds,
/// pages of all sizes, cursors good and bad.
/// </summary>
public sealed class ScanTests(SharedCluster shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private LiveCluster Cluster => shared.Cluster;

    [Fact]
    public async Task Keys_of_any_bytes_come_back_in_byte_order_whatever_the_page_size()
    {
        await using var client = Cluster.Connect("eu");
        await client.Catalog.CreateAsync("bytes", cancellation: Stop);
        var keyspace = client.Keyspace("bytes");
        var random = new Random(7);
        var keys = Enumerable.Range(0, 256).Select(b => new[] { (byte)b })
            .Concat(Enumerable.Range(0, 200).Select(_ =>
            {
                var key = new byte[random.Next(1, 1_025)];
                random.NextBytes(key);
                return key;
            }))
            .Append(Enumerable.Repeat((byte)0xff, 1_024).ToArray())
            .Append([0]).Append([0, 0])
            .DistinctBy(Convert.ToHexString).ToList();
        foreach (var chunk in keys.Chunk(100))
        {
            await keyspace.CommitAsync([], [.. chunk.Select(key => Mutation.Put(Key.From(key), key))], cancellation: Stop);
        }

        var expected = keys.Order(Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b))).ToList();
        foreach (var size in new[] { 1, 7, 100, 10_000 })
        {
            var rows = await keyspace.ScanAsync(new() { PageSize = size }, Stop).ToListAsync(Stop);
            Assert.Equal(expected, rows.Select(row => row.Key.Span.ToArray()));
            Assert.All(rows, row => Assert.Equal(row.Key.Span, row.Entry.Value.Span));
            var reversed = await keyspace.ScanAsync(new() { PageSize = size, Reverse = true }, Stop).ToListAsync(Stop);
            Assert.Equal(expected.AsEnumerable().Reverse(), reversed.Select(row => row.Key.Span.ToArray()));
            foreach (var isReverse in new[] { false, true })
            {
                var heads = await keyspace.ScanKeysAsync(new() { PageSize = size, Reverse = isReverse }, Stop).ToListAsync(Stop);
                Assert.Equal((isReverse ? reversed : rows).Select(row => (row.Key, row.Entry.Revision)), heads.Select(head => (head.Key, head.Revision)));
            }
        }
    }

    [Fact]
    public async Task Prefix_start_and_end_bound_a_scan()
    {
        await using var client = Cluster.Connect("hub");
        await client.Catalog.CreateAsync("bounds", cancellation: Stop);
        var keyspace = client.Keyspace("bounds");
        await keyspace.CommitAsync([], [.. new[] { "a", "b", "b/1", "b/2", "b/3", "c" }.Select(key => Mutation.Put(key, "v"u8.ToArray()))], cancellation: Stop);

        async Task<string> Keys(ScanOptions options) =>
            string.Join(' ', await keyspace.ScanAsync(options, Stop).Select(row => row.Key.ToString()).ToListAsync(Stop));
        static byte[] B(string text) => Encoding.UTF8.GetBytes(text);

        Assert.Equal("b b/1 b/2 b/3", await Keys(new() { Prefix = B("b") }));
        Assert.Equal("b/1 b/2 b/3", await Keys(new() { Prefix = B("b/"), PageSize = 1 }));
        Assert.Equal("b/2 b/3 c", await Keys(new() { Start = B("b/2") }));
        Assert.Equal("a b", await Keys(new() { End = B("b/1") }));
        Assert.Equal("b/2", await Keys(new() { Prefix = B("b/"), Start = B("b/2"), End = B("b/3"), PageSize = 2 }));
        Assert.Equal("", await Keys(new() { Prefix = B("x") }));
        Assert.Equal("", await Keys(new() { Start = B("c"), End = B("a") }));
    }

    [Fact]
    public async Task A_scan_against_the_order_has_the_rows_of_the_one_with_it_whatever_bounds_it()
    {
        await using var client = Cluster.Connect("eu");
        await client.Catalog.CreateAsync("backwards", cancellation: Stop);
        await client.Catalog.CreateAsync("backwards-next", cancellation: Stop);
        await client.Keyspace("backwards-next").PutAsync("a", "of the next keyspace", cancellation: Stop);
        var keyspace = client.Keyspace("backwards");
        byte[][] keys = [.. new[] { "a", "ab", "aba", "abb", "abc", "ac", "b" }.Select(key => Encoding.UTF8.GetBytes(key)), [(byte)'a', 0xff], [(byte)'a', 0xff, 0xff], [0xff], [0xff, 0xff], [0xff, 0xff, 0x01]];
        await keyspace.CommitAsync([], [.. keys.Select(key => Mutation.Put(Key.From(key), key))], cancellation: Stop);
        byte[][] bounds = [[], .. keys, [(byte)'a', (byte)'b', (byte)'b', 0], [0], [(byte)'x']];
        var random = new Random(11);
        for (var i = 0; i < 200; i++)
        {
            byte[] Any() => bounds[random.Next(3) == 0 ? 0 : random.Next(bounds.Length)];
            var options = new ScanOptions { Prefix = Any(), Start = Any(), End = Any(), PageSize = random.Next(1, 5) };
            var rows = await keyspace.ScanAsync(options, Stop).Select(row => Convert.ToHexString(row.Key.Span)).ToListAsync(Stop);
            var reversed = await keyspace.ScanAsync(options with { Reverse = true }, Stop).Select(row => Convert.ToHexString(row.Key.Span)).ToListAsync(Stop);
            reversed.Reverse();
            Assert.Equal(rows, reversed);
            Assert.Equal(
                keys.Where(key => key.AsSpan().StartsWith(options.Prefix.Span) && key.AsSpan().SequenceCompareTo(options.Start.Span) >= 0
                        && (options.End.IsEmpty || key.AsSpan().SequenceCompareTo(options.End.Span) < 0))
                    .Select(Convert.ToHexString).Order(StringComparer.Ordinal),
                rows);
        }
    }

    [Fact]
    public async Task A_scan_of_keys_has_no_values_on_its_way_and_metadata_where_it_is_asked_for()
    {
        await using var client = Cluster.Connect("us");
        await client.Catalog.CreateAsync("heads", cancellation: Stop);
        var keyspace = client.Keyspace("heads");
        for (var i = 0; i < 5; i++)
        {
            await keyspace.PutAsync($"k{i}", new byte[900_000], new() { Metadata = Encoding.UTF8.GetBytes(i == 0 ? "" : $"m{i}"), TimeToLive = i == 1 ? TimeSpan.FromHours(1) : null }, Stop);
        }

        // A page of rows ends with 1 MiB; five keys are a few bytes.
        var options = new ScanOptions { PageSize = 10 };
        var page = await keyspace.ScanPageAsync(options, default, Stop);
        Assert.Single(page.Rows);
        var heads = await keyspace.ScanKeysPageAsync(options, default, Stop);
        Assert.True(heads.Cursor.IsEmpty);
        Assert.Equal(["k0", "k1", "k2", "k3", "k4"], heads.Rows.Select(head => head.Key.ToString()));
        Assert.All(heads.Rows, head => Assert.Null(head.Metadata));
        Assert.Equal([1], heads.Rows.Index().Where(head => head.Item.ExpiresAt is not null).Select(head => head.Index));

        var with = await keyspace.ScanKeysPageAsync(options with { WithMetadata = true, Reverse = true }, default, Stop);
        Assert.Equal(["m4", "m3", "m2", "m1", ""], with.Rows.Select(head => Encoding.UTF8.GetString(head.Metadata!.Value.Span)));

        // One goes on where the other was.
        Assert.Equal("k1", (await keyspace.ScanKeysPageAsync(options, page.Cursor, Stop)).Rows[0].Key.ToString());
        var scan = await Cluster.QsAsync("us", "scan", "heads", "--keys-only", "--reverse", "--metadata", "--limit", "2");
        Assert.Equal("k4\tm4\nk3\tm3\n", scan.Output);
        scan = await Cluster.QsAsync("us", "scan", "heads", "--keys-only", "--start", "k3", "--json");
        var lines = heads.Rows.Skip(3).Select(head => $"{{\"key\":\"{head.Key}\",\"revision\":{head.Revision}}}").ToList();
        Assert.Equal(lines, scan.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task A_cursor_that_was_changed_or_belongs_to_another_scan_is_refused()
    {
        await using var client = Cluster.Connect("us");
        await client.Catalog.CreateAsync("cursor", cancellation: Stop);
        await client.Catalog.CreateAsync("cursor2", cancellation: Stop);
        var keyspace = client.Keyspace("cursor");
        await keyspace.CommitAsync([], [.. Enumerable.Range(0, 10).Select(i => Mutation.Put($"k{i}", "v"u8.ToArray()))], cancellation: Stop);
        var options = new ScanOptions { PageSize = 3 };
        var cursor = (await keyspace.ScanPageAsync(options, default, Stop)).Cursor;
        Assert.Equal("k3", (await keyspace.ScanPageAsync(options, cursor, Stop)).Rows[0].Key.ToString());

        async Task Refused(IKeyspace asked, ScanOptions scan, ReadOnlyMemory<byte> with)
        {
            var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await asked.ScanPageAsync(scan, with, Stop));
            Assert.Equal(QuicksilverErrorCode.InvalidRequest, e.Code);
        }

        for (var i = 0; i < cursor.Length; i++)
        {
            var changed = cursor.ToArray();
            changed[i] ^= 1;
            await Refused(keyspace, options, changed);
        }

        await Refused(keyspace, options, cursor[..^1]);
        await Refused(keyspace, options, new byte[100_000]);
        await Refused(client.Keyspace("cursor2"), options, cursor);
        await Refused(keyspace, options with { Prefix = "k"u8.ToArray() }, cursor);
        await Refused(keyspace, options with { End = "k9"u8.ToArray() }, cursor);

        // Nor does it turn round, in either direction.
        var back = options with { Reverse = true };
        await Refused(keyspace, back, cursor);
        var backwards = (await keyspace.ScanPageAsync(back, default, Stop)).Cursor;
        Assert.Equal("k6", (await keyspace.ScanPageAsync(back, backwards, Stop)).Rows[0].Key.ToString());
        await Refused(keyspace, options, backwards);
        for (var i = 0; i < backwards.Length; i++)
        {
            var changed = backwards.ToArray();
            changed[i] ^= 0x80;
            await Refused(keyspace, back, changed);
        }
    }

    [Fact]
    public async Task A_cursor_that_somebody_made_reaches_no_row_that_the_scan_would_not()
    {
        await using var client = Cluster.Connect("us");
        await client.Catalog.CreateAsync("made", cancellation: Stop);
        var keyspace = client.Keyspace("made");
        await keyspace.CommitAsync([], [.. Enumerable.Range(0, 10).Select(i => Mutation.Put($"k{i}", "v"u8.ToArray()))], cancellation: Stop);
        var id = (await client.Catalog.FindAsync("made", cancellation: Stop))!.Id;
        var options = new ScanOptions { Start = "k3"u8.ToArray(), End = "k6"u8.ToArray() };
        foreach (var isReverse in new[] { false, true })
        {
            // The tag is no secret: everything in it is public.
            var request = new Contracts.ScanRequest(default, default, new(options.Start), new(options.End), 10, default)
            {
                Flags = isReverse ? Contracts.ScanFlags.Reverse : Contracts.ScanFlags.None,
            };
            foreach (var key in new[] { "a", "k0", "k4", "k9", "z" })
            {
                var cursor = ScanCursor.Encode(client.Session!.Value.Cluster, id, request, Encoding.UTF8.GetBytes(key));
                var page = await keyspace.ScanPageAsync(options with { Reverse = isReverse }, cursor, Stop);
                Assert.All(page.Rows, row => Assert.InRange(row.Key.ToString(), "k3", "k5"));
            }
        }
    }

    [Fact]
    public void A_scan_that_asks_for_what_a_node_does_not_know_is_refused()
    {
        var request = new Contracts.ScanRequest(new(Contracts.ReadConsistency.Eventual, default, default, false), default, default, default, 10, default);
        Assert.Null(NodeCalls.ProblemOf(request));
        Assert.NotNull(NodeCalls.ProblemOf(request with { Flags = (Contracts.ScanFlags)8 }));
    }
}
