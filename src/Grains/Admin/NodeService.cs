using Microsoft.Extensions.Logging;
using Orleans.Concurrency;
using Orleans.Runtime;
using Orleans.Runtime.Services;
using Orleans.Services;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Sequencing;

namespace Quicksilver.Grains;

/// <summary>
/// One per silo, addressed by silo and so without the grain directory: how the nodes of one cluster talk to each other, first of
/// all a follower to the leader.
/// </summary>
[Alias("qs.INodeService")]
public interface INodeService : IGrainService
{
    /// <summary>Hands validated commands to this node's sequencer; a call that was handed over before, or is late, is answered Unknown.</summary>
    [Alias("Sequence"), ResponseTimeout("00:00:08")]
    Task<CommitManyAnswer> Sequence(CommitManyRequest request);

    /// <summary>A read barrier, where this node leads; null otherwise.</summary>
    [Alias("ReadBarrier")]
    Task<Revision?> ReadBarrier();

    [Alias("Describe")]
    Task<NodeStatus> Describe();

    /// <summary>As <see cref="IHubGrain.Members"/>, where this node leads.</summary>
    [Alias("Members")]
    Task<HubMembersAnswer> Members();

    /// <summary>As <see cref="IHubGrain.Remove"/>, where this node leads. The leader itself resigns first and answers Unavailable.</summary>
    [Alias("RemoveMember"), ResponseTimeout("00:00:09")]
    Task<HubChangeAnswer> RemoveMember(NodeId target, bool force);

    /// <summary>As <see cref="RemoveMember"/>, for <see cref="IHubGrain.Repair"/>.</summary>
    [Alias("RepairMember"), ResponseTimeout("00:00:09")]
    Task<HubChangeAnswer> RepairMember(NodeId target, bool force);

    /// <summary>As <see cref="IHubGrain.Invite"/>, where this node leads.</summary>
    [Alias("InviteMember"), ResponseTimeout("00:00:09")]
    Task<HubChangeAnswer> InviteMember(HubMemberInfo newcomer);

    /// <summary>As <see cref="IHubGrain.Join"/>, where this node leads.</summary>
    [Alias("AddMember")]
    Task<HubChangeAnswer> AddMember(NodeId newcomer);

    /// <summary>As <see cref="IHubGrain.Transfer"/>, where this node leads.</summary>
    [Alias("Transfer"), ResponseTimeout("00:00:09")]
    Task<HubChangeAnswer> Transfer(NodeId from, NodeId? to);

    /// <summary>Leaves the next election to others, for 2 s at most. Answers at once.</summary>
    [Alias("StandAside")]
    Task StandAside();
}

/// <summary>What only hub nodes have: the way into the order, and who votes on it.</summary>
public sealed record HubAccess(ISequencer? Sequencer, IHubMembership? Membership)
{
    /// <summary>True where the silos of this node's cluster share a membership table, so that another node can find it.</summary>
    public bool IsShared { get; init; }
}

/// <inheritdoc/>
[Reentrant]
public sealed class NodeService(
    GrainId id, Silo silo, ILoggerFactory loggers, NodeContext node, HubAccess hub, INodeMonitor monitor, MemberChanges changes)
    : GrainService(id, silo, loggers), INodeService
{
    private readonly CopyFilter _copies = new();

    /// <inheritdoc/>
    public async Task<CommitManyAnswer> Sequence(CommitManyRequest request)
    {
        using var span = node.Serve(Traces.ServeCommit);
        var commands = CommandBatch.Unpack(request.Commands);
        span?.SetTag(Traces.CommandsTag, commands.Length);
        if (!_copies.IsFirst(request.Call) || hub.Sequencer is null)
        {
            var refused = new CommitOutcome[commands.Length];
            Array.Fill(refused, hub.Sequencer is null ? CommitOutcome.Unavailable : CommitOutcome.Unknown);
            return new(refused, node.Answer(node.Store.Progress));
        }

        var outcomes = await hub.Sequencer.CommitAsync(commands, CancellationToken.None);
        var context = node.Answer(node.Store.Progress);
        return new(outcomes, hub.Sequencer.Leadership.IsLeader ? context with { WriteGateway = node.Gateway } : context);
    }

    /// <inheritdoc/>
    public async Task<Revision?> ReadBarrier() =>
        hub.Sequencer is { } sequencer ? await sequencer.ReadBarrierAsync(CancellationToken.None) : null;

    /// <inheritdoc/>
    public Task<NodeStatus> Describe() => Task.FromResult(monitor.Status);

    /// <inheritdoc/>
    public Task<HubMembersAnswer> Members() => changes.MembersAsync();

    /// <inheritdoc/>
    public Task<HubChangeAnswer> RemoveMember(NodeId target, bool force) => changes.RemoveAsync(target, force, invite: false);

    /// <inheritdoc/>
    public Task<HubChangeAnswer> RepairMember(NodeId target, bool force) => changes.RemoveAsync(target, force, invite: true);

    /// <inheritdoc/>
    public Task<HubChangeAnswer> InviteMember(HubMemberInfo newcomer) => changes.InviteAsync(newcomer);

    /// <inheritdoc/>
    public Task<HubChangeAnswer> AddMember(NodeId newcomer) => Task.FromResult(changes.Add(newcomer));

    /// <inheritdoc/>
    public Task<HubChangeAnswer> Transfer(NodeId from, NodeId? to) => changes.TransferAsync(from, to);

    /// <inheritdoc/>
    public Task StandAside()
    {
        hub.Membership?.BeginStandAside();
        return Task.CompletedTask;
    }
}

/// <summary>Reaches the node service of a silo.</summary>
public interface INodeServiceClient : IGrainServiceClient<INodeService>
{
    INodeService On(SiloAddress silo);
}

/// <inheritdoc/>
public sealed class NodeServiceClient(IServiceProvider services) : GrainServiceClient<INodeService>(services), INodeServiceClient
{
    /// <inheritdoc/>
    public INodeService On(SiloAddress silo) => GetGrainService(silo);
}
