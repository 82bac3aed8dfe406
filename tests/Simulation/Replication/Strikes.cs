using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication;

/// <summary>The faults of one history, drawn one after the other until it heals.</summary>
internal sealed class Strikes(World world, Action<int> write)
{
    private bool _isOver;

    private Simulator Simulator => world.Simulator;

    public void Start()
    {
        world.Network.Loss = Rate(0.02);
        world.Network.Repetition = Rate(0.03);
        world.Network.Change = Rate(0.01);
        Later();
    }

    // None in a third of the histories: what one fault would cover up, another one needs.
    private double Rate(double max) => Simulator.Chance(0.33) ? 0 : max * Simulator.Random.NextDouble();

    private void Later() => Simulator.After(Simulator.Between(100, 2_500), "fault", () =>
    {
        if (!_isOver)
        {
            Strike();
            Later();
        }
    });

    private void Strike()
    {
        var node = world.Nodes[1 + Simulator.Random.Next(world.Nodes.Count - 1)];
        switch (Simulator.Random.Next(world.HasParts ? 15 : 13))
        {
            case 0:
                Crash(node, losesPower: false, Simulator.Between(50, 4_000));
                break;
            case 1:
                Crash(node, losesPower: true, Simulator.Between(50, 6_000));
                break;
            case 2:
                Crash(world.Hub, losesPower: false, Simulator.Between(50, 3_000));
                break;
            case 3:
                // So long that logs are cut meanwhile.
                Crash(node, losesPower: Simulator.Chance(0.3), Simulator.Between(4_000, 12_000));
                break;
            case 4:
                Crash(node, losesPower: true, Simulator.Between(500, 6_000), hasNewDisk: true);
                break;
            case 5:
                Crash(world.Find(world.RelaysOf(node.Region)[0].Value), losesPower: Simulator.Chance(0.3), Simulator.Between(50, 8_000));
                break;
            case 6:
                Cut([(node, SourceOf(node))], Simulator.Between(200, 6_000));
                break;
            case 7:
                Cut([(SourceOf(node), node)], Simulator.Between(200, 6_000));
                break;
            case 8:
                Cut([(node, SourceOf(node)), (SourceOf(node), node)], Simulator.Between(200, 10_000));
                break;
            case 9:
                CutRegion(node.Region, Simulator.Between(500, 10_000));
                break;
            case 10:
                node.IsSlow = !node.IsSlow;
                Simulator.Note($"the disk of {node.Id} is {(node.IsSlow ? "slow" : "as it should be")}");
                break;
            case 11:
                if (node.Store.TryDamage(Simulator.Random))
                {
                    world.Verdict.Count("records damaged");
                    Simulator.Note($"revision {node.Store.Damaged} of {node.Id} is damaged");
                }

                break;
            case 12:
                write(40 + Simulator.Random.Next(160));
                break;
            default:
                // Only so that it is told something else.
                Crash(node, losesPower: Simulator.Chance(0.2), Simulator.Between(50, 500));
                break;
        }
    }

    private SimulatedNode SourceOf(SimulatedNode node) => node.Upstream?.Current?.Target ?? world.Hub;

    private void Crash(SimulatedNode node, bool losesPower, TimeSpan downtime, bool hasNewDisk = false)
    {
        if (!node.IsUp)
        {
            return;
        }

        world.Verdict.Count("crashes");
        node.Crash(losesPower);
        var life = node.Life;
        Simulator.After(downtime, $"{node.Id} may start", () =>
        {
            if (!node.IsUp && node.Life == life)
            {
                if (world.HasParts && !node.IsHub && Simulator.Chance(0.5))
                {
                    node.Wanted = Subscriptions.Another(node.Wanted, Simulator.Random);
                }

                node.Restart(hasNewDisk);
            }
        });
    }

    private void Cut(List<(SimulatedNode From, SimulatedNode To)> ways, TimeSpan duration)
    {
        world.Verdict.Count("ways cut", ways.Count);
        foreach (var (from, to) in ways)
        {
            Simulator.Note($"the way from {from.Id} to {to.Id} is cut");
            world.Network.Cut(from.Id, to.Id);
        }

        Simulator.After(duration, "a way is mended", () =>
        {
            foreach (var (from, to) in ways)
            {
                world.Network.Mend(from.Id, to.Id);
            }
        });
    }

    private void CutRegion(RegionName region, TimeSpan duration)
    {
        var ways = new List<(SimulatedNode From, SimulatedNode To)>();
        foreach (var inside in world.Nodes.Where(node => node.Region == region))
        {
            foreach (var outside in world.Nodes.Where(node => node.Region != region))
            {
                ways.Add((inside, outside));
                ways.Add((outside, inside));
            }
        }

        Cut(ways, duration);
    }

    /// <summary>Faults end, and what they left behind is put right.</summary>
    public void Heal()
    {
        _isOver = true;
        world.Network.Heal();
        var told = world.Nodes.ConvertAll(node => node.Wanted);
        Subscriptions.Settle(world);
        for (var i = 0; i < told.Count; i++)
        {
            var node = world.Nodes[i];
            node.IsSlow = false;
            node.Store.Mend();
            if (node.IsUp && !node.Wanted.Equals(told[i]))
            {
                world.Verdict.Count("restarts for other keyspaces when nothing is wrong");
                node.Crash(losesPower: false);
            }

            if (!node.IsUp)
            {
                node.Restart(hasNewDisk: false);
            }
        }
    }
}
