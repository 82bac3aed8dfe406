using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a region node that dies in the middle of applying goes on from its own revision. Method: kill -9 of the node, again and
/// again, each time after it has applied more, while writers keep the hub busy.
/// </summary>
public sealed class RegionKillTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public Task A_region_node_killed_ten_times_while_it_applies_resumes_at_its_own_revision() => KillAsync(10);

    [Fact(Explicit = true)]
    public Task A_region_node_killed_many_times_while_it_applies_resumes_at_its_own_revision() =>
        KillAsync(int.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "200", System.Globalization.CultureInfo.InvariantCulture));

    private static async Task KillAsync(int rounds)
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop, hubs: 1);
        await using var hub = cluster.Connect(TimeSpan.FromSeconds(30));
        await hub.Catalog.CreateAsync("busy", cancellation: Stop);
        using var enough = new CancellationTokenSource();
        var writers = Enumerable.Range(0, 8).Select(writer => Task.Run(() => WriteAsync(hub, writer, enough.Token), Stop)).ToList();
        long seen = 0;
        for (var round = 0; round < rounds; round++)
        {
            var first = (await cluster.StatusAsync("eu-0", Stop)).Position.Revision.Value;
            Assert.True(first >= seen, $"Round {round}: the node was at revision {seen} when it died, and came back at {first}.");
            await Eventually.TrueAsync(
                async () => (seen = (await cluster.StatusAsync("eu-0", Stop)).Position.Revision.Value) >= first + 200 || writers.Exists(writer => writer.IsFaulted),
                $"progress before kill {round}", Stop, TimeSpan.FromSeconds(60));
            await cluster.Nodes.KillAsync("eu-0", Stop);
            cluster.Nodes.Start("eu-0");
            await cluster.Nodes.ReadyAsync(["eu-0"], TimeSpan.FromSeconds(60), Stop);
        }

        await enough.CancelAsync();
        await Task.WhenAll(writers);
        var at = await cluster.EqualAsync(Stop);
        Assert.Equal(0, (await cluster.StatusAsync("eu-0", Stop)).FullCopies);
        TestContext.Current.TestOutputHelper?.WriteLine($"{rounds} kills of eu-0, equal at revision {at}");
    }

    private static async Task WriteAsync(QuicksilverClient client, int writer, CancellationToken enough)
    {
        for (var i = 0; !enough.IsCancellationRequested; i++)
        {
            var mutations = Enumerable.Range(0, 5).Select(key => Mutation.Put($"{writer}/{i % 50}/{key}", BitConverter.GetBytes(i)));
            await client.Keyspace("busy").CommitAsync([], [.. mutations, Mutation.Delete($"{writer}/{(i + 25) % 50}/0")], cancellation: CancellationToken.None);
        }
    }
}
