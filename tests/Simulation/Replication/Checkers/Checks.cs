using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>Tells each checker what it looks at.</summary>
internal sealed class Checks(Simulator simulator, TrueLog truth, Verdict verdict)
{
    private readonly PrefixChecker _prefix = new(truth, verdict);
    private readonly DenseChecker _dense = new(truth, verdict);
    private readonly OnceChecker _once = new(verdict);
    private readonly ChainChecker _chains = new(truth, verdict);
    private readonly StateChecker _state = new(truth, verdict);
    private readonly SelectionChecker _selection = new(truth, verdict);
    private readonly SubsetChecker _subset = new(verdict);

    public EgressChecker Egress { get; } = new(simulator, verdict);

    /// <summary>A batch was applied: after <paramref name="before"/>, with records that name these revisions.</summary>
    public void Applied(SimulatedNode node, Revision before, List<Revision> revisions)
    {
        _once.Applied(node.Id, revisions);
        _selection.Applied(node.Id, node.Store, before);
        Look(node, before.Next);
        _state.Shown(node.Id, node.Store, before.Next);
    }

    /// <summary>A node shows another state: it was started, or a copy was put in place.</summary>
    public void Shown(SimulatedNode node)
    {
        _once.Begins(node.Id, node.Store.Last);
        Look(node, node.Store.Oldest);
        _state.Shown(node.Id, node.Store, Revision.None);
    }

    private void Look(SimulatedNode node, Revision from)
    {
        _prefix.Shown(node.Id, node.Store, from);
        _dense.Shown(node.Id, node.Store, from);
        _chains.Shown(node.Id, node.Store);
    }

    /// <summary>Power or disk were lost: it may show less than before.</summary>
    public void WentBack(SimulatedNode node)
    {
        _prefix.MayGoBack(node.Id);
        _once.Begins(node.Id, node.Store.Last);
    }

    public void Linked(SimulatedNode child, SimulatedNode source) => Egress.Linked(child.Id, source.Id);

    public void Unlinked(SimulatedNode child, SimulatedNode source) => Egress.Unlinked(child.Id, source.Id);

    /// <summary>A source was asked by a child for some keyspaces.</summary>
    public void Asked(SimulatedNode source, Subscription wanted, bool isServed, bool isNotHeld) =>
        _subset.Asked(source.Id, source.Store.Progress.Subscription, wanted, isServed, isNotHeld);

    /// <param name="subscription">What the child has asked for.</param>
    public void Sent(SimulatedNode source, NodeId child, Subscription subscription, LogPage page)
    {
        Egress.Sent(source.Id, child, page.To.Value - page.From.Value);
        _selection.Sent(source.Id, child, subscription, page);
    }
}
