using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: a key that is put with a time to live says when it goes, and goes everywhere, unless it is put again. Method: the SDK against a
/// running cluster, through a region.
/// </summary>
public sealed class ExpiryTests(SharedCluster shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_key_goes_everywhere_after_its_time_and_one_that_was_put_again_stays()
    {
        await using var us = shared.Cluster.Connect("us");
        await us.Catalog.CreateAsync("expiry", cancellation: Stop);
        var keyspace = us.Keyspace("expiry");
        var hour = TimeSpan.FromHours(1);
        var before = TimeProvider.System.GetUtcNow();
        await keyspace.PutAsync("an-hour", "v", new() { TimeToLive = hour, Metadata = "m"u8.ToArray() }, Stop);
        var after = TimeProvider.System.GetUtcNow();
        var entry = await keyspace.GetAsync("an-hour", cancellation: Stop);
        Assert.NotNull(entry);
        Assert.Equal(("v", "m"), (entry.Text, System.Text.Encoding.UTF8.GetString(entry.Metadata.Span)));
        Assert.InRange(entry.ExpiresAt!.Value, before + hour - TimeSpan.FromSeconds(1), after + hour + TimeSpan.FromSeconds(10));
        Assert.Equal(entry.ExpiresAt, (await keyspace.ScanAsync(cancellation: Stop).FirstAsync(Stop)).Entry.ExpiresAt);

        // Nothing is asked of the key that goes but that it goes: what is asked may take longer than it is there. The time of the one that
        // stays is over before.
        var ttl = TimeSpan.FromSeconds(1);
        await keyspace.PutAsync("stays", "v", new() { TimeToLive = ttl }, Stop);
        await keyspace.PutAsync("stays", "v", cancellation: Stop);
        Assert.Null((await keyspace.GetAsync("stays", cancellation: Stop))!.ExpiresAt);
        var goes = await keyspace.PutAsync("goes", "v", new() { TimeToLive = ttl }, Stop);
        Assert.Equal(CommitStatus.Committed, goes.Status);

        foreach (var region in new[] { "hub", "eu", "us" })
        {
            await Eventually.TrueAsync(() => shared.Cluster[region].Status.Position.Revision >= goes.Revision, $"the puts at {region}", Stop);
            await using var client = shared.Cluster.Connect(region);
            await Eventually.TrueAsync(async () => await client.Keyspace("expiry").GetAsync("goes", cancellation: Stop) is null, $"the key gone at {region}", Stop);
            Assert.Equal("v", (await client.Keyspace("expiry").GetAsync("stays", cancellation: Stop))!.Text);
            Assert.NotNull(await client.Keyspace("expiry").GetAsync("an-hour", cancellation: Stop));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(3651L * 24 * 3600 * 1000)]
    public async Task A_time_to_live_outside_the_limits_is_refused_before_anything_is_sent(long milliseconds)
    {
        await using var client = shared.Cluster.Connect("eu");
        await Assert.ThrowsAsync<ArgumentException>(async () => await client.Keyspace("expiry").PutAsync(
            "k", "v", new() { TimeToLive = TimeSpan.FromMilliseconds(milliseconds) }, Stop));
    }
}
