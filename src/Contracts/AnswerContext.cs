using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>
/// What every answer says beside its result: whose it is, where the answering node stands, and what time the log has, from
/// which the next operation ids are made.
/// </summary>
/// <param name="Cluster">Zero until the hub has formed, or until a replica has heard from it.</param>
/// <param name="Position">For a read, the position of the one View that answered it; for a write, at or after the write.</param>
/// <param name="LogTime">The leader's clock as this node knows it, now; never ahead of what the leader would stamp by more than <c>OperationWindow.MaxLead</c>.</param>
/// <param name="WriteGateway">Gateway of the node that can take writes without forwarding them, or null where not known.</param>
[GenerateSerializer, Immutable, Alias("qs.AnswerContext")]
public readonly record struct AnswerContext(
    [property: Id(0)] ClusterUuid Cluster,
    [property: Id(1)] LogPosition Position,
    [property: Id(2)] LogTime LogTime,
    [property: Id(3)] string? WriteGateway);
