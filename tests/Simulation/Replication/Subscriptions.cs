using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// Which keyspaces the nodes are to hold. At the beginning and after the faults the nodes of a region ask for parts of what its relays hold; in
/// between anybody is told anything, and what a source does not hold must be had from another.
/// </summary>
internal static class Subscriptions
{
    /// <summary>As many regions as there are at most can be sources of each other in a ring, and one tier more is below.</summary>
    private const int Rounds = 5;

    private static readonly string[] s_widest = ["flags", "users*", "orders.*", "*.eu", "late*"];

    /// <summary>Patterns whose names are all among those of another.</summary>
    private static string[] Below(string pattern) => pattern switch
    {
        "users*" => ["users", "users.*", "users.eu"],
        "users.*" => ["users.eu", "users.us"],
        "orders.*" => ["orders.eu", "orders.us"],
        "*.eu" => ["users.eu", "orders.eu", "late.eu"],
        "late*" => ["late", "late.eu"],
        _ => [pattern],
    };

    /// <summary>A part of a subscription, seldom all or nothing of it.</summary>
    public static Subscription Narrow(Subscription from, Random random)
    {
        var patterns = new List<string>();
        foreach (var pattern in from.Patterns ?? s_widest)
        {
            var below = Below(pattern);
            switch (random.Next(4))
            {
                case 0:
                    break;
                case 1:
                    patterns.Add(below[random.Next(below.Length)]);
                    break;
                default:
                    patterns.Add(pattern);
                    break;
            }
        }

        return Subscription.TryCreate(patterns, out var narrow, out var problem) ? narrow : throw new InvalidOperationException(problem);
    }

    /// <summary>Of the beginning.</summary>
    public static void Draw(World world)
    {
        if (!world.HasParts)
        {
            return;
        }

        foreach (var node in world.Nodes.Where(node => !node.IsHub))
        {
            var most = AboveOf(world, node)[0].Wanted;
            node.Wanted = world.Simulator.Chance(0.35) ? most : Narrow(most, world.Random);
        }

        Agree(world);
    }

    /// <summary>What somebody makes of it, whatever its sources hold.</summary>
    public static Subscription Another(Subscription before, Random random) => random.Next(4) switch
    {
        0 => Subscription.All,
        1 => Narrow(before, random),
        _ => Narrow(Subscription.All, random),
    };

    /// <summary>Of the end: some hold more or less than before, and all are held by their sources.</summary>
    public static void Settle(World world)
    {
        if (!world.HasParts)
        {
            return;
        }

        foreach (var node in world.Nodes.Where(node => !node.IsHub))
        {
            // All of them is cut down to what there is above it.
            node.Wanted = world.Simulator.Chance(0.25) ? Subscription.All
                : world.Simulator.Chance(0.15) ? Narrow(node.Wanted, world.Random)
                : node.Wanted;
        }

        Agree(world);
    }

    private static void Agree(World world)
    {
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var node in world.Nodes.Where(node => !node.IsHub))
            {
                foreach (var above in AboveOf(world, node))
                {
                    if (!above.Wanted.Covers(node.Wanted))
                    {
                        node.Wanted = above.Wanted.Common(node.Wanted);
                    }
                }
            }
        }
    }

    /// <summary>Those that a node pulls from when nothing is wrong.</summary>
    private static List<SimulatedNode> AboveOf(World world, SimulatedNode node)
    {
        var relays = world.RelaysOf(node.Region);
        return relays.Contains(node.Id) ? [world.Find(node.Upstreams[0])] : relays.ConvertAll(relay => world.Find(relay.Value));
    }
}
