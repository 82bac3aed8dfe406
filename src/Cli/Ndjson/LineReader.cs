using System.Runtime.CompilerServices;

namespace Quicksilver.Cli.Ndjson;

/// <summary>One line of a file.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Bytes">Without its end; empty where the line is too long.</param>
/// <param name="IsTooLong">True where the line is over the limit; it was skipped, not kept.</param>
internal readonly record struct Line(long Number, ReadOnlyMemory<byte> Bytes, bool IsTooLong);

/// <summary>
/// Reads lines as bytes: LF or CRLF, with or without a last line end, without a byte order mark. A line over the limit costs no
/// more memory than the limit.
/// </summary>
internal static class LineReader
{
    public static async IAsyncEnumerable<Line> ReadAsync(Stream stream, int maxBytes, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var chunk = new byte[64 * 1024];
        var line = new MemoryStream();
        var tooLong = false;
        long number = 1;
        var first = true;
        for (int read; (read = await stream.ReadAsync(chunk, cancellation)) > 0;)
        {
            for (var start = 0; start < read;)
            {
                var end = Array.IndexOf(chunk, (byte)'\n', start, read - start);
                var length = (end < 0 ? read : end) - start;
                if (tooLong || line.Length + length > maxBytes)
                {
                    tooLong = true;
                    line.SetLength(0);
                }
                else
                {
                    line.Write(chunk, start, length);
                }

                start += length;
                if (end < 0)
                {
                    continue;
                }

                start++;
                yield return Take(line, number++, tooLong, ref first);
                tooLong = false;
                line.SetLength(0);
            }
        }

        if (line.Length > 0 || tooLong)
        {
            yield return Take(line, number, tooLong, ref first);
        }
    }

    private static Line Take(MemoryStream line, long number, bool tooLong, ref bool first)
    {
        ReadOnlyMemory<byte> bytes = line.ToArray();
        if (first && bytes.Span.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]))
        {
            bytes = bytes[3..];
        }

        first = false;
        if (!bytes.IsEmpty && bytes.Span[^1] == '\r')
        {
            bytes = bytes[..^1];
        }

        return new(number, bytes, tooLong);
    }
}
