using Orleans.Concurrency;
using Quicksilver.Contracts;

namespace Quicksilver.Grains;

/// <summary>Speaks for the cluster as a whole. Holds no state.</summary>
[StatelessWorker, Reentrant, GrainType("qs.cluster")]
public sealed class ClusterGrain(NodeContext node, INodeMonitor monitor, NodeDirectory nodes, INodeServiceClient services, TimeProvider time) : Grain, IClusterGrain
{
    /// <summary>One silent silo must not hold up the answer.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <inheritdoc/>
    public ValueTask<AnswerContext> Ping() => new(node.Answer(node.Store.Progress));

    /// <inheritdoc/>
    public ValueTask<NodeHealth> Health() => new(new NodeHealth(node.Answer(node.Store.Progress), monitor.NotReady));

    /// <inheritdoc/>
    public async Task<ClusterStatus> Status()
    {
        var asked = nodes.Active().Select(async silo =>
        {
            try
            {
                return (silo.Node, Status: (NodeStatus?)await services.On(silo.Address).Describe().WaitAsync(Patience, time));
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                // Whatever keeps it from answering: for this answer the node is silent.
                return (silo.Node, Status: (NodeStatus?)null);
            }
        });
        var answers = await Task.WhenAll(asked);
        return new(
            node.Answer(node.Store.Progress),
            [.. answers.Where(answer => answer.Status is not null).Select(answer => answer.Status!)],
            [.. answers.Where(answer => answer.Status is null).Select(answer => answer.Node.Value)]);
    }
}
