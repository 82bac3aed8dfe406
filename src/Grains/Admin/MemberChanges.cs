using System.Net;
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
    private static readonly TimeSpan ChangeTimeout = TimeSpan.FromSeconds(5);

    private static readonly HubChangeAnswer NotLeading = new(HubAnswerStatus.Unavailable, "the node that was asked does not lead");

    private readonly SemaphoreSlim _changing = new(1);

    /// <summary>Members as they go over the wire.</summary>
    internal static HubMemberInfo[] Describe(IEnumerable<HubMember> members) =>
        [.. members.Select(member => new HubMemberInfo(member.Node, member.Endpoint.ToString()))];

    public async Task<HubMembersAnswer> MembersAsync()
    {
        using var limit = new CancellationTokenSource(BarrierTimeout, time);
        try
        {
            if (hub.Sequencer is { } sequencer && await sequencer.ReadBarrierAsync(limit.Token) is not null)
            {
                var agreed = hub.Membership!.Agreed;
                return new(HubAnswerStatus.Ok, Describe(agreed.Members), node.Node, node.Store.Progress.AppliedIndex, null, Describe(agreed.Invited), node.Store.Progress.Cluster);
            }

            return new(HubAnswerStatus.Unavailable, [], null, default, NotLeading.Problem, []);
        }
        catch (OperationCanceledException)
        {
            return new(HubAnswerStatus.Unavailable, [], null, default, "the leader cannot reach a majority", []);
        }
    }

    /// <param name="invite">True where the node is to come back as a new member.</param>
    public Task<HubChangeAnswer> RemoveAsync(NodeId target, bool force, bool invite) => ChangeAsync(async (membership, cancellation) =>
    {
        var members = membership.Agreed.Members;
        if (!members.Any(member => member.Node == target))
        {
            return membership.Knows(target)
                ? Answer(await membership.RemoveAsync(target, invite, cancellation))
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
            return new(HubAnswerStatus.Refused, $"'{target}' answers and takes part{(invite ? ": there is nothing to repair. To rebuild" : ". To take")} it{(invite ? "" : " out")} all the same, use --force.");
        }

        if (target == node.Node)
        {
            return await membership.HandOverAsync(cancellation) is { } refusal
                ? new(HubAnswerStatus.Refused, refusal)
                : new(HubAnswerStatus.Unavailable, $"'{target}' led the hub and hands over first");
        }

        return Answer(await membership.RemoveAsync(target, invite, cancellation));
    });

    public Task<HubChangeAnswer> InviteAsync(HubMemberInfo newcomer) => ChangeAsync(async (membership, cancellation) =>
    {
        if (!IPEndPoint.TryParse(newcomer.Endpoint, out var endpoint) || endpoint.Port == 0 || endpoint.Address.Equals(IPAddress.Any) || endpoint.Address.Equals(IPAddress.IPv6Any))
        {
            return new(HubAnswerStatus.Refused, $"'{newcomer.Endpoint}' is not the endpoint of a Raft port (IP:PORT).");
        }

        return hub.IsShared
            ? Answer(await membership.InviteAsync(new(newcomer.Node, endpoint), cancellation))
            : new(HubAnswerStatus.Refused, $"'{node.Node}' has no membership table in which another node could find it. Set Quicksilver:Membership:Directory on it, start it again, and repeat this.");
    });

    public HubChangeAnswer Add(NodeId newcomer)
    {
        if (hub is not { Sequencer: { Leadership.IsLeader: true }, Membership: { } membership })
        {
            return NotLeading;
        }

        var agreed = membership.Agreed;
        if (agreed.Members.Any(member => member.Node == newcomer))
        {
            return new(HubAnswerStatus.Ok, null);
        }

        if (!agreed.Invited.Any(member => member.Node == newcomer))
        {
            return new(HubAnswerStatus.Refused, $"'{newcomer}' is not invited to become a member. Run 'qs hub add {newcomer} --endpoint IP:PORT'.");
        }

        membership.BeginAdd(newcomer);
        return new(HubAnswerStatus.UnderWay, null);
    }

    public Task<HubChangeAnswer> TransferAsync(NodeId from, NodeId? to) => ChangeAsync(async (membership, cancellation) =>
    {
        var members = membership.Agreed.Members;
        if (to is { } wanted && !members.Any(member => member.Node == wanted))
        {
            return new(HubAnswerStatus.Refused, $"'{wanted}' is no member of the hub; its members are {string.Join(", ", members.Select(member => member.Node))}.");
        }

        if (from != node.Node || to == node.Node)
        {
            return new(HubAnswerStatus.Ok, null);
        }

        var heirs = members.Where(member => to is { } one ? member.Node == one : member.Node != node.Node).ToList();
        if (heirs.Count > 0 && !(await Task.WhenAll(heirs.Select(heir => FollowsAsync(heir.Node)))).Contains(true))
        {
            return new(HubAnswerStatus.Refused, $"{string.Join(" and ", heirs.Select(heir => $"'{heir.Node}'"))} cannot take over: no answer, or it knows no leader. Start it first.");
        }

        foreach (var other in members.Where(member => to is not null && member.Node != to && member.Node != node.Node))
        {
            await AskToStandAsideAsync(other.Node);
        }

        return await membership.HandOverAsync(cancellation) is { } refusal ? new(HubAnswerStatus.Refused, refusal) : new(HubAnswerStatus.UnderWay, null);
    });

    private async Task AskToStandAsideAsync(NodeId other)
    {
        if (nodes.Find(other) is not { } silo)
        {
            return;
        }

        try
        {
            await services.On(silo).StandAside().WaitAsync(DescribeTimeout, time);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // It may win the election then, and the transfer is asked for again.
        }
    }

    private static HubChangeAnswer Answer(string? refusal) => refusal is null ? new(HubAnswerStatus.Ok, null) : new(HubAnswerStatus.Refused, refusal);

    /// <summary>One change at a time, guards included: two that each leave a majority can leave none together.</summary>
    private async Task<HubChangeAnswer> ChangeAsync(Func<IHubMembership, CancellationToken, Task<HubChangeAnswer>> change)
    {
        if (hub is not { Sequencer: { Leadership.IsLeader: true } sequencer, Membership: { } membership })
        {
            return NotLeading;
        }

        if (!await _changing.WaitAsync(TimeSpan.Zero))
        {
            return new(HubAnswerStatus.Unavailable, "another change of the members is under way");
        }

        try
        {
            // What is judged must be the latest: a change before this one may be agreed on and not be applied here yet.
            using var limit = new CancellationTokenSource(ChangeTimeout, time);
            return await sequencer.ReadBarrierAsync(limit.Token) is null ? NotLeading : await change(membership, limit.Token);
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
