using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: in a region of several nodes one pulls from the hub and the others from it, whoever dies; a region far from the hub pulls from
/// another; and an orphan serves its children. Method: processes, killed with -9, while a reader watches and a writer goes on.
/// </summary>
public sealed class RelayTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>The nodes that answer at this moment; for polls.</summary>
    private static async Task<Dictionary<string, NodeStatus>> StatusAsync(ProcessCluster cluster)
    {
        try
        {
            return (await cluster.Inspector.StatusAsync(Stop)).Nodes.ToDictionary(node => node.Node.Value);
        }
        catch (QuicksilverException)
        {
            return [];
        }
    }

    private static string Source(Dictionary<string, NodeStatus> nodes, string node) =>
        nodes.TryGetValue(node, out var status) && status.Path is [var source, ..] ? source.Value : "";

    /// <summary>Waits until these are all the children of the hub.</summary>
    private static Task ChildrenAsync(ProcessCluster cluster, string expected) => Eventually.TrueAsync(
        async () => (await StatusAsync(cluster)).TryGetValue("hub-0", out var hub) && string.Join(' ', hub.Children.Select(child => child.Node.Value)) == expected,
        $"the hub's children {expected}", Stop, TimeSpan.FromSeconds(60));

    /// <summary>Waits until the nodes have these sources.</summary>
    private static Task SourcesAsync(ProcessCluster cluster, string expected, TimeSpan? within = null) => Eventually.TrueAsync(
        async () =>
        {
            var nodes = await StatusAsync(cluster);
            return expected.Split(' ').Select(pair => pair.Split('<')).All(pair => Source(nodes, pair[0]) == pair[1]);
        },
        $"the sources {expected}", Stop, within ?? TimeSpan.FromSeconds(60));

    [Fact]
    public async Task One_node_of_a_region_pulls_from_the_hub_and_another_takes_over_when_it_dies_while_reads_go_on()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop, hubs: 1, regions: ["eu"], replicasPerRegion: 3, under: _ => ["env", "Quicksilver__Replication__ReturnAfter=00:00:03"]);
        await using var hub = cluster.Connect(TimeSpan.FromSeconds(30));
        await hub.Catalog.CreateAsync("flags", cancellation: Stop);
        await SourcesAsync(cluster, "eu-0<hub-0 eu-1<eu-0 eu-2<eu-0");
        await ChildrenAsync(cluster, "eu-0");

        // Who has a source need not have what it has: the keyspace, without which a reader fails.
        await cluster.EqualAsync(Stop);

        using var enough = new CancellationTokenSource();
        var writing = Task.Run(async () =>
        {
            for (var i = 1; !enough.IsCancellationRequested; i++)
            {
                await hub.Keyspace("flags").PutAsync("k", $"{i}", cancellation: CancellationToken.None);
            }
        }, Stop);
        var reading = Task.Run(() => ReadAsync(cluster, "eu-1", enough.Token), Stop);

        await cluster.Nodes.KillAsync("eu-0", Stop);
        await SourcesAsync(cluster, "eu-1<hub-0 eu-2<eu-1", TimeSpan.FromSeconds(90));
        await ChildrenAsync(cluster, "eu-1");

        // A new node in the place of one that lost its disk begins with what a neighbour has.
        await cluster.Nodes.KillAsync("eu-2", Stop);
        Directory.Delete(cluster.Nodes.DataOf("eu-2"), recursive: true);
        cluster.Start("eu-2");
        await SourcesAsync(cluster, "eu-2<eu-1");

        // The first is back. The others pull from it again after a while; until then from each other, never in a circle.
        cluster.Start("eu-0");
        await SourcesAsync(cluster, "eu-0<hub-0 eu-1<eu-0 eu-2<eu-0", TimeSpan.FromSeconds(120));
        await enough.CancelAsync();
        await writing;
        Assert.True(await reading > 100);
        await cluster.EqualAsync(Stop);
    }

    /// <summary>Reads at a node until it is enough; the count. Fails where a read fails or goes back.</summary>
    private static async Task<int> ReadAsync(ProcessCluster cluster, string node, CancellationToken enough)
    {
        await using var client = cluster.Connect(TimeSpan.FromSeconds(10), node);
        var (last, reads) = (0, 0);
        for (; !enough.IsCancellationRequested; reads++)
        {
            var read = await client.Keyspace("flags").GetAsync("k", new() { Consistency = ReadConsistency.Eventual }, CancellationToken.None);
            var seen = read is null ? 0 : int.Parse(read.Text, System.Globalization.CultureInfo.InvariantCulture);
            Assert.True(seen >= last, $"{node} answered {seen} after {last}.");
            last = seen;
        }

        return reads;
    }

    [Fact]
    public async Task A_region_pulls_from_another_region_which_serves_it_also_as_an_orphan()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop, hubs: 1, regions: ["eu", "ap:eu"]);
        await using (var ap = cluster.Connect(TimeSpan.FromSeconds(30), "ap-0"))
        {
            // A write from below goes up the tree and comes down again.
            await ap.Catalog.CreateAsync("flags", cancellation: Stop);
            await ap.Keyspace("flags").PutAsync("k", "1", cancellation: Stop);
            Assert.Equal("1", (await ap.Keyspace("flags").GetAsync("k", cancellation: Stop))!.Text);
        }

        await Eventually.TrueAsync(
            async () => (await cluster.FindStatusAsync("ap-0", Stop))?.Path is { } path && string.Join(' ', path) == "eu-0 hub-0",
            "the path of ap-0 over eu-0", Stop, TimeSpan.FromSeconds(60));
        await ChildrenAsync(cluster, "eu-0");
        await cluster.EqualAsync(Stop);

        await cluster.Nodes.KillAsync("hub-0", Stop);
        await cluster.Nodes.KillAsync("ap-0", Stop);
        Directory.Delete(cluster.Nodes.DataOf("ap-0"), recursive: true);
        cluster.Start("ap-0");
        await cluster.Nodes.ReadyAsync(["ap-0"], TimeSpan.FromSeconds(60), Stop);
        await using (var ap = cluster.Connect(TimeSpan.FromSeconds(30), "ap-0"))
        {
            await Eventually.TrueAsync(
                async () => (await ap.Keyspace("flags").GetAsync("k", new() { Consistency = ReadConsistency.Eventual }, Stop))?.Text == "1",
                "what the orphan has", Stop);
        }

        cluster.Start("hub-0");
        await cluster.ReadyAsync(Stop);
        await SourcesAsync(cluster, "eu-0<hub-0 ap-0<eu-0");
        await cluster.EqualAsync(Stop);
    }
}
