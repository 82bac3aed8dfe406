using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a hub that was put back from old copies is found out by every region, and none gives up what it has; only where it is told to, a region
/// goes on being read. Method: all directories
/// of the hub copied, then more acknowledged writes, then the copies put in their place.
/// </summary>
public sealed class DivergenceTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_hub_from_old_copies_is_reported_by_every_region_and_no_region_loses_data()
    {
        await using var cluster = await ProcessCluster.StartAsync(
            Stop, under: node => node == "eu-0" ? ["env", "Quicksilver__Replication__ServeWhenDiverged=true"] : []);
        await using (var hub = cluster.Connect(TimeSpan.FromSeconds(60)))
        {
            await hub.Catalog.CreateAsync("flags", cancellation: Stop);
            await PutAsync(hub, "kept", 10);
        }

        await cluster.EqualAsync(Stop);
        await ReplaceHubsAsync(cluster, name => FileTree.Copy(cluster.Nodes.DataOf(name), cluster.Sub($"old-{name}")));
        await using (var hub = cluster.Connect(TimeSpan.FromSeconds(60)))
        {
            await PutAsync(hub, "later", 20);
        }

        await cluster.EqualAsync(Stop);
        await ReplaceHubsAsync(cluster, name =>
        {
            Directory.Delete(cluster.Nodes.DataOf(name), recursive: true);
            Directory.Move(cluster.Sub($"old-{name}"), cluster.Nodes.DataOf(name));
        });

        // The hub has less than the regions: no proof yet, a lagging member would look the same. It is said all the same.
        await StatesAsync(cluster, "behind this replica");
        await using (var hub = cluster.Connect(TimeSpan.FromSeconds(60)))
        {
            await PutAsync(hub, "other", 30);
        }

        await StatesAsync(cluster, "stopped (Diverged)");
        foreach (var node in new[] { "eu-0", "us-0" })
        {
            var lines = cluster.Nodes.LogEnd(node, 10_000).Split('\n');
            Assert.Single(lines, line => line.Contains("Replication stopped (Diverged)", StringComparison.Ordinal));

            // Not for each try; anew where the link was lost in between.
            Assert.InRange(lines.Count(line => line.Contains("behind this replica", StringComparison.Ordinal)), 1, 5);
            if (node == "us-0")
            {
                // A try takes its two seconds, of which a busy machine may need all to connect; then it tells another reason.
                await using var us = cluster.Connect(TimeSpan.FromSeconds(2), node);
                await Eventually.TrueAsync(
                    async () =>
                    {
                        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await us.Keyspace("flags").GetAsync("kept-1", ReadOptions.Eventual, Stop));
                        return e.ToString().Contains("ServeWhenDiverged", StringComparison.Ordinal);
                    },
                    "a refusal that names ServeWhenDiverged", Stop);
                continue;
            }

            // What was acknowledged is there, and what came after the copies were put back is not.
            await using var region = cluster.Connect(TimeSpan.FromSeconds(30), node);
            var keys = await region.Keyspace("flags").ScanAsync(cancellation: Stop).Select(row => row.Key.ToString()).ToListAsync(Stop);
            Assert.Equal((10, 20, 0), (Count("kept"), Count("later"), Count("other")));
            int Count(string prefix) => keys.Count(key => key.StartsWith(prefix, StringComparison.Ordinal));
        }
    }

    private static async Task PutAsync(QuicksilverClient hub, string prefix, int count)
    {
        for (var i = 0; i < count; i++)
        {
            await hub.Keyspace("flags").PutAsync($"{prefix}-{i}", prefix, cancellation: Stop);
        }
    }

    private static async Task ReplaceHubsAsync(ProcessCluster cluster, Action<string> replace)
    {
        var hubs = cluster.Nodes.Hubs.ToList();
        await Task.WhenAll(hubs.Select(hub => cluster.Nodes.KillAsync(hub, Stop)));
        hubs.ForEach(replace);
        hubs.ForEach(cluster.Nodes.Start);
        await cluster.ReadyAsync(Stop);
    }

    private static Task StatesAsync(ProcessCluster cluster, string state) => Eventually.TrueAsync(
        async () =>
        {
            foreach (var node in new[] { "eu-0", "us-0" })
            {
                if ((await cluster.FindStatusAsync(node, Stop))?.State.Contains(state, StringComparison.Ordinal) != true)
                {
                    return false;
                }
            }

            return true;
        },
        $"'{state}' at eu and us", Stop, TimeSpan.FromSeconds(60));
}
