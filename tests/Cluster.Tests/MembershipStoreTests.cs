using System.Text.Json.Nodes;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: trouble with the store of a region's membership stops neither reads nor pulls. Method: the store moved away, then emptied,
/// under readers of the region and a writer at the hub; the same with Redis and PostgreSQL, real servers that are stopped and started.
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
        await ArriveAsync(hub, [eu, us], "first");

        // Away at eu, emptied at us, and longer than silos take to notice anything.
        var stores = Path.Combine(cluster.Nodes.Data, "membership");
        Directory.Move(Path.Combine(stores, "eu"), Path.Combine(stores, "eu-away"));
        File.Delete(Path.Combine(stores, "us", "membership.json"));
        var processes = ProcessesOf(cluster);
        var start = TimeProvider.System.GetTimestamp();
        var count = 0;
        while (TimeProvider.System.GetElapsedTime(start) < Period)
        {
            await PropagateAsync(hub, [eu, us], $"{count++}");
        }

        // The same processes: none ended and was started again.
        Assert.True(cluster.Nodes.IsRunning("eu-0") && cluster.Nodes.IsRunning("us-0"), $"{cluster.Nodes.LogEnd("eu-0")}\n{cluster.Nodes.LogEnd("us-0")}");
        Assert.Equal(processes, ProcessesOf(cluster));
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
        await ArriveAsync(hub, [eu, us], "last");
        await cluster.EqualAsync(Stop);
    }

    [Theory]
    [InlineData("Redis")]
    [InlineData("PostgreSql")]
    public async Task Clusters_with_their_membership_in_a_real_server_work_and_go_on_while_it_is_away(string kind)
    {
        Assert.SkipWhen(MembershipServer.Missing(kind) is not null, $"No server was started: this needs {MembershipServer.Missing(kind)}.");
        await using var server = await MembershipServer.StartAsync(kind, Stop);
        await using var cluster = await ProcessCluster.StartAsync(
            Stop, hubs: 3, regions: ["eu"], replicasPerRegion: 2, prepare: nodes =>
            {
                foreach (var file in Directory.GetFiles(Path.Combine(nodes.Data, "config")))
                {
                    var settings = JsonNode.Parse(File.ReadAllText(file))!;
                    settings["Quicksilver"]!["Membership"] = new JsonObject { [server.Setting.Setting] = server.Setting.Value };
                    File.WriteAllText(file, settings.ToJsonString());
                }

                return Task.CompletedTask;
            });
        await using var hub = cluster.Connect(TimeSpan.FromSeconds(20));
        await using var eu = cluster.Connect(TimeSpan.FromSeconds(20), "eu-0");
        await using var second = cluster.Connect(TimeSpan.FromSeconds(20), "eu-1");
        await hub.Catalog.CreateAsync("flags", cancellation: Stop);
        await ArriveAsync(hub, [eu, second], "first");

        // The two of a region know each other by the table: one pulls from outside, the other from it.
        await Eventually.TrueAsync(
            async () =>
            {
                // Who describes both has them by the table.
                var inspector = new ClusterInspector([cluster.Nodes["eu-0"].Gateway], TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
                try
                {
                    return (await inspector.StatusAsync(Stop)).Nodes.Any(node => node.Node.Value == "eu-1" && node.Path is [{ Value: "eu-0" }, ..]);
                }
                catch (QuicksilverException)
                {
                    return false;
                }
            },
            "eu-1 pulling from eu-0", Stop, TimeSpan.FromSeconds(60));

        // A killed node is declared dead by the table, and comes back.
        await cluster.Nodes.KillAsync("eu-1", Stop);
        var leader = await cluster.LeaderAsync(Stop);
        await cluster.Nodes.KillAsync(leader, Stop);
        await ArriveAsync(hub, [eu], "one of each away");
        cluster.Start("eu-1");
        cluster.Start(leader);
        await cluster.ReadyAsync(Stop);
        await ArriveAsync(hub, [eu, second], "both back");

        await server.KillAsync(Stop);
        var processes = ProcessesOf(cluster);
        var start = TimeProvider.System.GetTimestamp();
        var count = 0;
        while (TimeProvider.System.GetElapsedTime(start) < Period)
        {
            await PropagateAsync(hub, [eu, second], $"{count++}");
        }

        Assert.True(count > 10);
        Assert.Equal(processes, ProcessesOf(cluster));
        await server.StartAsync(Stop);
        await cluster.Nodes.KillAsync("eu-0", Stop);
        cluster.Start("eu-0");
        await cluster.ReadyAsync(Stop);
        await ArriveAsync(hub, [eu, second], "last");
        await cluster.EqualAsync(Stop);

        // Nobody reads the password in a log.
        var password = server.Setting.Value.Split("assword=")[1].Split(';')[0];
        Assert.DoesNotContain(cluster.Nodes.Layout.Nodes, node => cluster.Nodes.LogEnd(node.Node, 1_000_000).Contains(password, StringComparison.Ordinal));
    }

    private static List<int> ProcessesOf(ProcessCluster cluster) => [.. cluster.Nodes.Layout.Nodes.Select(node => node.Pid)];

    /// <summary>
    /// A put that arrives at regions whose nodes were just started. They are ready before they are linked to the hub, and answer until then that
    /// they are not there yet.
    /// </summary>
    private static async Task ArriveAsync(QuicksilverClient hub, QuicksilverClient[] regions, string value)
    {
        await hub.Keyspace("flags").PutAsync("k", value, cancellation: Stop);
        var session = hub.Session!.Value;
        foreach (var region in regions)
        {
            Entry? entry = null;
            await Eventually.TrueAsync(
                async () =>
                {
                    try
                    {
                        entry = await region.Keyspace("flags").GetAsync("k", ReadOptions.AtLeast(session.Position), Stop);
                        return true;
                    }
                    catch (QuicksilverException e) when (e.IsTransient)
                    {
                        return false;
                    }
                },
                $"'{value}' at a region", Stop, TimeSpan.FromSeconds(60));
            Assert.Equal(value, entry?.Text);
        }
    }

    /// <summary>A put that is seen at regions at once, as long as they are linked to the hub.</summary>
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
