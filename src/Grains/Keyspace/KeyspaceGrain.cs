using Orleans.Concurrency;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains;

/// <summary>Answers what spans the shards of one keyspace. Holds no state.</summary>
[StatelessWorker, Reentrant, GrainType("qs.keyspace")]
public sealed class KeyspaceGrain(NodeContext node, ReadGate reads, Watches watches) : Grain, IKeyspaceGrain
{
    /// <inheritdoc/>
    public async ValueTask<ScanAnswer> Scan(ScanRequest request, CancellationToken cancellation)
    {
        var key = this.GetPrimaryKeyLong();
        if (key is < 0 or > uint.MaxValue)
        {
            return Refuse(ReadStatus.Invalid, node.Answer(node.Store.Progress), "The grain key is no keyspace.");
        }

        if (ProblemOf(request) is { } problem)
        {
            return Refuse(ReadStatus.Invalid, node.Answer(node.Store.Progress), problem);
        }

        var keyspace = new KeyspaceId((uint)key);
        return await reads.AnswerAsync(
            request.Requirement,
            view => request.Cursor.Length == 0
                ? StateReader.Scan(node, view, keyspace, request, default)
                : ScanCursor.TryDecode(view.Progress.Cluster, keyspace, request, out var after)
                    ? StateReader.Scan(node, view, keyspace, request, after)
                    : Refuse(ReadStatus.Invalid, node.Answer(view.Progress), "The cursor is not one of this scan: it was changed, or belongs to another keyspace, range, direction or cluster."),
            (hub, stop) => hub.GetGrain<IKeyspaceGrain>(key).Scan(request, stop),
            Refuse, cancellation);
    }

    /// <inheritdoc/>
    public ValueTask<WatchAnswer> Watch(WatchRequest request, CancellationToken cancellation)
    {
        var key = this.GetPrimaryKeyLong();
        return key is < 0 or > uint.MaxValue
            ? new(new WatchAnswer(ReadStatus.Invalid, node.Answer(node.Store.Progress), default, default, default, "The grain key is no keyspace."))
            : watches.NextAsync(new((uint)key), request, (hub, stop) => hub.GetGrain<IKeyspaceGrain>(key).Watch(request with { MaxWait = TimeSpan.Zero }, stop), cancellation);
    }

    internal static string? ProblemOf(ScanRequest request)
    {
        if (request.Limit is < 1 or > Limits.MaxScanRows)
        {
            return $"The page limit is {request.Limit}; it must be 1 to {Limits.MaxScanRows}.";
        }

        if ((request.Flags & ~(ScanFlags.KeysOnly | ScanFlags.WithMetadata | ScanFlags.Reverse)) != 0)
        {
            // Whoever asks for something that this node does not know would take the answer for it.
            return $"The scan has flags {(byte)request.Flags}, of which this node does not know all.";
        }

        return request.Prefix.Length > Limits.MaxKeyBytes || request.Start.Length > Limits.MaxKeyBytes || request.End.Length > Limits.MaxKeyBytes
            ? $"Prefix, start and end have at most {Limits.MaxKeyBytes} bytes."
            : null;
    }

    private static ScanAnswer Refuse(ReadStatus status, AnswerContext context, string? problem) => new(status, context, default, default, problem);
}
