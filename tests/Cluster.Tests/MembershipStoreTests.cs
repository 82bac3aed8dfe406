using Quicksilver.Client;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: trouble with the store of a region's membership stops neither reads nor pulls. Method: the store moved away, then emptied,
/// under readers of the region and a writer at the hub.
/// </summary>
public sealed class MembershipStoreTests
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(10);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_region_reads_and_pulls_on_while_its_membership_store_is_away_or_empty_and_restarts_when_it_is_back()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop, hubs: 1);
        await using var hub = cluster.Connect(TimeSpan.FromSeconds(10));
        await using var eu = cluster.Connect(TimeSpan.FromSeconds(10), "eu-0");
        await using var us = cluster.Connect(TimeSpan.FromSeconds(10), "us-0");
        await hub.Catalog.CreateAsync("flags", cancellation: Stop);
        await PropagateAsync(hub, [eu, us], "first");

        // Away at eu, emptied at us, and longer than silos take to notice anything.
        var stores = Path.Combine(cluster.Nodes.Data, "membership");
        Directory.Move(Path.Combine(stores, "eu"), Path.Combine(stores, "eu-away"));
        File.Delete(Path.Combine(stores, "us", "membership.json"));
        var start = TimeProvider.System.GetTimestamp();
        var count = 0;
        while (TimeProvider.System.GetElapsedTime(start) < Period)
        {
            await PropagateAsync(hub, [eu, us], $"{count++}");
        }

        Assert.True(cluster.Nodes.IsRunning("eu-0") && cluster.Nodes.IsRunning("us-0"), $"{cluster.Nodes.LogEnd("eu-0")}\n{cluster.Nodes.LogEnd("us-0")}");
        TestContext.Current.TestOutputHelper?.WriteLine($"{count} puts seen at eu and us without their stores");

        // The store is back: nodes can be restarted.
        Assert.False(Directory.Exists(Path.Combine(stores, "eu")));
        Directory.Move(Path.Combine(stores, "eu-away"), Path.Combine(stores, "eu"));
        foreach (var node in new[] { "eu-0", "us-0" })
        {
            await cluster.Nodes.KillAsync(node, Stop);
            cluster.Nodes.Start(node);
        }

        await cluster.ReadyAsync(Stop);
        await PropagateAsync(hub, [eu, us], "last");
        await cluster.EqualAsync(Stop);
    }

    private static async Task PropagateAsync(QuicksilverClient hub, QuicksilverClient[] regions, string value)
    {
        await hub.Keyspace("flags").PutAsync("k", value, cancellation: Stop);
        var session = hub.Session!.Value;
        foreach (var region in regions)
        {
            Assert.Equal(value, (await region.Keyspace("flags").GetAsync("k", ReadOptions.AtLeast(session.Position), Stop))?.Text);
        }
    }
}
