using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>Several commands, each all or nothing by itself; a single commit is a batch of one.</summary>
/// <param name="Commands">See <see cref="CommandBatch"/>. At most <see cref="Limits.MaxCommandsPerBatch"/>.</param>
[GenerateSerializer, Immutable, Alias("qs.CommitManyRequest")]
public sealed record CommitManyRequest([property: Id(0)] Payload Commands)
{
    /// <summary>From a node of the hub to its leader: which call it is. None elsewhere.</summary>
    [Id(1)] public CallId Call { get; init; }

    /// <summary>
    /// The cluster that the commands are for; none where the sender does not know one yet. A node of another cluster, to which an address may
    /// have come to lead, refuses them all as Unavailable: they name keyspaces by numbers that it has as well.
    /// </summary>
    [Id(2)] public ClusterUuid Cluster { get; init; }
}

/// <param name="Outcomes">One per command, in the order of the request.</param>
[GenerateSerializer, Immutable, Alias("qs.CommitManyAnswer")]
public sealed record CommitManyAnswer(
    [property: Id(0)] CommitOutcome[] Outcomes,
    [property: Id(1)] AnswerContext Context);
