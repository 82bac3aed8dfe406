using System.Text;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Grains;

/// <summary>How a node answers watches.</summary>
public sealed record WatchesOptions
{
    /// <summary>Longest wait for a change. Default 3 s.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Where only other keyspaces change, the log is not looked at more often than this for one watch. Default 10 ms.</summary>
    public TimeSpan Pace { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>Records that are looked at for one answer, where none of their keys is wanted. Default 50,000.</summary>
    public int MaxRecords { get; init; } = 50_000;

    /// <summary>Ends all waits, so that a node that stops is not held up by them.</summary>
    public CancellationToken Stopping { get; init; }
}

/// <summary>
/// Answers watches from this node's change log. It remembers nothing of a watch: each request says where it goes on, and the answer how far it
/// went, so a watch can go on at any node.
/// </summary>
public sealed class Watches(NodeContext node, ReadGate reads, WatchesOptions options, TimeProvider time)
{
    /// <param name="hub">Asks the hub the same.</param>
    public async ValueTask<WatchAnswer> NextAsync(
        KeyspaceId keyspace, WatchRequest request, Func<IGrainFactory, CancellationToken, ValueTask<WatchAnswer>> hub, CancellationToken cancellation)
    {
        if (request.Prefix.Length > Limits.MaxKeyBytes)
        {
            return Refuse(ReadStatus.Invalid, node.Answer(node.Store.Progress), $"The prefix has {request.Prefix.Length} bytes; the limit is {Limits.MaxKeyBytes}.");
        }

        if (request.After is not { } after)
        {
            return await reads.AnswerAsync(request.Requirement, view => Begin(view, keyspace), hub, Refuse, cancellation);
        }

        var start = time.GetTimestamp();
        var wait = request.MaxWait < options.MaxWait ? request.MaxWait : options.MaxWait;
        var eventual = request.Requirement with { Consistency = ReadConsistency.Eventual };
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, options.Stopping);
        while (true)
        {
            if (await WaitAsync(after, wait - time.GetElapsedTime(start), bound.Token) == WaitResult.Full)
            {
                return Refuse(ReadStatus.Overloaded, node.Answer(node.Store.Progress), null);
            }

            cancellation.ThrowIfCancellationRequested();
            var from = after;
            var answer = await reads.AnswerAsync(eventual, view => Read(view, keyspace, request, from), hub, Refuse, cancellation);
            if (answer.Status == ReadStatus.TooOld && node.Role != NodeRole.Hub)
            {
                // The hub may have what this node has cut, or never had: its log began with a copy.
                return await reads.ForwardAsync(hub, cancellation)
                    ?? Refuse(ReadStatus.Unavailable, answer.Context, $"{answer.Problem} The hub, which may have it, cannot be asked.");
            }

            if (answer.Status != ReadStatus.Ok || answer.Changes.Length > 0 || time.GetElapsedTime(start) >= wait)
            {
                return answer;
            }

            if (options.Stopping.IsCancellationRequested)
            {
                // Not an answer without changes: whoever gets that asks again at once.
                return Refuse(ReadStatus.Unavailable, answer.Context, "The node stops.");
            }

            after = answer.To;
            await Task.Delay(options.Pace, time, bound.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        }
    }

    private async ValueTask<WaitResult> WaitAsync(LogPosition after, TimeSpan wait, CancellationToken bound)
    {
        try
        {
            return await node.Store.Polls.WaitAsync(after.Revision.Next, wait, time, bound);
        }
        catch (OperationCanceledException)
        {
            // The node stops, or the caller has gone: there is an answer all the same, or nobody to hear it.
            return WaitResult.TimedOut;
        }
    }

    /// <summary>Where a new watch begins: behind everything that this View has.</summary>
    private WatchAnswer Begin(View view, KeyspaceId keyspace) => Missing(view, keyspace) is { } missing
        ? Refuse(missing == ReadStatus.KeyspaceDeleted ? ReadStatus.KeyspaceNotFound : missing, node.Answer(view.Progress), null)
        : Answer(view, default, view.Position);

    private WatchAnswer Read(View view, KeyspaceId keyspace, WatchRequest request, LogPosition after)
    {
        var position = view.Position;
        if (after.History != position.History || after.Log != position.Log)
        {
            return Refuse(ReadStatus.ForeignPosition, node.Answer(view.Progress), $"The watch has come along history {after.History}, this node is in {position.History}.");
        }

        if (position.Revision <= after.Revision)
        {
            // Nothing new, or a node that is behind the one that was asked before.
            return Answer(view, default, after);
        }

        if (Missing(view, keyspace) is { } missing)
        {
            return Refuse(missing, node.Answer(view.Progress), null);
        }

        if (after.Revision.Next < view.Progress.Oldest)
        {
            return Refuse(ReadStatus.TooOld, node.Answer(view.Progress), $"The changes after revision {after.Revision} are not in the log any more; it begins at {view.Progress.Oldest}.") with
            {
                Oldest = view.Progress.Oldest,
            };
        }

        var changes = new ByteWriter(1024);
        var to = position.Revision;
        var left = options.MaxRecords;
        var most = Math.Clamp(request.MaxBytes, 1, Limits.MaxBatchBytes);
        using var records = view.OpenChanges(keyspace);
        for (var more = records.Seek(after.Revision.Next); more; more = records.Next())
        {
            Pack(records.Record, request.Prefix.Span, changes);
            if (changes.Length >= most || --left == 0)
            {
                to = records.Record.Header.Revision;
                break;
            }
        }

        return Answer(view, new(changes.WrittenMemory), position with { Revision = to });
    }

    private static void Pack(in RecordView record, ReadOnlySpan<byte> prefix, ByteWriter changes)
    {
        var wanted = 0;
        var reader = new ByteReader(record.MutationBytes);
        for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
        {
            wanted += MutationFormat.Read(ref reader).ChangesBelow(prefix) ? 1 : 0;
        }

        if (wanted == 0)
        {
            return;
        }

        changes.WriteVarint(record.Header.Revision.Value);
        changes.WriteVarint(wanted);
        reader = new(record.MutationBytes);
        for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
        {
            var mutation = MutationFormat.Read(ref reader);
            if (!mutation.ChangesBelow(prefix))
            {
                continue;
            }

            if (mutation.Kind == MutationKind.DeletePrefix)
            {
                // Of the keys that the watch is about, and of no others.
                changes.WriteBytes(mutation.Key.Length >= prefix.Length ? mutation.Key : prefix);
                ReadBlocks.WriteWithout(changes, RowState.PrefixDeleted);
                continue;
            }

            changes.WriteBytes(mutation.Key);
            if (mutation.IsPut)
            {
                ReadBlocks.WriteFound(changes, new(record.Header.Revision, mutation.ExpiresAt(record.Header.LogTime), mutation.Metadata, mutation.Value));
            }
            else
            {
                ReadBlocks.WriteWithout(changes, RowState.Absent);
            }
        }
    }

    /// <summary>Why there is no such keyspace here; null where there is.</summary>
    private static ReadStatus? Missing(View view, KeyspaceId keyspace)
    {
        if (keyspace == KeyspaceId.Catalog || view.FindKeyspace(keyspace) is not null)
        {
            return null;
        }

        return !view.Progress.Subscription.IsAll && IsInCatalog(view, keyspace) ? ReadStatus.KeyspaceNotHeld : ReadStatus.KeyspaceDeleted;
    }

    private static bool IsInCatalog(View view, KeyspaceId keyspace)
    {
        using var rows = view.OpenRows(KeyspaceId.Catalog);
        for (var more = rows.Seek([]); more; more = rows.Next())
        {
            if (view.FindKeyspace(KeyspaceName.Parse(Encoding.ASCII.GetString(rows.Key)))?.Id == keyspace)
            {
                return true;
            }
        }

        return false;
    }

    private WatchAnswer Answer(View view, Payload changes, LogPosition to) =>
        new(ReadStatus.Ok, node.Answer(view.Progress), changes, to, view.Progress.Oldest, null);

    private static WatchAnswer Refuse(ReadStatus status, AnswerContext context, string? problem) => new(status, context, default, default, default, problem);
}
