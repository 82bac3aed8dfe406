using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>A replica's chain is the hub's at the same revision: so it has seen the same records in the same order, also those that were cut.</summary>
internal sealed class ChainChecker(TrueLog truth, Verdict verdict)
{
    public void Shown(NodeId node, SimulatedStore store)
    {
        // Before its first page a replica belongs to no cluster and has no chain.
        if (!store.Progress.Cluster.IsNone && store.Last <= truth.Last && store.Progress.Chain != truth.ChainAt(store.Last))
        {
            verdict.Fail("chains", $"{node} has chain {store.Progress.Chain} at revision {store.Last}, the hub {truth.ChainAt(store.Last)}");
        }
    }
}
