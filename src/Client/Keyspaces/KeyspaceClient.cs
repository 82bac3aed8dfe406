using System.Diagnostics;
using System.Text;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>One keyspace over the link: resolves its name once, then calls its shards.</summary>
internal sealed partial class KeyspaceClient(KeyspaceName name, QuicksilverClient client) : IKeyspace
{
    /// <summary>How often a read that needs several answers starts over before it gives up on one revision.</summary>
    private const int MaxRestarts = 10;

    /// <summary>No cursor of a scan is longer: a key, and a little beside it.</summary>
    private const int MaxCursorBytes = Limits.MaxKeyBytes + 64;

    private KeyspaceInfo? _known;

    public KeyspaceName Name => name;

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<Entry?>> GetManyAsync(IReadOnlyList<Key> keys, ReadOptions? options, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(keys);
        if (keys.Count is 0 or > Limits.MaxKeysPerRead)
        {
            throw new ArgumentException($"The read asks for {keys.Count} keys; it may ask for 1 to {Limits.MaxKeysPerRead}.", nameof(keys));
        }

        foreach (var key in keys)
        {
            ThrowIfEmpty(key);
        }

        options ??= ReadOptions.Session;
        options.ThrowIfUnusable(nameof(options));
        var deadline = client.Caller.Begin(options.Deadline);
        using var span = StartSpan(Traces.Get);
        span?.SetTag(Traces.KeysTag, keys.Count);
        try
        {
            // In here and not in a method of its own, which would cost every get another state machine.
            var entries = new Entry?[keys.Count];
            var wanted = AllOf(keys);

            // Rows that did not fit the answer are asked for again. Where the node has moved on meanwhile, everything is read again,
            // so that the result is never of two revisions.
            LogPosition? position = null;
            for (var restarts = 0; wanted.Count > 0;)
            {
                var asked = TakeWithinBudget(keys, wanted);
                var answer = await ReadAsync(
                    (keyspace, node) => node.GetManyAsync(
                        Shard(keyspace, keys[asked[0]]), new(Require(options, position), ReadBlocks.PackKeys(keys, asked))),
                    answer => (answer.Status, answer.Context, answer.Problem), options, deadline, cancellation).ConfigureAwait(false);
                if (position is { } first && answer.Context.Position != first)
                {
                    if (++restarts > MaxRestarts)
                    {
                        throw new QuicksilverException(QuicksilverErrorCode.Overloaded, $"The {keys.Count} values do not fit one answer and the state changed between answers {MaxRestarts} times. Ask for fewer keys at a time.");
                    }

                    position = null;
                    wanted = AllOf(keys);
                    continue;
                }

                position = answer.Context.Position;
                var again = Unpack(answer.Rows, asked, entries);
                wanted = again.Count == 0 ? wanted[asked.Count..] : (int[])[.. again, .. wanted[asked.Count..]];
            }

            return entries;
        }
        catch (Exception e) when (span.Fails(e))
        {
            throw;
        }
    }

    /// <summary>What an operation of an application does, in the trace that it is part of.</summary>
    private Activity? StartSpan(string what) => Traces.Source.StartActivity(what, ActivityKind.Client)?.SetTag(Traces.KeyspaceTag, name.Value);

    /// <summary>The numbers of all keys.</summary>
    private static ArraySegment<int> AllOf(IReadOnlyList<Key> keys)
    {
        var all = new int[keys.Count];
        for (var i = 0; i < all.Length; i++)
        {
            all[i] = i;
        }

        return all;
    }

    /// <summary>As many keys as one request may carry: a larger one would not be refused, it would cut the connection.</summary>
    private static ArraySegment<int> TakeWithinBudget(IReadOnlyList<Key> keys, ArraySegment<int> wanted)
    {
        var (count, bytes) = (0, 0);
        while (count < wanted.Count && (bytes += keys[wanted[count]].Span.Length) <= Limits.MaxBatchBytes)
        {
            count++;
        }

        return wanted[..count];
    }

    /// <summary>Puts the rows of an answer in their places, and returns the numbers of those that are to be asked for again.</summary>
    private static List<int> Unpack(Payload rows, ArraySegment<int> wanted, Entry?[] entries)
    {
        var reader = new ByteReader(rows.Span);
        if (reader.ReadCount(Limits.MaxKeysPerRead, "the number of rows") != wanted.Count)
        {
            throw reader.Malformed("the answer has another number of rows than the request has keys");
        }

        var again = new List<int>();
        foreach (var index in wanted)
        {
            switch (ReadBlocks.ReadRow(ref reader, out var row))
            {
                case RowState.Absent:
                    entries[index] = null;
                    break;
                case RowState.Found:
                    entries[index] = ToEntry(row);
                    break;
                case RowState.AskAgain:
                    again.Add(index);
                    break;
            }
        }

        return again;
    }

    internal static Entry ToEntry(in RowContent row) => new(row.Value.ToArray(), row.Metadata.ToArray(), row.Revision) { ExpiresAt = ToTime(row.ExpiresAt) };

    private static DateTimeOffset? ToTime(LogTime expiresAt) =>
        expiresAt == LogTime.None ? null : DateTimeOffset.FromUnixTimeMilliseconds(expiresAt.Value);

    /// <inheritdoc/>
    public ValueTask<CommitResult> PutAsync(Key key, string value, WriteOptions? options, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(value);
        return PutAsync(key, Encoding.UTF8.GetBytes(value), options, cancellation);
    }

    /// <inheritdoc/>
    public ValueTask<CommitResult> PutAsync(Key key, ReadOnlyMemory<byte> value, WriteOptions? options, CancellationToken cancellation)
    {
        ThrowIfEmpty(key);
        options?.ThrowIfUnusable(WriteKind.Put, nameof(options));
        return SendAsync(Traces.Put, Conditions(key, options), [Mutation.Put(key, value, options?.Metadata ?? default, options?.TimeToLive)], options, cancellation);
    }

    /// <inheritdoc/>
    public ValueTask<CommitResult> DeleteAsync(Key key, WriteOptions? options, CancellationToken cancellation)
    {
        ThrowIfEmpty(key);
        options?.ThrowIfUnusable(WriteKind.Delete, nameof(options));
        return SendAsync(Traces.Delete, Conditions(key, options), [Mutation.Delete(key)], options, cancellation);
    }

    /// <inheritdoc/>
    public ValueTask<CommitResult> DeletePrefixAsync(Key prefix, WriteOptions? options, CancellationToken cancellation)
    {
        ThrowIfEmpty(prefix);
        return options is { IfAbsent: true } or { IfRevision: not null }
            ? throw new ArgumentException("A prefix has no revision to compare. Commit Mutation.DeletePrefix with Condition.PrefixUnchangedSince, or with conditions on keys.", nameof(options))
            : CommitAsync([], [Mutation.DeletePrefix(prefix)], options, cancellation);
    }

    private static Condition[] Conditions(Key key, WriteOptions? options) => options switch
    {
        { IfAbsent: true } => [Condition.Absent(key)],
        { IfRevision: { } revision } => [Condition.RevisionIs(key, revision)],
        _ => [],
    };

    /// <inheritdoc/>
    public ValueTask<CommitResult> CommitAsync(
        IReadOnlyCollection<Condition> conditions, IReadOnlyCollection<Mutation> mutations, WriteOptions? options, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(conditions);
        ArgumentNullException.ThrowIfNull(mutations);
        options?.ThrowIfUnusable(WriteKind.Commit, nameof(options));
        return SendAsync(Traces.Commit, conditions, mutations, options, cancellation);
    }

    private async ValueTask<CommitResult> SendAsync(
        string what, IReadOnlyCollection<Condition> conditions, IReadOnlyCollection<Mutation> mutations, WriteOptions? options, CancellationToken cancellation)
    {
        var switches = options?.SkipUnchanged == true ? CommandOptions.SkipUnchanged : CommandOptions.None;

        // Judged before anything is sent: wrong arguments are the caller's to hear of, whatever the cluster does.
        CommandWriter.WriteTransaction(new(), new(1), default, conditions, mutations, switches);
        var key = mutations.First().Key;
        var deadline = client.Caller.Begin(options?.Deadline);
        using var span = StartSpan(what);
        try
        {
            var result = await client.CommitAsync(
                async id =>
                {
                    var keyspace = await ResolveForWriteAsync(deadline, cancellation).ConfigureAwait(false);
                    var command = new ByteWriter();
                    CommandWriter.WriteTransaction(command, keyspace.Id, id, conditions, mutations, switches);
                    return (command.WrittenMemory, keyspace.Id.Value, node => (request, stop) => node.CommitAsync(Shard(keyspace, key), request, stop));
                },
                options?.OperationId, Forget, name.Value, deadline, cancellation).ConfigureAwait(false);
            result.Tell(span);
            return result;
        }
        catch (Exception e) when (span.Fails(e))
        {
            throw;
        }
    }

    /// <summary>A read of this keyspace, once more with a fresh id where the one we knew is gone.</summary>
    private async ValueTask<TAnswer> ReadAsync<TAnswer>(
        Func<KeyspaceInfo, INodeCalls, ValueTask<TAnswer>> call,
        Func<TAnswer, (ReadStatus Status, AnswerContext Context, string? Problem)> describe, ReadOptions options, Deadline deadline, CancellationToken cancellation)
    {
        for (var again = true; ; again = false)
        {
            var keyspace = await ResolveAsync(options, deadline, cancellation).ConfigureAwait(false);
            var answer = await client.Caller.ReadAsync(
                node => call(keyspace, node),
                answer => describe(answer).Status is not (ReadStatus.Unavailable or ReadStatus.Overloaded), deadline, cancellation).ConfigureAwait(false);
            var (status, context, problem) = describe(answer);
            if (status == ReadStatus.Ok)
            {
                client.SessionState.Learn(context, context.Position);
                return answer;
            }

            // One that does not hold it cannot tell whether it is there still.
            if (status is ReadStatus.KeyspaceNotFound or ReadStatus.KeyspaceNotHeld)
            {
                Forget();
                if (again)
                {
                    continue;
                }
            }

            throw ReadFailures.ToException(status, context, problem, name.Value);
        }
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<WatchEvent> WatchAsync(WatchOptions? options, CancellationToken cancellation)
    {
        options ??= new();
        if (options.Prefix.Length > Limits.MaxKeyBytes)
        {
            throw new ArgumentException($"The prefix has {options.Prefix.Length} bytes; the limit is {Limits.MaxKeyBytes}.", nameof(options));
        }

        if (options.From is { Position.Revision.Value: < 0 } or { Position.Log.Value: < 0 })
        {
            throw new ArgumentException($"The cursor has the position {options.From.Value.Position}, and no position is negative.", nameof(options));
        }

        return new KeyspaceWatch(name, this, client, options).RunAsync(cancellation);
    }

    /// <summary>As <see cref="ResolveAsync"/>, where what is known has shown to be old.</summary>
    internal ValueTask<KeyspaceInfo> ResolveAgainAsync(Deadline deadline, CancellationToken cancellation)
    {
        Forget();
        return ResolveAsync(ReadOptions.Session, deadline, cancellation);
    }

    /// <summary>The keyspace of the name, as fresh as the read that asks for it.</summary>
    internal async ValueTask<KeyspaceInfo> ResolveAsync(ReadOptions options, Deadline deadline, CancellationToken cancellation) =>
        Volatile.Read(ref _known) is { } known
            ? known
            : _known = await client.FindKeyspaceAsync(name, options, deadline, cancellation).ConfigureAwait(false)
                ?? throw ReadFailures.ToException(ReadStatus.KeyspaceNotFound, default, null, name.Value);

    /// <summary>
    /// A write goes to the hub, so the hub's word counts: a region may not have heard yet of a keyspace that was just made, or
    /// that was made again.
    /// </summary>
    private async ValueTask<KeyspaceInfo> ResolveForWriteAsync(Deadline deadline, CancellationToken cancellation)
    {
        if (Volatile.Read(ref _known) is { } known)
        {
            return known;
        }

        var found = await client.FindKeyspaceAsync(name, ReadOptions.Session, deadline, cancellation).ConfigureAwait(false)
            ?? await client.FindKeyspaceAsync(name, ReadOptions.Linearizable, deadline, cancellation).ConfigureAwait(false)
            ?? throw ReadFailures.ToException(ReadStatus.KeyspaceNotFound, default, null, name.Value);
        Volatile.Write(ref _known, found);
        return found;
    }

    private void Forget() => Volatile.Write(ref _known, null);

    private ReadRequirement Require(ReadOptions options, LogPosition? atLeast)
    {
        var requirement = client.SessionState.Require(options);
        return atLeast is { } least && options.Consistency == ReadConsistency.Eventual
            ? requirement with { Consistency = ReadConsistency.Session, AtLeast = least }
            : requirement;
    }

    private static ShardId Shard(KeyspaceInfo keyspace, Key key) =>
        ShardId.Of(keyspace.Id, SlotId.Of(keyspace.Id, key.Span), keyspace.Settings.ShardCount);

    private static void ThrowIfEmpty(Key key)
    {
        if (key.Span.IsEmpty)
        {
            throw new ArgumentException("The key is empty: a key has 1 to 1,024 bytes.", nameof(key));
        }
    }
}
