using Orleans.Concurrency;
using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>What became of a question about the members of the hub. On the wire: explicit numbers, append-only.</summary>
public enum HubAnswerStatus : byte
{
    Unspecified = 0,
    Ok = 1,

    /// <summary>No leader could be asked, or it stopped leading. A change may have happened: ask for the members.</summary>
    Unavailable = 2,

    /// <summary>Certainly not done; the problem says why.</summary>
    Refused = 3,

    /// <summary>Begun, or under way already.</summary>
    UnderWay = 4,
}

/// <param name="Members">The voting members as the leader knows them after a read barrier; empty unless the status is Ok.</param>
/// <param name="Leader">Who answered; null unless the status is Ok.</param>
/// <param name="AppliedIndex">The Raft entry of which the leader has the state: all that is said here is in.</param>
/// <param name="Cluster">Whose members they are; none unless the status is Ok.</param>
/// <param name="Invited">Nodes that may become members, from those endpoints; a member may be among them that is about to be rebuilt. Null from a build that knows no invitations.</param>
[GenerateSerializer, Immutable, Alias("qs.HubMembersAnswer")]
public sealed record HubMembersAnswer(
    [property: Id(0)] HubAnswerStatus Status,
    [property: Id(1)] HubMemberInfo[] Members,
    [property: Id(2)] NodeId? Leader,
    [property: Id(3)] LogIndex AppliedIndex,
    [property: Id(4)] string? Problem,
    [property: Id(5)] HubMemberInfo[]? Invited,
    [property: Id(6)] ClusterUuid Cluster = default);

/// <param name="Endpoint">Of its Raft port: <c>address:port</c>.</param>
[GenerateSerializer, Immutable, Alias("qs.HubMemberInfo")]
public sealed record HubMemberInfo([property: Id(0)] NodeId Node, [property: Id(1)] string Endpoint);

/// <param name="Problem">For people; null where the status says it all.</param>
[GenerateSerializer, Immutable, Alias("qs.HubChangeAnswer")]
public sealed record HubChangeAnswer([property: Id(0)] HubAnswerStatus Status, [property: Id(1)] string? Problem);

/// <summary>
/// State of a hub node after one Raft entry, beside its rows and its log: what a copy of both needs to go on with the next entry.
/// All of it is from one View, but the members.
/// </summary>
/// <param name="Members">Who votes.</param>
/// <param name="Invited">Nodes that may become members, as of that entry too.</param>
/// <param name="MembersAsOf">A Raft entry, not before the applied one, up to which every change of the members is in.</param>
[GenerateSerializer, Immutable, Alias("qs.HubProgress")]
public sealed record HubProgress(
    [property: Id(0)] ClusterUuid Cluster,
    [property: Id(1)] LogPosition Position,
    [property: Id(2)] ChainHash Chain,
    [property: Id(3)] Revision Oldest,
    [property: Id(4)] LogIndex AppliedIndex,
    [property: Id(5)] LogTime LogTime,
    [property: Id(6)] int FeatureLevel,
    [property: Id(7)] KeyspaceId NextKeyspace,
    [property: Id(8)] LogTime OperationsFloor,
    [property: Id(9)] HubMemberInfo[] Members,
    [property: Id(10)] LogIndex MembersAsOf,
    [property: Id(11)] HubMemberInfo[]? Invited = null);

/// <summary>The hub and who votes in it (key: 0). Served by hub silos only; holds no state.</summary>
[Alias("qs.IHub")]
public interface IHubGrain : IGrainWithIntegerKey, IExternalContract
{
    /// <summary>The voting members.</summary>
    [Alias("Members"), AlwaysInterleave]
    Task<HubMembersAnswer> Members();

    /// <summary>
    /// Takes the vote from a member, for good: it is not invited to come back, and an invitation that it has is withdrawn. Refused
    /// where another member does not answer, because the hub would be left without a majority; and where the member is in order,
    /// unless <paramref name="force"/>. Ok where it is no member already.
    /// </summary>
    [Alias("Remove"), AlwaysInterleave, ResponseTimeout("00:00:10")]
    Task<HubChangeAnswer> Remove(NodeId target, bool force);

    /// <summary>
    /// As <see cref="Remove"/>, and the node is invited to come back as a new member, in one step. Ok where it is no member and invited
    /// already.
    /// </summary>
    [Alias("Repair"), AlwaysInterleave, ResponseTimeout("00:00:10")]
    Task<HubChangeAnswer> Repair(NodeId target, bool force);

    /// <summary>
    /// Lets a node become a member, from that endpoint, whenever it asks. Ok where it is one there already. Refused where the hub would
    /// have more than three, where it has no table in which the node could find it, and where name or endpoint are another member's.
    /// </summary>
    [Alias("Invite"), AlwaysInterleave, ResponseTimeout("00:00:10")]
    Task<HubChangeAnswer> Invite(HubMemberInfo newcomer);

    /// <summary>
    /// Makes a leader give up the leadership, after what it took is finished. Ok where another leads already; UnderWay where it was given
    /// up: an election follows. Refused where nobody, or not <paramref name="to"/>, could lead.
    /// </summary>
    /// <param name="from">Who is to lead no more: repeated, it does no harm.</param>
    /// <param name="to">Who is to lead: the others leave the election to it; null for anybody else. It is not certain to win.</param>
    [Alias("Transfer"), AlwaysInterleave, ResponseTimeout("00:00:10")]
    Task<HubChangeAnswer> Transfer(NodeId from, NodeId? to);

    /// <summary>
    /// A node that is no member, is invited, and has a copy of the state, asks to become one. Begins it and answers at once; the node
    /// hears of its membership through Raft. Refused where it is not invited.
    /// </summary>
    [Alias("Join"), AlwaysInterleave]
    Task<HubChangeAnswer> Join(NodeId newcomer);

    /// <summary>Progress of the node that answers. To copy it, pull its log up to exactly this position.</summary>
    [Alias("Progress"), AlwaysInterleave]
    ValueTask<HubProgress> Progress();
}
