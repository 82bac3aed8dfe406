using Orleans.Concurrency;
using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>Role of a node. On the wire: explicit numbers, append-only.</summary>
public enum NodeRole : byte
{
    Unspecified = 0,

    /// <summary>Raft member with the full state.</summary>
    Hub = 1,

    /// <summary>Full copy, no vote.</summary>
    Replica = 2,
}

/// <summary>Raft role of a hub node. On the wire: explicit numbers, append-only.</summary>
public enum RaftRole : byte
{
    /// <summary>Not a hub node.</summary>
    None = 0,

    Leader = 1,
    Follower = 2,

    /// <summary>No leader is known to this node.</summary>
    Candidate = 3,
}

/// <summary>A node that pulls from another one, as its source sees it.</summary>
/// <param name="Gateway">Where the child's cluster can be reached, as the child says: <c>host:port</c>. Empty for a replica in an application's process.</param>
/// <param name="Revision">How far the child has told that it is.</param>
[GenerateSerializer, Immutable, Alias("qs.ChildStatus")]
public sealed record ChildStatus(
    [property: Id(0)] NodeId Node,
    [property: Id(1)] RegionName Region,
    [property: Id(2)] string Gateway,
    [property: Id(3)] Revision Revision);

/// <summary>How one node is.</summary>
/// <param name="Gateway">Orleans gateway of the node, <c>host:port</c>.</param>
/// <param name="Position">Position of its current View.</param>
/// <param name="Chain">Chain hash of the log at that position.</param>
/// <param name="LagRevisions">Revisions its source had that it has not; 0 for hub nodes. Null where its source has not been heard.</param>
/// <param name="Lag">How long ago, by the node's monotonic clock, its View was known to be the source's newest. Null as above.</param>
/// <param name="State">What the node is doing, one word or a short sentence: <c>leading</c>, <c>following</c>, <c>pulling</c>, <c>stopped (Diverged): ...</c>.</param>
/// <param name="Upstreams">Gateways it pulls from; empty for the hub.</param>
/// <param name="FullCopies">How often this data directory was filled by a full copy since it was made.</param>
/// <param name="Version">Of the build: <c>0.1.0</c>.</param>
/// <param name="Uptime">Since the node started.</param>
/// <param name="FreeBytes">Free on the disk of the data directory. Null where the system does not say.</param>
/// <param name="QueuedCommands">Hub: commands that wait for their Raft entry.</param>
/// <param name="WaitingReads">Reads that wait for a revision.</param>
/// <param name="Members">Hub: names of the voting members, as this node knows them; empty for replicas.</param>
/// <param name="Path">The node that it pulls from, the one that that pulls from, and so on up to the hub; empty for the hub and where there is no session.</param>
/// <param name="Oldest">First revision that is still in its change log.</param>
/// <param name="Keyspaces">Patterns of the keyspaces that it holds, see <see cref="Subscription"/>; null for all.</param>
[GenerateSerializer, Immutable, Alias("qs.NodeStatus")]
public sealed record NodeStatus(
    [property: Id(0)] NodeId Node,
    [property: Id(1)] NodeRole Role,
    [property: Id(2)] RegionName Region,
    [property: Id(3)] string Gateway,
    [property: Id(4)] ClusterUuid Cluster,
    [property: Id(5)] LogPosition Position,
    [property: Id(6)] ChainHash Chain,
    [property: Id(7)] RaftRole RaftRole,
    [property: Id(8)] Term Term,
    [property: Id(9)] long? LagRevisions,
    [property: Id(10)] TimeSpan? Lag,
    [property: Id(11)] string State,
    [property: Id(12)] string[] Upstreams,
    [property: Id(13)] ChildStatus[] Children,
    [property: Id(14)] long FullCopies,
    [property: Id(15)] string Version,
    [property: Id(16)] TimeSpan Uptime,
    [property: Id(17)] long? FreeBytes,
    [property: Id(18)] int QueuedCommands,
    [property: Id(19)] int WaitingReads,
    [property: Id(20)] string[] Members,
    [property: Id(21)] NodeId[] Path,
    [property: Id(22)] Revision Oldest,
    [property: Id(23)] string[]? Keyspaces = null);

/// <param name="Nodes">Every node of this Orleans cluster that answered.</param>
/// <param name="Silent">Names of nodes that are members and did not answer.</param>
[GenerateSerializer, Immutable, Alias("qs.ClusterStatus")]
public sealed record ClusterStatus(
    [property: Id(0)] AnswerContext Context,
    [property: Id(1)] NodeStatus[] Nodes,
    [property: Id(2)] string[] Silent);

/// <summary>Whether a node should be asked at all.</summary>
/// <param name="Context">As <see cref="IClusterGrain.Ping"/> says it.</param>
/// <param name="NotReady">Why the node should get no traffic, as its readiness over HTTP says it; null where it may.</param>
[GenerateSerializer, Immutable, Alias("qs.NodeHealth")]
public sealed record NodeHealth([property: Id(0)] AnswerContext Context, [property: Id(1)] string? NotReady);

/// <summary>What a client or a link asks of a cluster as a whole (key: 0). Runs on every silo and holds no state.</summary>
[Alias("qs.ICluster")]
public interface IClusterGrain : IGrainWithIntegerKey, IExternalContract
{
    /// <summary>Whose cluster it is, where the answering node stands, and the log time. Cheap: also the heartbeat of links.</summary>
    [Alias("Ping"), AlwaysInterleave]
    ValueTask<AnswerContext> Ping();

    /// <summary>As <see cref="Ping"/>, and whether the node that answers is ready: what a client chooses among its gateways by. Cheap.</summary>
    [Alias("Health"), AlwaysInterleave]
    ValueTask<NodeHealth> Health();

    /// <summary>Status of all nodes of this Orleans cluster.</summary>
    [Alias("Status"), AlwaysInterleave]
    Task<ClusterStatus> Status();
}
