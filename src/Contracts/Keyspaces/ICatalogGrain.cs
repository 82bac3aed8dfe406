using Orleans.Concurrency;
using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <param name="Keyspace">Null where the status is not Ok.</param>
[GenerateSerializer, Immutable, Alias("qs.ResolveAnswer")]
public sealed record ResolveAnswer(
    [property: Id(0)] ReadStatus Status,
    [property: Id(1)] AnswerContext Context,
    [property: Id(2)] KeyspaceInfo? Keyspace,
    [property: Id(3)] string? Problem);

/// <param name="After">Only names after this one; null for the first page.</param>
/// <param name="Limit">Most names of the page, 1 to <see cref="Limits.MaxScanRows"/>.</param>
[GenerateSerializer, Immutable, Alias("qs.ListKeyspacesRequest")]
public sealed record ListKeyspacesRequest(
    [property: Id(0)] ReadRequirement Requirement,
    [property: Id(1)] KeyspaceName? After,
    [property: Id(2)] int Limit);

/// <param name="HasMore">True where names after the last one are left.</param>
[GenerateSerializer, Immutable, Alias("qs.ListKeyspacesAnswer")]
public sealed record ListKeyspacesAnswer(
    [property: Id(0)] ReadStatus Status,
    [property: Id(1)] AnswerContext Context,
    [property: Id(2)] KeyspaceInfo[] Keyspaces,
    [property: Id(3)] bool HasMore,
    [property: Id(4)] string? Problem);

/// <summary>Names and settings of keyspaces (key: 0). Runs on every silo and holds no state.</summary>
[Alias("qs.ICatalog")]
public interface ICatalogGrain : IGrainWithIntegerKey, IExternalContract
{
    /// <summary>The keyspace behind a name.</summary>
    [Alias("Resolve"), AlwaysInterleave]
    ValueTask<ResolveAnswer> Resolve(KeyspaceName name, ReadRequirement requirement, CancellationToken cancellation = default);

    /// <summary>Keyspaces in name order, a page at a time.</summary>
    [Alias("List"), AlwaysInterleave]
    ValueTask<ListKeyspacesAnswer> List(ListKeyspacesRequest request, CancellationToken cancellation = default);

    /// <summary>Commits commands that create, update or delete keyspaces. Exceptions as in <see cref="IShardGrain.CommitMany"/>.</summary>
    [Alias("CommitMany"), AlwaysInterleave, ResponseTimeout("00:00:10")]
    ValueTask<CommitManyAnswer> CommitMany(CommitManyRequest request, CancellationToken cancellation = default);
}
