using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication;

/// <summary>The bug of <see cref="Plant.AlsoPullsFromTheHub"/>: a node that a relay serves has a session at the hub, too.</summary>
internal sealed class SidePull(World world, SimulatedNode node)
{
    public void Start() => node.After(TimeSpan.FromMilliseconds(500), $"{node.Id} pulls beside", Open);

    private void Open()
    {
        if (!world.Hub.IsUp || node.Store.Progress.Cluster.IsNone || node.Upstream?.Current?.Target.IsHub != false)
        {
            Start();
            return;
        }

        var own = node.Store.Progress;
        var connection = new Connection(world, node, world.Hub, world.Hub.Life, reset => reset.Abandon());
        connection.Call<OpenPullAnswer>(
            "open beside", Tuning.CallTimeout,
            (hub, answer) => answer(hub.Source.Open(new(
                node.Id, node.Region, node.Id.Value, own.Cluster, own.Position, own.Chain, Keyspaces: own.Subscription.Patterns?.ToArray()))),
            opened => Next(connection, opened, 0), _ => Start());
    }

    private void Next(Connection connection, OpenPullAnswer opened, long number)
    {
        if (opened.Status != OpenPullStatus.Open)
        {
            Start();
            return;
        }

        connection.Call<LogPage>(
            "next beside", Tuning.CallTimeout,
            (hub, answer) => hub.Source.Next(new(opened.Session, number, node.Store.Last, Tuning.Pull.PageBytes, Tuning.Pull.MaxWait), answer),
            page =>
            {
                if (page.Status == PageStatus.Ok)
                {
                    Next(connection, opened, number + 1);
                }
                else
                {
                    Start();
                }
            },
            _ => Start());
    }
}
