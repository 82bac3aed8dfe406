using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>The voting members after all entries up to one.</summary>
/// <param name="AsOf">A Raft entry up to which every change of the members is in; the last change may be earlier.</param>
public sealed record AgreedMembers(IReadOnlyList<HubMember> Members, LogIndex AsOf)
{
    /// <summary>Nodes that may become members; also a member that is to come back as a new one after its removal.</summary>
    public IReadOnlyList<HubMember> Invited { get; init; } = [];
}

/// <summary>How many members a hub may have (docs/decisions/0013-hub-of-at-most-three.md).</summary>
public static class HubSize
{
    public const int Max = 3;

    /// <summary>For people: why a node cannot be one more.</summary>
    public static string Refusal(NodeId newcomer, IEnumerable<HubMember> others) =>
        $"A hub has at most {Max} members, and '{newcomer}' would be one more beside {string.Join(", ", others.Select(member => $"'{member.Node}'"))}: "
        + "with five, what counts as committed is not proven safe. Remove one first ('qs hub remove NODE', which also withdraws an invitation).";
}

/// <summary>
/// Who votes in the hub, and the ways to change it: one change at a time. Any thread may call. A change that returns a text certainly
/// did not happen; any exception means that it may have happened, or may still.
/// </summary>
public interface IHubMembership
{
    /// <summary>The voting members as this member has applied them.</summary>
    AgreedMembers Agreed { get; }

    /// <summary>
    /// Where this member leads: begins to make an invited node a voting member, unless that is under way. Does not wait for it.
    /// </summary>
    void BeginAdd(NodeId node);

    /// <summary>
    /// Where this member leads: lets a node ask to become a member, from that endpoint. A majority remembers it until the node is one,
    /// or it is withdrawn. Returns null when that is so, or the node is a member at that endpoint.
    /// </summary>
    Task<string?> InviteAsync(HubMember newcomer, CancellationToken cancellation);

    /// <summary>
    /// Where this member leads: takes the vote from another member, and waits until a majority has agreed. Returns null then. A node
    /// that has no vote loses its invitation, or gets one, likewise.
    /// </summary>
    /// <param name="invite">True where the node is to come back as a new member; false takes an invitation back that it has.</param>
    Task<string?> RemoveAsync(NodeId node, bool invite, CancellationToken cancellation);

    /// <summary>True for members, for those invited, and for nodes that are configured as members.</summary>
    bool Knows(NodeId node);

    /// <summary>
    /// Where this member leads: takes nothing new for a moment, finishes what it took, gives up the leadership and does not stand
    /// until another leads, at most 2 s. It may lead again later. Returns null where it leads no more.
    /// </summary>
    Task<string?> HandOverAsync(CancellationToken cancellation);

    /// <summary>
    /// Begins to leave the next election to others: until another than the present leader leads, at most 2 s. Votes all the same. Does not wait.
    /// </summary>
    void BeginStandAside();
}
