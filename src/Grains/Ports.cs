using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains;

/// <summary>Where commands go from this node: into the sequencer here, to the leader, or over the link to the hub.</summary>
public interface ICommitPath
{
    /// <summary>
    /// Commits validated commands; outcomes in the same order. Never throws for what became of a command. The context is that
    /// of whoever answered.
    /// </summary>
    ValueTask<CommitManyAnswer> CommitAsync(IReadOnlyList<ReadOnlyMemory<byte>> commands, CancellationToken cancellation);
}

/// <summary>Asks the hub for what this node's View cannot answer. Every call returns null where the hub cannot be asked.</summary>
public interface IHubReads
{
    /// <summary>
    /// Hub nodes: a revision that is not older than any write acknowledged before the call. Null in a region, which forwards.
    /// </summary>
    ValueTask<Revision?> ReadBarrierAsync(CancellationToken cancellation);

    /// <summary>Regions: lets the hub answer. Null on hub nodes, and where the link is down.</summary>
    ValueTask<TAnswer?> ForwardAsync<TAnswer>(Func<IGrainFactory, CancellationToken, ValueTask<TAnswer>> call, CancellationToken cancellation)
        where TAnswer : class;
}

/// <summary>What of a node only its host can tell.</summary>
public interface INodeMonitor
{
    NodeStatus Status { get; }

    /// <summary>Why the node should get no traffic, or null. Never that the hub cannot be reached. Cheap.</summary>
    string? NotReady { get; }
}
