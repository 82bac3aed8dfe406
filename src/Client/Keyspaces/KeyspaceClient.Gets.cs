using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <content>Reads of one key, alone or merged.</content>
internal sealed partial class KeyspaceClient
{
    // By consistency, and whether an old state will do.
    private readonly GetMerger?[] _mergers = new GetMerger?[8];

    /// <inheritdoc/>
    public ValueTask<Entry?> GetAsync(Key key, ReadOptions? options, CancellationToken cancellation)
    {
        ThrowIfEmpty(key);
        options ??= ReadOptions.Session;
        options.ThrowIfUnusable(nameof(options));
        cancellation.ThrowIfCancellationRequested();
        var deadline = client.Caller.Begin(options.Deadline);
        return Traces.Source.HasListeners() ? GetTracedAsync(key, options, deadline, cancellation) : GetAsync(key, options, deadline, cancellation);
    }

    private ValueTask<Entry?> GetAsync(Key key, ReadOptions options, Deadline deadline, CancellationToken cancellation) =>
        client.MergesReads && options.Position is null && client.Caller.IsUsual(options.Deadline) && MergerOf(options) is { } merger
            ? merger.GetAsync(key, deadline, cancellation)
            : GetAloneAsync(key, options, deadline, cancellation);

    private async ValueTask<Entry?> GetTracedAsync(Key key, ReadOptions options, Deadline deadline, CancellationToken cancellation)
    {
        using var span = StartSpan(Traces.Get);
        span?.SetTag(Traces.KeysTag, 1);
        try
        {
            return await GetAsync(key, options, deadline, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (span.Fails(e))
        {
            throw;
        }
    }

    /// <summary>Gets that ask for the same share one; null for a consistency that there is none of.</summary>
    private GetMerger? MergerOf(ReadOptions options)
    {
        var index = (2 * (int)options.Consistency) + (options.AllowStaleWhenCutOff ? 1 : 0);
        if (index >= _mergers.Length)
        {
            return null;
        }

        return Volatile.Read(ref _mergers[index]) is { } merger
            ? merger
            : Interlocked.CompareExchange(ref _mergers[index], Make(options), null) ?? _mergers[index]!;
    }

    private GetMerger Make(ReadOptions options) => new(
        (key, deadline, cancellation) => GetAloneAsync(key, options, deadline, cancellation),
        async (keys, entries, deadline) =>
        {
            // What a session must see is asked when the call is made, so it covers whoever joined.
            var rows = await ReadRowsAsync(keys, options, deadline, CancellationToken.None).ConfigureAwait(false);
            return Unpack(rows, AllOf(keys), entries);
        });

    private async ValueTask<Entry?> GetAloneAsync(Key key, ReadOptions options, Deadline deadline, CancellationToken cancellation)
    {
        var rows = await ReadRowsAsync([key], options, deadline, cancellation).ConfigureAwait(false);
        var reader = new ByteReader(rows.Span);
        if (reader.ReadCount(Limits.MaxKeysPerRead, "the number of rows") != 1)
        {
            throw reader.Malformed("the answer has another number of rows than the request has keys");
        }

        return ReadBlocks.ReadRow(ref reader, out var row) switch
        {
            RowState.Found => ToEntry(row),
            RowState.Absent => null,
            _ => throw reader.Malformed("the only row of an answer is to be asked for again"),
        };
    }

    private async ValueTask<Payload> ReadRowsAsync(IReadOnlyList<Key> keys, ReadOptions options, Deadline deadline, CancellationToken cancellation) =>
        (await ReadAsync(
            (keyspace, node) => node.GetManyAsync(Shard(keyspace, keys[0]), new(Require(options, null), ReadBlocks.PackKeys(keys))),
            static answer => (answer.Status, answer.Context, answer.Problem), options, deadline, cancellation).ConfigureAwait(false)).Rows;
}
