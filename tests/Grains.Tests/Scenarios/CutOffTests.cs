using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: a region that loses the hub goes on serving and later catches up from its own revision. Method: a cluster of its own
/// whose hub is stopped and started again.
/// </summary>
public sealed class CutOffTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_region_serves_without_the_hub_and_resumes_when_it_is_back()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var us = cluster.Connect("us");
        await us.Catalog.CreateAsync("flags", cancellation: Stop);
        await us.Keyspace("flags").PutAsync("k", "before", cancellation: Stop);
        await cluster.LevelAsync("us", Stop);
        await cluster.LevelAsync("eu", Stop);
        await cluster.StopAsync("hub");

        Assert.Equal("before", (await us.Keyspace("flags").GetAsync("k", cancellation: Stop))!.Text);

        // A client of its own for the write that cannot be made: one of little patience.
        await using var writer = cluster.Connect("us", TimeSpan.FromSeconds(5));
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await writer.Keyspace("flags").PutAsync("k", "lost", cancellation: Stop));
        Assert.True(e is { Code: QuicksilverErrorCode.Unavailable, Outcome: WriteOutcome.NotCommitted } or { Code: QuicksilverErrorCode.OutcomeUnknown, Outcome: WriteOutcome.Unknown }, $"{e.Code} {e.Outcome}");
        var ahead = us.Session!.Value.Position with { Revision = new(us.Session.Value.Position.Revision.Value + 1) };
        e = await Assert.ThrowsAsync<QuicksilverException>(async () => await us.Keyspace("flags").GetAsync("k", ReadOptions.AtLeast(ahead), Stop));
        Assert.Equal(QuicksilverErrorCode.NotYet, e.Code);
        var stale = await us.Keyspace("flags").GetAsync("k", ReadOptions.AtLeast(ahead) with { AllowStaleWhenCutOff = true }, Stop);
        Assert.Equal("before", stale!.Text);

        await cluster.StopAsync("eu");
        await cluster.StartAsync("hub", Stop);
        await cluster.StartAsync("eu", Stop);
        await using var again = cluster.Connect("us", TimeSpan.FromSeconds(60));
        await again.Keyspace("flags").PutAsync("k", "after", cancellation: Stop);
        Assert.Equal("after", (await again.Keyspace("flags").GetAsync("k", cancellation: Stop))!.Text);
        await cluster.LevelAsync("eu", Stop);
        await cluster.LevelAsync("us", Stop);
        Assert.Equal(0, cluster["us"].Status.FullCopies);
        await cluster.EqualAsync("eu", Stop);
    }
}
