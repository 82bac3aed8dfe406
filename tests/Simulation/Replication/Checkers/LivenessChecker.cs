namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>
/// When everything has healed and nobody writes, all nodes are level with the hub after a bounded time, each with the keyspaces that it is to
/// hold; and after another, each pulls from where it should: nodes of a region from its relays, and only those from outside.
/// </summary>
internal sealed class LivenessChecker(World world)
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(250);

    private IEnumerable<SimulatedNode> Late =>
        world.Nodes.Where(node => node.Store.Last != world.Truth.Last || !node.Store.Progress.Subscription.Equals(node.Wanted));

    /// <summary>Those that do not pull from where they should.</summary>
    private IEnumerable<SimulatedNode> Lost => world.Nodes.Where(node => !node.IsHub && !IsWellLinked(node));

    private bool IsWellLinked(SimulatedNode node)
    {
        if (node.Upstream?.Current?.Target is not { } source)
        {
            return false;
        }

        var relays = world.RelaysOf(node.Region);
        return relays.Contains(node.Id) ? node.Upstreams.Contains(source.Id.Value) : relays.Contains(source.Id);
    }

    public bool AwaitLevel() => Await(
        "liveness", "levels within", () => !Late.Any(), () => Late.Select(node =>
            $"{node.Id} at {node.Store.Last} of {world.Truth.Last} with {node.Store.Progress.Subscription} of {node.Wanted} ({node.Replicator?.Status})"));

    public bool AwaitOrder() => Await(
        "egress", "order within", () => !Lost.Any(), () => Lost.Select(node => $"{node.Id} pulls from {node.Upstream?.Current?.Target.Id.Value ?? "nobody"} ({node.Replicator?.Status})"));

    private bool Await(string checker, string what, Func<bool> isReached, Func<IEnumerable<string>> late)
    {
        var begin = world.Now;
        while (!isReached())
        {
            if (world.Verdict.Wrong.Count > 0)
            {
                return false;
            }

            if (world.Now - begin > Tuning.LivenessBound)
            {
                world.Verdict.Fail(checker, $"{Tuning.LivenessBound.TotalSeconds} s after everything healed: {string.Join(", ", late().Take(3))}");
                return false;
            }

            world.Simulator.RunUntil(world.Now + Step, ReplicationSimulation.MaxEvents);
        }

        var seconds = (world.Now - begin).TotalSeconds;
        world.Verdict.Count($"{what} {(seconds < 1 ? 1 : seconds < 5 ? 5 : seconds < 15 ? 15 : seconds < 30 ? 30 : 60)} s");
        return true;
    }
}
