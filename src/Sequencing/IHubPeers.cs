using System.Net;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// How a hub node reaches the rest of its hub other than by Raft: to ask whether it has a vote, and to get one where it has none.
/// </summary>
public interface IHubPeers
{
    /// <summary>
    /// What the leader says of this node after a read barrier; null where no leader can be asked. A follower's word would not do: it
    /// may not have heard yet that the node was made a member again.
    /// </summary>
    Task<HubWord?> AskAsync(CancellationToken cancellation);

    /// <summary>
    /// Fills a store that has nothing, or what an earlier try left, with the state of another member after exactly one Raft entry.
    /// A crash on the way leaves the beginning of a copy, without an applied entry. Returns who votes after that entry or a later one.
    /// Throws where no peer can be copied.
    /// </summary>
    Task<AgreedMembers> FillAsync(NodeStore store, CancellationToken cancellation);

    /// <summary>
    /// For a member that is behind: receives, aside, a snapshot of another member, of Raft entry <paramref name="atLeast"/> or a later one.
    /// Returns it whole, for the caller to install, and who votes after that entry or a later one. Throws where no peer has one.
    /// </summary>
    Task<(IncomingSnapshot Snapshot, AgreedMembers Agreed)> ReceiveAsync(NodeStore store, LogIndex atLeast, CancellationToken cancellation);

    /// <summary>Asks the leader to make this node a member. To be repeated until it is one: a question may be lost, or come in vain.</summary>
    Task RequestMembershipAsync(CancellationToken cancellation);
}

/// <summary>What a hub says of a node.</summary>
/// <param name="IsMember">True where it has a vote.</param>
/// <param name="InvitedAt">The Raft endpoint from which it may become a member; null where nobody has invited it.</param>
/// <param name="Cluster">The cluster of the hub that says so; none where it did not say.</param>
public sealed record HubWord(bool IsMember, IPEndPoint? InvitedAt, ClusterUuid Cluster = default)
{
    /// <summary>False where another hub spoke: an address may have come to lead to it. Its word says nothing of a node of this cluster.</summary>
    public bool IsOf(ClusterUuid own) => own.IsNone || Cluster.IsNone || own == Cluster;
}

/// <summary>
/// This node was taken out of the hub. What it has on disk counts no more: it can be set aside, and the node can join anew, where it is invited.
/// </summary>
public sealed class MemberRemovedException(string message) : Exception(message);
