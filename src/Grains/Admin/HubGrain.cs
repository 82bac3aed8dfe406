using Orleans.Concurrency;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains;

/// <summary>Finds the leader and asks it. Holds no state.</summary>
[StatelessWorker, Reentrant, GrainType("qs.hub")]
public sealed class HubGrain(NodeContext node, NodeDirectory nodes, HubAccess hub, INodeServiceClient services) : Grain, IHubGrain
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(8);

    /// <inheritdoc/>
    public async Task<HubMembersAnswer> Members()
    {
        if (FindLeader() is not { } leader)
        {
            return new(HubAnswerStatus.Unavailable, [], null, default, NoLeader, []);
        }

        try
        {
            return await leader.Members().WaitAsync(Patience);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return new(HubAnswerStatus.Unavailable, [], null, default, e.Message, []);
        }
    }

    /// <inheritdoc/>
    public Task<HubChangeAnswer> Remove(NodeId target, bool force) => ChangeAsync(leader => leader.RemoveMember(target, force));

    /// <inheritdoc/>
    public Task<HubChangeAnswer> Repair(NodeId target, bool force) => ChangeAsync(leader => leader.RepairMember(target, force));

    /// <inheritdoc/>
    public Task<HubChangeAnswer> Invite(HubMemberInfo newcomer) => ChangeAsync(leader => leader.InviteMember(newcomer));

    /// <inheritdoc/>
    public Task<HubChangeAnswer> Transfer(NodeId from, NodeId? to) => ChangeAsync(leader => leader.Transfer(from, to));

    /// <inheritdoc/>
    public Task<HubChangeAnswer> Join(NodeId newcomer) => ChangeAsync(leader => leader.AddMember(newcomer));

    /// <inheritdoc/>
    public ValueTask<HubProgress> Progress()
    {
        var progress = node.Store.Progress;

        // Order matters: read after the progress, they miss no change up to it.
        var agreed = hub.Membership?.Agreed;
        return new(new HubProgress(
            progress.Cluster, progress.Position, progress.Chain, progress.Oldest, progress.AppliedIndex, progress.LogTime, progress.FeatureLevel,
            progress.NextKeyspace, progress.OperationsFloor,
            agreed is null ? [] : MemberChanges.Describe(agreed.Members),
            agreed is null || agreed.AsOf < progress.AppliedIndex ? progress.AppliedIndex : agreed.AsOf,
            agreed is null ? [] : MemberChanges.Describe(agreed.Invited)));
    }

    private string NoLeader => node.Role == NodeRole.Hub ? "the hub has no leader" : "this is not a node of the hub; ask a gateway of the hub";

    private async Task<HubChangeAnswer> ChangeAsync(Func<INodeService, Task<HubChangeAnswer>> change)
    {
        if (FindLeader() is not { } leader)
        {
            return new(HubAnswerStatus.Unavailable, NoLeader);
        }

        try
        {
            return await change(leader).WaitAsync(Patience);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // It may have happened; whoever asked looks at the members next.
            return new(HubAnswerStatus.Unavailable, e.Message);
        }
    }

    private INodeService? FindLeader() =>
        hub.Sequencer?.Leadership.Leader is { } leader && nodes.Find(leader) is { } silo ? services.On(silo) : null;
}
