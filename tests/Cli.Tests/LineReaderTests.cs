using System.Text;
using CsCheck;
using Quicksilver.Cli.Ndjson;

namespace Quicksilver.Cli.Tests;

/// <summary>
/// Goal: lines come out as they are in the file, wherever the reads happen to end. Method: small files through a stream that
/// hands out its bytes in pieces of every size.
/// </summary>
public sealed class LineReaderTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static async Task<List<(long Number, string Text, bool IsTooLong)>> Read(byte[] file, int maxBytes = 1_000, params int[] pieces)
    {
        using var stream = new PieceStream(file, pieces);
        var lines = new List<(long, string, bool)>();
        await foreach (var line in LineReader.ReadAsync(stream, maxBytes, Stop))
        {
            lines.Add((line.Number, Encoding.UTF8.GetString(line.Bytes.Span), line.IsTooLong));
        }

        return lines;
    }

    private static Task<List<(long Number, string Text, bool IsTooLong)>> Read(string file, int maxBytes = 1_000, params int[] pieces) =>
        Read(Encoding.UTF8.GetBytes(file), maxBytes, pieces);

    [Theory]
    [InlineData("", new string[0])]
    [InlineData("a", new[] { "a" })]
    [InlineData("a\n", new[] { "a" })]
    [InlineData("a\nb", new[] { "a", "b" })]
    [InlineData("a\r\nb\r\n", new[] { "a", "b" })]
    [InlineData("a\r\nb\r", new[] { "a", "b" })]
    [InlineData("\n\n", new[] { "", "" })]
    [InlineData("\r\n\r\na", new[] { "", "", "a" })]
    [InlineData("a\n\n\nb\n", new[] { "a", "", "", "b" })]
    [InlineData("a\rb\n", new[] { "a\rb" })]
    [InlineData("\uFEFFa\nb\n", new[] { "a", "b" })]
    [InlineData("\uFEFF", new[] { "" })]
    [InlineData("\uFEFF\r\na", new[] { "", "a" })]
    [InlineData("a\n\uFEFFb\n", new[] { "a", "\uFEFFb" })]
    [InlineData("ä\nö", new[] { "ä", "ö" })]
    public async Task Lines_are_what_stands_between_the_line_ends(string file, string[] expected)
    {
        var lines = await Read(file);
        Assert.Equal(expected, lines.Select(line => line.Text));
        Assert.Equal(Enumerable.Range(1, expected.Length).Select(number => (long)number), lines.Select(line => line.Number));
        Assert.All(lines, line => Assert.False(line.IsTooLong));
    }

    [Fact]
    public async Task A_line_over_the_limit_is_reported_and_those_around_it_are_read()
    {
        var lines = await Read($"good\n{new string('x', 11)}\n{new string('y', 10)}\n{new string('z', 500)}", maxBytes: 10);
        Assert.Equal(
            [(1L, "good", false), (2, "", true), (3, "yyyyyyyyyy", false), (4, "", true)], lines);
    }

    [Fact]
    public async Task A_line_over_the_limit_that_spans_many_reads_costs_no_more_than_the_limit()
    {
        var file = Encoding.UTF8.GetBytes($"a\n{new string('x', 300_000)}\nb\n");
        Assert.Equal([(1L, "a", false), (2, "", true), (3, "b", false)], await Read(file, maxBytes: 100));
    }

    [Fact]
    public async Task A_read_may_end_anywhere()
    {
        const string File = "\uFEFFfirst\r\n\r\nöäü\nmuch too long a line\r\nlast";
        var bytes = Encoding.UTF8.GetBytes(File);
        var expected = await Read(bytes, maxBytes: 12);
        Assert.Equal([(1L, "first", false), (2, "", false), (3, "öäü", false), (4, "", true), (5, "last", false)], expected);
        for (var first = 1; first < bytes.Length; first++)
        {
            Assert.Equal(expected, await Read(bytes, maxBytes: 12, first));
            for (var second = 1; second < bytes.Length - first; second++)
            {
                Assert.Equal(expected, await Read(bytes, maxBytes: 12, first, second));
            }
        }

        Assert.Equal(expected, await Read(bytes, maxBytes: 12, [.. Enumerable.Repeat(1, bytes.Length)]));
    }

    [Fact]
    public async Task Any_file_is_split_alike_whatever_the_pieces() =>
        await Gen.Select(Gen.Char["ab\r\n\n"].Array[0, 60], Gen.Int[1, 7].Array[0, 30]).SampleAsync(async (file, pieces) =>
        {
            var text = new string(file);
            var expected = text.Split('\n').ToList();
            if (expected[^1].Length == 0)
            {
                expected.RemoveAt(expected.Count - 1);
            }

            Assert.Equal(expected.Select(line => line.EndsWith('\r') ? line[..^1] : line), (await Read(text, 1_000, pieces)).Select(line => line.Text));
        });

    /// <summary>Hands out its bytes in pieces of given sizes, then the rest at once.</summary>
    private sealed class PieceStream(byte[] bytes, int[] pieces) : MemoryStream(bytes)
    {
        private int _next;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var size = _next < pieces.Length ? pieces[_next++] : buffer.Length;
            return base.ReadAsync(buffer[..Math.Min(size, buffer.Length)], cancellationToken);
        }
    }
}
