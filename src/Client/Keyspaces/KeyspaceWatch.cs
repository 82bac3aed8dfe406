using System.Runtime.CompilerServices;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// One watch of a keyspace: asks for what comes after its cursor, again and again, whoever answers. The cursor moves only with what was told, so
/// nothing is lost or told twice over lost answers, gateways and nodes.
/// </summary>
internal sealed class KeyspaceWatch(KeyspaceName name, KeyspaceClient keyspace, QuicksilverClient client, WatchOptions options)
{
    /// <summary>Longest wait of one request at a node.</summary>
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(3);

    public async IAsyncEnumerable<WatchEvent> RunAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var isNamed = options.From is null;
        var cursor = options.From ?? await BeginAsync(cancellation).ConfigureAwait(false);
        if (isNamed)
        {
            yield return new WatchEvent.Progress(cursor);
        }

        while (true)
        {
            var answer = await AskAsync(cursor.Keyspace, cursor.Cluster, cursor.Position, cancellation).ConfigureAwait(false);
            switch (answer.Status)
            {
                case ReadStatus.TooOld:
                    yield return new WatchEvent.TooOld(cursor, answer.Oldest);
                    yield break;
                case ReadStatus.KeyspaceDeleted:
                    yield return new WatchEvent.KeyspaceDeleted(cursor);
                    yield break;
                case ReadStatus.Ok:
                    break;
                default:
                    throw ReadFailures.ToException(answer.Status, answer.Context, answer.Problem, name.Value);
            }

            if (!isNamed && (await ResolveAsync(cancellation).ConfigureAwait(false)).Id != cursor.Keyspace)
            {
                throw new QuicksilverException(QuicksilverErrorCode.InvalidRequest, $"The cursor is of another keyspace than '{name}'.");
            }

            isNamed = true;
            foreach (var changed in Unpack(answer, cursor))
            {
                yield return changed;
            }

            if (answer.To.Revision > cursor.Position.Revision)
            {
                cursor = cursor with { Position = answer.To };
                if (answer.Changes.Length == 0)
                {
                    yield return new WatchEvent.Progress(cursor);
                }
            }
        }
    }

    private async Task<WatchCursor> BeginAsync(CancellationToken cancellation)
    {
        while (true)
        {
            var found = await ResolveAsync(cancellation).ConfigureAwait(false);
            var answer = await AskAsync(found.Id, client.SessionState.Cluster, null, cancellation).ConfigureAwait(false);
            switch (answer.Status)
            {
                case ReadStatus.Ok:
                    return new(answer.Context.Cluster, found.Id, answer.To);
                case ReadStatus.KeyspaceNotFound when await keyspace.ResolveAgainAsync(client.Caller.Begin(), cancellation).ConfigureAwait(false) != found:
                    continue;
                default:
                    throw ReadFailures.ToException(answer.Status, answer.Context, answer.Problem, name.Value);
            }
        }
    }

    private Task<KeyspaceInfo> ResolveAsync(CancellationToken cancellation) =>
        TryAgainAsync(() => keyspace.ResolveAsync(ReadOptions.Session, client.Caller.Begin(), cancellation), static _ => null, cancellation);

    private async Task<WatchAnswer> AskAsync(KeyspaceId id, ClusterUuid cluster, LogPosition? after, CancellationToken cancellation)
    {
        var requirement = client.SessionState.Require(ReadOptions.Session) with { Cluster = cluster };
        var answer = await TryAgainAsync(
            () =>
            {
                var deadline = client.Caller.Begin();
                var wait = deadline.Left / 2 < MaxWait ? deadline.Left / 2 : MaxWait;
                var request = new WatchRequest(requirement, new(options.Prefix), after, Limits.MaxBatchBytes, wait);
                return client.Caller.ReadAsync(
                    node => node.WatchAsync(id, request),
                    static answer => answer.Status is not (ReadStatus.Unavailable or ReadStatus.Overloaded), deadline, cancellation);
            },
            answer => answer.Status is ReadStatus.Unavailable or ReadStatus.Overloaded or ReadStatus.NotYet
                ? ReadFailures.ToException(answer.Status, answer.Context, answer.Problem, name.Value)
                : null,
            cancellation).ConfigureAwait(false);
        if (answer.Status == ReadStatus.Ok)
        {
            client.SessionState.Learn(answer.Context, answer.To);
        }

        return answer;
    }

    /// <summary>For as long as it takes: a watch outlives what it asks.</summary>
    private async Task<T> TryAgainAsync<T>(Func<ValueTask<T>> ask, Func<T, QuicksilverException?> problemOf, CancellationToken cancellation)
    {
        for (var backoff = new Backoff(TimeSpan.FromMilliseconds(50)); ;)
        {
            QuicksilverException problem;
            try
            {
                var answer = await ask().ConfigureAwait(false);
                if (problemOf(answer) is not { } found)
                {
                    return answer;
                }

                problem = found;
            }
            catch (QuicksilverException e) when (e.IsTransient)
            {
                problem = e;
            }

            options.Trouble?.Invoke(problem);
            await Task.Delay(backoff.Next(problem.RetryAfter, TimeSpan.MaxValue)!.Value, client.Caller.Time, cancellation).ConfigureAwait(false);
        }
    }

    private static List<WatchEvent.Changed> Unpack(WatchAnswer answer, WatchCursor cursor)
    {
        var events = new List<WatchEvent.Changed>();
        var reader = new ByteReader(answer.Changes.Span);
        var last = cursor.Position.Revision;
        while (reader.Remaining > 0)
        {
            var revision = new Revision(reader.ReadVarint());
            if (revision <= last || revision > answer.To.Revision)
            {
                throw reader.Malformed($"revision {revision} comes after {last}, in an answer that goes to {answer.To.Revision}");
            }

            var changes = new Change[reader.ReadCount(Limits.MaxMutations, "the number of changes")];
            for (var i = 0; i < changes.Length; i++)
            {
                var key = Key.From(ReadBlocks.ReadKey(ref reader));
                changes[i] = ReadBlocks.ReadChange(ref reader, out var row) switch
                {
                    RowState.Found => new Change.Put(key, KeyspaceClient.ToEntry(row)),
                    RowState.PrefixDeleted => new Change.PrefixDeleted(key),
                    _ => new Change.Deleted(key),
                };
            }

            events.Add(new(cursor with { Position = answer.To with { Revision = revision } }, revision, changes));
            last = revision;
        }

        return events;
    }
}
