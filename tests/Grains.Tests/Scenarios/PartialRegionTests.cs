using System.Text;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: a region that holds some keyspaces serves those as any region does, says of the others that it does not hold them, has no byte of them on
/// its disk, and holds others when it is told to. Method: a cluster of its own, whose region <c>eu</c> is started again with other settings.
/// </summary>
[Collection(Alone.Name)]
public sealed class PartialRegionTests
{
    private const string Secret = "nobody-in-eu-may-have-this";

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static Subscription Of(params string[] patterns) =>
        Subscription.TryCreate(patterns, out var subscription, out var problem) ? subscription : throw new ArgumentException(problem);

    [Fact]
    public async Task A_region_that_holds_some_keyspaces_serves_them_and_nothing_else_and_takes_others_in_while_it_serves()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await cluster.StopAsync("eu");
        cluster.Change("eu", settings => settings with { Keyspaces = Of("route-*"), DataDirectory = settings.DataDirectory + "-partial" });
        await using var hub = cluster.Connect("hub");
        foreach (var name in new[] { "flags", "route-a", "route-b" })
        {
            await hub.Catalog.CreateAsync(name, cancellation: Stop);
        }

        await hub.Keyspace("flags").PutAsync("k", Secret, cancellation: Stop);
        await hub.Keyspace("route-a").PutAsync("k", "a", cancellation: Stop);
        await cluster.StartAsync("eu", Stop);
        await cluster.LevelAsync("eu", Stop);
        await using var eu = cluster.Connect("eu");
        Assert.Equal("a", (await eu.Keyspace("route-a").GetAsync("k", cancellation: Stop))!.Text);
        Assert.Equal(3, await eu.Catalog.ListAsync(cancellation: Stop).CountAsync(Stop));
        Assert.Null(await eu.Keyspace("route-b").GetAsync("k", cancellation: Stop));
        await NotHeldAsync(eu, "flags");

        // Writes to all keyspaces go through it, and a session waits for what it wrote, also where it is not held here: as long as for what is.
        var held = await SessionAsync(eu, "route-a", "k", "a");
        var notHeld = await SessionAsync(eu, "flags", "k2", Secret);
        var allowed = Math.Max(1, 3 * held.TotalSeconds);
        Assert.True(notHeld.TotalSeconds < allowed, $"A session waited for {notHeld} although there was nothing more for this region; with something it was {held}.");
        await eu.Keyspace("route-b").PutAsync("k", "b", cancellation: Stop);
        Assert.Equal("b", (await eu.Keyspace("route-b").GetAsync("k", cancellation: Stop))!.Text);
        await eu.Catalog.CreateAsync("route-new", cancellation: Stop);
        await eu.Keyspace("route-new").PutAsync("k", "new", cancellation: Stop);
        Assert.Equal("new", (await eu.Keyspace("route-new").GetAsync("k", cancellation: Stop))!.Text);
        await eu.Catalog.DeleteAsync("route-b", Stop);
        Assert.Equal(QuicksilverErrorCode.KeyspaceNotFound, (await Assert.ThrowsAsync<QuicksilverException>(
            async () => await eu.Keyspace("route-b").GetAsync("k", cancellation: Stop))).Code);
        await EqualAsync(cluster);
        var get = await cluster.QsAsync("eu", "get", "flags", "k");
        Assert.Contains("Quicksilver:Keyspaces", get.Errors, StringComparison.Ordinal);
        Assert.Contains("route-*", (await cluster.QsAsync("eu", "status", "--json")).Output, StringComparison.Ordinal);

        var directory = cluster["eu"].Settings.DataDirectory;
        await cluster.StopAsync("eu");
        Assert.DoesNotContain(Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories), file => Contains(file, Secret));

        // More, from a copy, while it serves; then less.
        cluster.Change("eu", settings => settings with { Keyspaces = Of("route-*", "flags") });
        await hub.Keyspace("flags").PutAsync("k3", Secret, cancellation: Stop);
        await cluster.StartAsync("eu", Stop);
        await Eventually.TrueAsync(
            async () =>
            {
                Assert.Equal("a", (await eu.Keyspace("route-a").GetAsync("k", ReadOptions.Eventual, Stop))!.Text);
                return cluster["eu"].Status.Keyspaces is { Length: 2 };
            },
            "flags held as well", Stop);
        Assert.Equal(Secret, (await eu.Keyspace("flags").GetAsync("k3", cancellation: Stop))!.Text);
        await eu.Keyspace("flags").PutAsync("k4", "4", cancellation: Stop);
        Assert.Equal("4", (await eu.Keyspace("flags").GetAsync("k4", cancellation: Stop))!.Text);
        await EqualAsync(cluster);
        Assert.Equal(0, cluster["eu"].Status.FullCopies);

        await cluster.StopAsync("eu");
        cluster.Change("eu", settings => settings with { Keyspaces = Of("flags") });
        await cluster.StartAsync("eu", Stop);
        await Eventually.TrueAsync(() => cluster["eu"].Status.Keyspaces is ["flags"], "only flags held", Stop);
        await NotHeldAsync(eu, "route-a");
        await EqualAsync(cluster);
        await cluster.StopAsync("eu");
        cluster.Change("eu", settings => settings with { Keyspaces = Subscription.All });
        await cluster.StartAsync("eu", Stop);
        await Eventually.TrueAsync(() => cluster["eu"].Status.Keyspaces is null, "everything held", Stop);
        Assert.Equal("new", (await eu.Keyspace("route-new").GetAsync("k", cancellation: Stop))!.Text);
        await EqualAsync(cluster);
    }

    /// <summary>How long a put takes, and a read in its session of what the region holds.</summary>
    private static async Task<TimeSpan> SessionAsync(QuicksilverClient client, string keyspace, string key, string value)
    {
        var start = TimeProvider.System.GetTimestamp();
        await client.Keyspace(keyspace).PutAsync(key, value, cancellation: Stop);
        Assert.Equal("a", (await client.Keyspace("route-a").GetAsync("k", cancellation: Stop))!.Text);
        return TimeProvider.System.GetElapsedTime(start);
    }

    private static async Task NotHeldAsync(QuicksilverClient client, string keyspace)
    {
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await client.Keyspace(keyspace).GetAsync("k", cancellation: Stop));
        Assert.Equal(QuicksilverErrorCode.KeyspaceNotHeld, e.Code);
        Assert.Contains("Quicksilver:Keyspaces", e.Message, StringComparison.Ordinal);
        e = await Assert.ThrowsAsync<QuicksilverException>(async () => await client.Keyspace(keyspace).ScanPageAsync(new(), default, Stop));
        Assert.Equal(QuicksilverErrorCode.KeyspaceNotHeld, e.Code);
    }

    private static async Task EqualAsync(LiveCluster cluster)
    {
        await cluster.LevelAsync("eu", Stop);
        await cluster.LevelAsync("us", Stop);

        // A node that does not answer at this moment is asked again; one that differs is a failure at once.
        QsRun? verify = null;
        bool IsEqual() => verify!.ExitCode == 0 && verify.Output.Contains("equal: 3 nodes", StringComparison.Ordinal);
        await Eventually.TrueAsync(
            async () =>
            {
                verify = await cluster.QsAsync("hub", "verify");
                return IsEqual() || verify.Output.Contains(" different ", StringComparison.Ordinal);
            },
            "three nodes that can be compared", Stop);
        Assert.True(IsEqual(), verify!.Output + verify.Errors);
    }

    private static bool Contains(string file, string text) => File.ReadAllBytes(file).AsSpan().IndexOf(Encoding.UTF8.GetBytes(text)) >= 0;
}
