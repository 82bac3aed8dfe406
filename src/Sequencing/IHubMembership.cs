using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>The voting members after all entries up to one.</summary>
/// <param name="AsOf">A Raft entry up to which every change of the members is in; the last change may be earlier.</param>
public sealed record AgreedMembers(IReadOnlyList<HubMember> Members, LogIndex AsOf);

/// <summary>Who votes in the hub, and the ways to change it. Any thread may call.</summary>
public interface IHubMembership
{
    /// <summary>The voting members as this member has applied them.</summary>
    AgreedMembers Agreed { get; }

    /// <summary>Where this member leads: begins to make a node a voting member, unless that is under way. Does not wait for it.</summary>
    void BeginAdd(NodeId node);

    /// <summary>
    /// Where this member leads: takes the vote from another member, and waits until a majority has agreed. Returns null then, or
    /// why it certainly did not happen. Any exception means that it may have happened, or may still.
    /// </summary>
    Task<string?> RemoveAsync(NodeId node, CancellationToken cancellation);

    /// <summary>True for members, and for nodes that are configured as such.</summary>
    bool Knows(NodeId node);

    /// <summary>Gives up the leadership, where this member has it.</summary>
    Task ResignAsync(CancellationToken cancellation);
}
