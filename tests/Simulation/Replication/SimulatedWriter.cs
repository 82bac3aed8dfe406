using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// Writes at the hub, to several keyspaces: some are created late, some are dropped, and some of those created again under the same name, which
/// are other ones.
/// </summary>
internal sealed class SimulatedWriter(World world)
{
    /// <summary>All that a keyspace is ever called.</summary>
    public static readonly List<KeyspaceName> Names =
        [.. new[] { "flags", "users", "users.eu", "users.us", "orders.eu", "orders.us", "late", "late.eu" }.Select(KeyspaceName.Parse)];

    private const int MinKeyspaces = 3;

    public void Write(int count)
    {
        var hub = world.Hub;
        if (!hub.IsUp || count == 0)
        {
            return;
        }

        var now = hub.LogClock.Now;
        var records = new List<ReadOnlyMemory<byte>>();
        for (var i = 0; i < count; i++)
        {
            records.Add(Next(now));
        }

        world.Simulator.Note($"the hub is at revision {world.Truth.Last}");
        hub.Store.Append(records);
    }

    private ReadOnlyMemory<byte> Next(LogTime now)
    {
        var (truth, random) = (world.Truth, world.Random);
        var share = random.NextDouble();
        if (truth.Living.Count < MinKeyspaces || share < 0.015)
        {
            var free = Names.FindAll(name => !truth.Living.Exists(living => living.Name == name));
            if (free.Count > 0)
            {
                var name = free[random.Next(free.Count)];
                var isAgain = truth.Keyspaces.Exists(before => before.Name == name);
                world.Verdict.Count(isAgain ? "keyspaces created again" : "keyspaces created");
                world.Simulator.Note($"{name} is created at revision {truth.Last.Next}");
                return truth.Create(name, now, random);
            }
        }
        else if (share < 0.025 && truth.Living.Count > MinKeyspaces)
        {
            var dropped = truth.Living[random.Next(truth.Living.Count)];
            world.Verdict.Count("keyspaces dropped");
            world.Simulator.Note($"{dropped.Name} is dropped at revision {truth.Last.Next}");
            return truth.Drop(dropped, now, random);
        }

        return truth.Append(truth.Living[random.Next(truth.Living.Count)], now, random);
    }
}
