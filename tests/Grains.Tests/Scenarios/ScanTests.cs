using System.Text;
using Quicksilver.Client;
using Quicksilver.Model;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: scans give every row of their range once, in byte order. Method: keys of all kinds, pages of all sizes, cursors good and bad.
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
    }
}
