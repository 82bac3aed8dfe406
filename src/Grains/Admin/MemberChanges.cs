using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Sequencing;

namespace Quicksilver.Grains;

/// <summary>
/// Answers for the leader: who votes, and whether a change may be begun. Raft keeps a change safe; this keeps it from being a
/// mistake.
/// </summary>
public sealed class MemberChanges(NodeContext node, HubAccess hub, NodeDirectory nodes, INodeServiceClient services, TimeProvider time) : IDisposable
{
    private static readonly TimeSpan BarrierTimeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan DescribeTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RemoveTimeout = TimeSpan.FromSeconds(5);

    private static readonly HubChangeAnswer NotLeading = new(HubAnswerStatus.Unavailable, "the node that was asked does not lead");

    private readonly SemaphoreSlim _changing = new(1);

    /// <summary>Members as they go over the wire.</summary>
    internal static HubMemberInfo[] Describe(AgreedMembers agreed) =>
        [.. agreed.Members.Select(member => new HubMemberInfo(member.Node, member.Endpoint.ToString()))];

    public async Task<HubMembersAnswer> MembersAsync()
    {
        using var limit = new CancellationTokenSource(BarrierTimeout, time);
        try
        {
            return hub.Sequencer is { } sequencer && await sequencer.ReadBarrierAsync(limit.Token) is not null
                ? new(HubAnswerStatus.Ok, Describe(hub.Membership!.Agreed), node.Node, node.Store.Progress.AppliedIndex, null)
                : new(HubAnswerStatus.Unavailable, [], null, default, NotLeading.Problem);
        }
        catch (OperationCanceledException)
        {
            return new(HubAnswerStatus.Unavailable, [], null, default, "the leader cannot reach a majority");
        }
    }

    public async Task<HubChangeAnswer> RemoveAsync(NodeId target, bool force)
    {
        if (hub is not { Sequencer: { Leadership.IsLeader: true }, Membership: { } membership })
        {
            return NotLeading;
        }

        // One at a time, guards included: two that each leave a majority can leave none together.
        if (!await _changing.WaitAsync(TimeSpan.Zero))
        {
            return new(HubAnswerStatus.Unavailable, "another change of the members is under way");
        }

        try
        {
            return await RemoveAsync(membership, hub.Sequencer, target, force);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // It may have happened, or may still happen: the next look at the members tells.
            return new(HubAnswerStatus.Unavailable, e.Message);
        }
        finally
        {
            _changing.Release();
        }
    }

    private async Task<HubChangeAnswer> RemoveAsync(IHubMembership membership, ISequencer sequencer, NodeId target, bool force)
    {
        // What is judged below must be the latest: a change before this one may be agreed on and not be applied here yet.
        using var limit = new CancellationTokenSource(RemoveTimeout, time);
        if (await sequencer.ReadBarrierAsync(limit.Token) is null)
        {
            return NotLeading;
        }

        var members = membership.Agreed.Members;
        if (!members.Any(member => member.Node == target))
        {
            return membership.Knows(target)
                ? new(HubAnswerStatus.Ok, null)
                : new(HubAnswerStatus.Refused, $"The hub knows no '{target}'; its members are {string.Join(", ", members.Select(member => member.Node))}.");
        }

        foreach (var other in members.Where(member => member.Node != target && member.Node != node.Node))
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

        return await membership.RemoveAsync(target, limit.Token) is { } refusal ? new(HubAnswerStatus.Refused, refusal) : new(HubAnswerStatus.Ok, null);
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

    public void Dispose() => _changing.Dispose();
}
