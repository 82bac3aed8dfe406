using System.Runtime.CompilerServices;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <content>Scans: of rows, and of what they are without their values.</content>
internal sealed partial class KeyspaceClient
{
    /// <inheritdoc/>
    public IAsyncEnumerable<Row> ScanAsync(ScanOptions? options, CancellationToken cancellation) =>
        ScanAllAsync<Row>(options ?? new(), ScanPageAsync, cancellation);

    /// <inheritdoc/>
    public IAsyncEnumerable<RowHead> ScanKeysAsync(ScanOptions? options, CancellationToken cancellation) =>
        ScanAllAsync<RowHead>(options ?? new(), ScanKeysPageAsync, cancellation);

    private static async IAsyncEnumerable<TRow> ScanAllAsync<TRow>(
        ScanOptions options, Func<ScanOptions, ReadOnlyMemory<byte>, CancellationToken, ValueTask<ScanPage<TRow>>> next,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        ReadOnlyMemory<byte> cursor = default;
        do
        {
            var page = await next(options, cursor, cancellation).ConfigureAwait(false);
            foreach (var row in page.Rows)
            {
                yield return row;
            }

            cursor = page.Cursor;
            if (options.Read.Consistency == ReadConsistency.Eventual)
            {
                // Later pages must not be older than the first.
                options = options with { Read = options.Read with { Consistency = ReadConsistency.Session, Position = page.Position } };
            }
        }
        while (!cursor.IsEmpty);
    }

    /// <inheritdoc/>
    public ValueTask<ScanPage<Row>> ScanPageAsync(ScanOptions options, ReadOnlyMemory<byte> cursor, CancellationToken cancellation) =>
        ReadPageAsync<Row>(options, ScanFlags.None, cursor, static (key, row) => new Row(key, ToEntry(row)), cancellation);

    /// <inheritdoc/>
    public ValueTask<ScanPage<RowHead>> ScanKeysPageAsync(ScanOptions options, ReadOnlyMemory<byte> cursor, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(options);
        return options.WithMetadata
            ? ReadPageAsync<RowHead>(
                options, ScanFlags.KeysOnly | ScanFlags.WithMetadata, cursor,
                static (key, row) => new RowHead(key, row.Revision) { ExpiresAt = ToTime(row.ExpiresAt), Metadata = row.Metadata.ToArray() }, cancellation)
            : ReadPageAsync<RowHead>(
                options, ScanFlags.KeysOnly, cursor,
                static (key, row) => new RowHead(key, row.Revision) { ExpiresAt = ToTime(row.ExpiresAt) }, cancellation);
    }

    private delegate TRow RowReader<out TRow>(Key key, RowContent row);

    private async ValueTask<ScanPage<TRow>> ReadPageAsync<TRow>(
        ScanOptions options, ScanFlags flags, ReadOnlyMemory<byte> cursor, RowReader<TRow> read, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.PageSize is < 1 or > Limits.MaxScanRows)
        {
            throw new ArgumentException($"PageSize is {options.PageSize}; it must be 1 to {Limits.MaxScanRows}.", nameof(options));
        }

        if (options.Prefix.Length > Limits.MaxKeyBytes || options.Start.Length > Limits.MaxKeyBytes || options.End.Length > Limits.MaxKeyBytes)
        {
            throw new ArgumentException($"Prefix, start and end have at most {Limits.MaxKeyBytes} bytes.", nameof(options));
        }

        ArgumentNullException.ThrowIfNull(options.Read, nameof(options));
        options.Read.ThrowIfUnusable(nameof(options));
        if (cursor.Length > MaxCursorBytes)
        {
            // As a node says it of any other that is none. One that is too large for a message would cost the connection instead.
            throw new QuicksilverException(QuicksilverErrorCode.InvalidRequest, $"The cursor has {cursor.Length} bytes; no cursor of a scan has more than {MaxCursorBytes}.");
        }

        using var span = StartSpan(Traces.Scan);
        try
        {
            return await AskForPageAsync(options, flags, cursor, read, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (span.Fails(e))
        {
            throw;
        }
    }

    private async ValueTask<ScanPage<TRow>> AskForPageAsync<TRow>(
        ScanOptions options, ScanFlags flags, ReadOnlyMemory<byte> cursor, RowReader<TRow> read, CancellationToken cancellation)
    {
        flags |= options.Reverse ? ScanFlags.Reverse : ScanFlags.None;
        var answer = await ReadAsync(
            (keyspace, node) => node.ScanAsync(
                keyspace.Id, new(Require(options.Read, null), new(options.Prefix), new(options.Start), new(options.End), options.PageSize, new(cursor)) { Flags = flags }),
            answer => (answer.Status, answer.Context, answer.Problem), options.Read, client.Caller.Begin(options.Read.Deadline), cancellation).ConfigureAwait(false);
        return new(Unpack(answer.Rows, read), answer.Cursor.Memory, answer.Context.Position);
    }

    private static List<TRow> Unpack<TRow>(Payload block, RowReader<TRow> read)
    {
        var rows = new List<TRow>();
        var reader = new ByteReader(block.Span);
        for (var left = reader.ReadCount(Limits.MaxScanRows, "the number of rows"); left > 0; left--)
        {
            var key = ReadBlocks.ReadScanned(ref reader, out var row);
            rows.Add(read(Key.From(key), row));
        }

        return rows;
    }
}
