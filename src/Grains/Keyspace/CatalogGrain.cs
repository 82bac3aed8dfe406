using System.Text;
using Orleans.Concurrency;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Grains;

/// <summary>Names and settings of keyspaces. Holds no state.</summary>
[StatelessWorker, Reentrant, GrainType("qs.catalog")]
public sealed class CatalogGrain(NodeContext node, ReadGate reads, CommitGate commits) : Grain, ICatalogGrain
{
    /// <inheritdoc/>
    public async ValueTask<ResolveAnswer> Resolve(KeyspaceName name, ReadRequirement requirement, CancellationToken cancellation) =>
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
    public async ValueTask<ListKeyspacesAnswer> List(ListKeyspacesRequest request, CancellationToken cancellation) =>
        request.After is { } after && !KeyspaceName.TryParse(after.Value, out _)
            ? new(ReadStatus.Invalid, node.Answer(node.Store.Progress), [], false, "The name to list after is no name of a keyspace.")
            : request.Limit is < 1 or > Limits.MaxScanRows
            ? new(ReadStatus.Invalid, node.Answer(node.Store.Progress), [], false, $"The page limit is {request.Limit}; it must be 1 to {Limits.MaxScanRows}.")
            : await reads.AnswerAsync(
                request.Requirement,
                view => List(view, request),
                (hub, stop) => hub.GetGrain<ICatalogGrain>(0).List(request, stop),
                static (status, context, problem) => new(status, context, [], false, problem),
                cancellation);

    private ListKeyspacesAnswer List(View view, ListKeyspacesRequest request)
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
    public ValueTask<CommitManyAnswer> CommitMany(CommitManyRequest request, CancellationToken cancellation) => commits.CommitAsync(
        request,
        command => CommandView.Parse(command.Span).Kind == CommandKind.Transaction ? "The command is a transaction; the catalog takes keyspace commands." : null,
        cancellation);
}
