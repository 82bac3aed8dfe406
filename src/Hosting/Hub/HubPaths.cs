using System.Buffers.Binary;
using System.Security.Cryptography;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Grains;
using Quicksilver.Model;
using Quicksilver.Sequencing;

namespace Quicksilver.Hosting;

/// <summary>
/// The way of commands and barriers on a hub node: into the sequencer here where this node leads, else to the leader's node in
/// one merged call.
/// </summary>
internal sealed class HubPaths : ICommitPath, IHubReads
{
    private readonly NodeContext _node;
    private readonly ISequencer _sequencer;
    private readonly NodeDirectory _nodes;
    private readonly INodeServiceClient _services;
    private readonly CommitMerger _toLeader;
    private readonly ulong _caller = BinaryPrimitives.ReadUInt64BigEndian(RandomNumberGenerator.GetBytes(sizeof(ulong)));
    private ulong _calls;
    private readonly Lock _gate = new();
    private (INodeService Leader, SharedRound<Revision?> Round)? _barriers;

    public HubPaths(NodeContext node, ISequencer sequencer, NodeDirectory nodes, INodeServiceClient services)
    {
        _node = node;
        _sequencer = sequencer;
        _nodes = nodes;
        _services = services;
        _toLeader = new(SendToLeaderAsync, Traces.Forward);
    }

    /// <inheritdoc/>
    public async ValueTask<CommitManyAnswer> CommitAsync(IReadOnlyList<ReadOnlyMemory<byte>> commands, CancellationToken cancellation)
    {
        if (_sequencer.Leadership.IsLeader)
        {
            var outcomes = await _sequencer.CommitAsync(commands, cancellation);
            return new(outcomes, _node.Answer(_node.Store.Progress) with { WriteGateway = _node.Gateway });
        }

        try
        {
            var merged = await _toLeader.CommitAsync(commands, cancellation);
            return new([.. merged.Outcomes], merged.Context);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return All(commands.Count, OrleansErrors.OutcomeOf(e) == WriteOutcome.NotCommitted ? CommitOutcome.Unavailable : CommitOutcome.Unknown);
        }
    }

    private async Task<CommitManyAnswer> SendToLeaderAsync(CommitManyRequest request)
    {
        if (FindLeader() is not { } leader)
        {
            throw new QuicksilverException(QuicksilverErrorCode.Unavailable, "The hub has no leader.", WriteOutcome.NotCommitted);
        }

        // One call at a time, so the numbers arrive in order.
        return await leader.Sequence(request with { Call = new(_caller, ++_calls) });
    }

    private CommitManyAnswer All(int count, CommitOutcome outcome)
    {
        var outcomes = new CommitOutcome[count];
        Array.Fill(outcomes, outcome);
        return new(outcomes, _node.Answer(_node.Store.Progress));
    }

    private INodeService? FindLeader() =>
        _sequencer.Leadership.Leader is { } leader && leader != _node.Node && _nodes.Find(leader) is { } silo ? _services.On(silo) : null;

    /// <inheritdoc/>
    public async ValueTask<Revision?> ReadBarrierAsync(CancellationToken cancellation)
    {
        if (_sequencer.Leadership.IsLeader)
        {
            return await _sequencer.ReadBarrierAsync(cancellation);
        }

        try
        {
            return FindLeader() is { } leader ? await BarriersOf(leader).RunAsync().WaitAsync(cancellation) : null;
        }
        catch (Exception e) when (e is not OutOfMemoryException && !cancellation.IsCancellationRequested)
        {
            // A leader that cannot be asked is none.
            return null;
        }
    }

    /// <summary>What is asked of a leader that died hangs for a while; whoever comes after another one leads must not wait for it.</summary>
    private SharedRound<Revision?> BarriersOf(INodeService leader)
    {
        lock (_gate)
        {
            if (_barriers is not { } barriers || !barriers.Leader.Equals(leader))
            {
                _barriers = barriers = (leader, new(leader.ReadBarrier));
            }

            return barriers.Round;
        }
    }

    /// <inheritdoc/>
    public ValueTask<TAnswer?> ForwardAsync<TAnswer>(Func<IGrainFactory, CancellationToken, ValueTask<TAnswer>> call, CancellationToken cancellation)
        where TAnswer : class => new((TAnswer?)null);
}
