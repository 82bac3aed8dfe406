using System.Text;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Grains;

/// <summary>
/// Answers what applications ask of this node. The grains come here with what came over the wire, and an application that has the node in its own
/// process without them. Holds no state.
/// </summary>
public sealed class NodeCalls(NodeContext node, ReadGate reads, Watches watches, CommitGate commits) : INodeCalls
{
    /// <inheritdoc/>
    public ValueTask<AnswerContext> PingAsync() => new(node.Answer(node.Store.Progress));

    /// <inheritdoc/>
    public async ValueTask<ResolveAnswer> ResolveAsync(KeyspaceName name, ReadRequirement requirement, CancellationToken cancellation) =>
        !KeyspaceName.TryParse(name.Value, out _)
            ? new(ReadStatus.Invalid, node.Answer(node.Store.Progress), null, "The name is no name of a keyspace.")
            : await reads.AnswerAsync(
                requirement,
                view => view.FindKeyspace(name) is { } keyspace
                    ? new ResolveAnswer(ReadStatus.Ok, node.Answer(view.Progress), keyspace, null)
                    : new(ReadStatus.KeyspaceNotFound, node.Answer(view.Progress), null, null),
                (hub, stop) => hub.GetGrain<ICatalogGrain>(0).Resolve(name, requirement, stop),
                static (status, context, problem) => new(status, context, null, problem),
                cancellation);

    /// <inheritdoc/>
    public async ValueTask<ListKeyspacesAnswer> ListKeyspacesAsync(ListKeyspacesRequest request, CancellationToken cancellation) =>
        request.After is { } after && !KeyspaceName.TryParse(after.Value, out _)
            ? new(ReadStatus.Invalid, node.Answer(node.Store.Progress), [], false, "The name to list after is no name of a keyspace.")
            : request.Limit is < 1 or > Limits.MaxScanRows
            ? new(ReadStatus.Invalid, node.Answer(node.Store.Progress), [], false, $"The page limit is {request.Limit}; it must be 1 to {Limits.MaxScanRows}.")
            : await reads.AnswerAsync(
                request.Requirement,
                view => ListKeyspaces(view, request),
                (hub, stop) => hub.GetGrain<ICatalogGrain>(0).List(request, stop),
                static (status, context, problem) => new(status, context, [], false, problem),
                cancellation);

    private ListKeyspacesAnswer ListKeyspaces(View view, ListKeyspacesRequest request)
    {
        var after = Encoding.ASCII.GetBytes(request.After?.Value ?? "");
        var keyspaces = new List<KeyspaceInfo>();
        using var rows = view.OpenRows(KeyspaceId.Catalog);
        for (var more = rows.Seek(after); more; more = rows.Next())
        {
            if (after.Length > 0 && rows.Key.SequenceEqual(after))
            {
                continue;
            }

            if (keyspaces.Count == request.Limit)
            {
                return new(ReadStatus.Ok, node.Answer(view.Progress), [.. keyspaces], true, null);
            }

            var (id, settings, createdAt) = CatalogRow.Read(rows.Row.Value);
            keyspaces.Add(new(id, KeyspaceName.Parse(Encoding.ASCII.GetString(rows.Key)), settings, createdAt));
        }

        return new(ReadStatus.Ok, node.Answer(view.Progress), [.. keyspaces], false, null);
    }

    /// <inheritdoc/>
    public async ValueTask<GetManyAnswer> GetManyAsync(ShardId shard, GetManyRequest request, CancellationToken cancellation)
    {
        try
        {
            return await reads.AnswerAsync(
                request.Requirement,
                view => StateReader.GetMany(node, view, shard.Keyspace, request.Keys),
                (hub, stop) => hub.GetGrain<IShardGrain>(shard.ToGrainKey()).GetMany(request, stop),
                Refuse, cancellation);
        }
        catch (MalformedDataException e)
        {
            return Refuse(ReadStatus.Invalid, node.Answer(node.Store.Progress), e.Message);
        }

        static GetManyAnswer Refuse(ReadStatus status, AnswerContext context, string? problem) => new(status, context, default, problem);
    }

    /// <inheritdoc/>
    public async ValueTask<ScanAnswer> ScanAsync(KeyspaceId keyspace, ScanRequest request, CancellationToken cancellation)
    {
        if (ProblemOf(request) is { } problem)
        {
            return Refuse(ReadStatus.Invalid, node.Answer(node.Store.Progress), problem);
        }

        return await reads.AnswerAsync(
            request.Requirement,
            view => request.Cursor.Length == 0
                ? StateReader.Scan(node, view, keyspace, request, default)
                : ScanCursor.TryDecode(view.Progress.Cluster, keyspace, request, out var after)
                    ? StateReader.Scan(node, view, keyspace, request, after)
                    : Refuse(ReadStatus.Invalid, node.Answer(view.Progress), "The cursor is not one of this scan: it was changed, or belongs to another keyspace, range, direction or cluster."),
            (hub, stop) => hub.GetGrain<IKeyspaceGrain>(keyspace.Value).Scan(request, stop),
            Refuse, cancellation);

        static ScanAnswer Refuse(ReadStatus status, AnswerContext context, string? problem) => new(status, context, default, default, problem);
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

    /// <inheritdoc/>
    public ValueTask<WatchAnswer> WatchAsync(KeyspaceId keyspace, WatchRequest request, CancellationToken cancellation) => watches.NextAsync(
        keyspace, request, (hub, stop) => hub.GetGrain<IKeyspaceGrain>(keyspace.Value).Watch(request with { MaxWait = TimeSpan.Zero }, stop), cancellation);

    /// <inheritdoc/>
    public ValueTask<CommitManyAnswer> CommitAsync(ShardId shard, CommitManyRequest request, CancellationToken cancellation) => commits.CommitAsync(
        request,
        command => CommandView.Parse(command.Span) is { Kind: CommandKind.Transaction } view && view.Keyspace == shard.Keyspace
            ? null
            : $"The command is no transaction of keyspace {shard.Keyspace}.",
        cancellation);

    /// <inheritdoc/>
    public ValueTask<CommitManyAnswer> CommitKeyspacesAsync(CommitManyRequest request, CancellationToken cancellation) => commits.CommitAsync(
        request,
        command => CommandView.Parse(command.Span).Kind == CommandKind.Transaction ? "The command is a transaction; the catalog takes keyspace commands." : null,
        cancellation);
}
