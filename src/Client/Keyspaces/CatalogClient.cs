using System.Diagnostics;
using System.Runtime.CompilerServices;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>The catalog over the link.</summary>
internal sealed class CatalogClient(QuicksilverClient client) : ICatalog
{
    private const int PageSize = 1_000;

    /// <inheritdoc/>
    public ValueTask<CommitResult> CreateAsync(string name, KeyspaceSettings? settings, CancellationToken cancellation)
    {
        var parsed = KeyspaceName.Parse(name);
        settings ??= KeyspaceSettings.Default;
        if (settings.Problem() is { } problem)
        {
            throw new ArgumentException(problem, nameof(settings));
        }

        return ChangeAsync(name, (writer, id) => CommandWriter.WriteCreateKeyspace(writer, id, parsed, settings), cancellation);
    }

    /// <inheritdoc/>
    public ValueTask<CommitResult> DeleteAsync(string name, CancellationToken cancellation)
    {
        var parsed = KeyspaceName.Parse(name);
        return ChangeAsync(name, (writer, id) => CommandWriter.WriteDeleteKeyspace(writer, id, parsed), cancellation);
    }

    private async ValueTask<CommitResult> ChangeAsync(string name, Action<ByteWriter, OperationId> write, CancellationToken cancellation)
    {
        using var span = Traces.Source.StartActivity(Traces.ChangeKeyspace, ActivityKind.Client)?.SetTag(Traces.KeyspaceTag, name);
        try
        {
            var result = await client.CommitAsync(
                id =>
                {
                    var command = new ByteWriter();
                    write(command, id);
                    return new((command.WrittenMemory, KeyspaceId.Catalog.Value, node => node.CommitKeyspacesAsync));
                },
                null, null, name, client.Caller.Begin(), cancellation).ConfigureAwait(false);
            result.Tell(span);
            return result;
        }
        catch (Exception e) when (span.Fails(e))
        {
            throw;
        }
    }

    /// <inheritdoc/>
    public ValueTask<KeyspaceInfo?> FindAsync(string name, ReadOptions? options, CancellationToken cancellation)
    {
        options ??= ReadOptions.Session;
        options.ThrowIfUnusable(nameof(options));
        return client.FindKeyspaceAsync(KeyspaceName.Parse(name), options, client.Caller.Begin(options.Deadline), cancellation);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<KeyspaceInfo> ListAsync(ReadOptions? options, [EnumeratorCancellation] CancellationToken cancellation)
    {
        options ??= ReadOptions.Session;
        options.ThrowIfUnusable(nameof(options));
        KeyspaceName? after = null;
        while (true)
        {
            var answer = await client.Caller.ReadAsync(
                node => node.ListKeyspacesAsync(
                    new(client.SessionState.Require(options), after, PageSize)),
                answer => answer.Status is not (ReadStatus.Unavailable or ReadStatus.Overloaded), client.Caller.Begin(options.Deadline), cancellation).ConfigureAwait(false);
            if (answer.Status != ReadStatus.Ok)
            {
                throw ReadFailures.ToException(answer.Status, answer.Context, answer.Problem, "catalog");
            }

            client.SessionState.Learn(answer.Context, answer.Context.Position);
            foreach (var keyspace in answer.Keyspaces)
            {
                yield return keyspace;
                after = keyspace.Name;
            }

            if (!answer.HasMore)
            {
                yield break;
            }
        }
    }
}
