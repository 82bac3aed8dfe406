using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains;

/// <summary>
/// Answers for the leader: who votes, and whether a change may be begun. Raft keeps a change safe; this keeps it from being a
/// mistake.
/// </summary>
public sealed class MemberChanges(NodeContext node, HubAccess hub, NodeDirectory nodes, INodeServiceClient services, TimeProvider time)
{
    private static readonly TimeSpan BarrierTimeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan DescribeTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RemoveTimeout = TimeSpan.FromSeconds(3);

    private static readonly HubChangeAnswer NotLeading = new(HubAnswerStatus.Unavailable, "the node that was asked does not lead");

    public async Task<HubMembersAnswer> MembersAsync()
    {
        using var limit = new CancellationTokenSource(BarrierTimeout, time);
        try
        {
            return hub.Sequencer is { } sequencer && await sequencer.ReadBarrierAsync(limit.Token) is not null
                ? new(HubAnswerStatus.Ok, [.. hub.Membership!.Agreed.Members.Select(member => new HubMemberInfo(member.Node, member.Endpoint.ToString()))], node.Node, null)
                : new(HubAnswerStatus.Unavailable, [], null, NotLeading.Problem);
        }
        catch (OperationCanceledException)
        {
            return new(HubAnswerStatus.Unavailable, [], null, "the leader cannot reach a majority");
        }
    }

    public async Task<HubChangeAnswer> RemoveAsync(NodeId target, bool force)
    {
        if (hub is not { Sequencer: { Leadership.IsLeader: true }, Membership: { } membership })
        {
            return NotLeading;
        }

        if (!membership.Agreed.Members.Any(member => member.Node == target))
        {
            return new(HubAnswerStatus.Ok, null);
        }

        if (membership.Agreed.Members.Count < 3)
        {
            return new(HubAnswerStatus.Refused, $"The hub has {membership.Agreed.Members.Count} members; without '{target}' it could lose what it acknowledged. Repair the other one first.");
        }

        foreach (var other in membership.Agreed.Members.Where(member => member.Node != target && member.Node != node.Node))
        {
            if (!await FollowsAsync(other.Node))
            {
                return new(HubAnswerStatus.Refused, $"Member '{other.Node}' does not answer. Without '{target}' and '{other.Node}' the hub would have no majority. Start '{other.Node}' first.");
            }
        }

        if (!force && (target == node.Node || await FollowsAsync(target)))
        {
            return new(HubAnswerStatus.Refused, $"'{target}' answers and takes part: there is nothing to repair. To rebuild it all the same, use --force.");
        }

        if (target == node.Node)
        {
            await membership.ResignAsync(CancellationToken.None);
            return new(HubAnswerStatus.Unavailable, $"'{target}' led the hub and hands over first");
        }

        using var limit = new CancellationTokenSource(RemoveTimeout, time);
        try
        {
            await membership.RemoveAsync(target, limit.Token);
            return new(HubAnswerStatus.Ok, null);
        }
        catch (InvalidOperationException e)
        {
            return new(HubAnswerStatus.Refused, e.Message);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // It may have happened, or may still happen: the next look at the members tells.
            return new(HubAnswerStatus.Unavailable, e.Message);
        }
    }

    public Task<HubChangeAnswer> AddAsync(NodeId newcomer)
    {
        if (hub is not { Sequencer: { Leadership.IsLeader: true }, Membership: { } membership })
        {
            return Task.FromResult(NotLeading);
        }

        if (membership.Agreed.Members.Any(member => member.Node == newcomer))
        {
            return Task.FromResult(new HubChangeAnswer(HubAnswerStatus.Ok, null));
        }

        membership.BeginAdd(newcomer);
        return Task.FromResult(new HubChangeAnswer(HubAnswerStatus.UnderWay, null));
    }

    /// <summary>True where a node answers and knows who leads.</summary>
    private async Task<bool> FollowsAsync(NodeId other)
    {
        if (nodes.Find(other) is not { } silo)
        {
            return false;
        }

        try
        {
            return (await services.On(silo).Describe().WaitAsync(DescribeTimeout, time)).RaftRole is RaftRole.Follower or RaftRole.Leader;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Whatever keeps it from answering: it cannot be counted on.
            return false;
        }
    }
}
