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
[GenerateSerializer, Immutable, Alias("qs.HubMembersAnswer")]
public sealed record HubMembersAnswer(
    [property: Id(0)] HubAnswerStatus Status,
    [property: Id(1)] HubMemberInfo[] Members,
    [property: Id(2)] NodeId? Leader,
    [property: Id(3)] LogIndex AppliedIndex,
    [property: Id(4)] string? Problem);

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
    [property: Id(10)] LogIndex MembersAsOf);

/// <summary>The hub and who votes in it (key: 0). Served by hub silos only; holds no state.</summary>
[Alias("qs.IHub")]
public interface IHubGrain : IGrainWithIntegerKey, IExternalContract
{
    /// <summary>The voting members.</summary>
    [Alias("Members"), AlwaysInterleave]
    Task<HubMembersAnswer> Members();

    /// <summary>
    /// Takes the vote from a member. Refused where another member does not answer, because the hub would be left without a
    /// majority; and where the member is in order, unless <paramref name="force"/>. Ok where it is no member already.
    /// </summary>
    [Alias("Remove"), AlwaysInterleave, ResponseTimeout("00:00:10")]
    Task<HubChangeAnswer> Remove(NodeId target, bool force);

    /// <summary>
    /// A node that is no member, and has a copy of the state, asks to become one. Begins it and answers at once; the node
    /// hears of its membership through Raft.
    /// </summary>
    [Alias("Join"), AlwaysInterleave]
    Task<HubChangeAnswer> Join(NodeId newcomer);

    /// <summary>Progress of the node that answers. To copy it, pull its log up to exactly this position.</summary>
    [Alias("Progress"), AlwaysInterleave]
    ValueTask<HubProgress> Progress();
}
