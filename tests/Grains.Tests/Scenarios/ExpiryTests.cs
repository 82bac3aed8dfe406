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
        var ttl = TimeSpan.FromSeconds(1);
        var before = TimeProvider.System.GetUtcNow();
        await keyspace.PutAsync("goes", "v", new() { TimeToLive = ttl, Metadata = "m"u8.ToArray() }, Stop);
        await keyspace.PutAsync("stays", "v", new() { TimeToLive = ttl }, Stop);
        await keyspace.PutAsync("stays", "v", cancellation: Stop);
        var entry = await keyspace.GetAsync("goes", cancellation: Stop);
        Assert.NotNull(entry);
        Assert.Equal(("v", "m"), (entry.Text, System.Text.Encoding.UTF8.GetString(entry.Metadata.Span)));
        Assert.InRange(entry.ExpiresAt!.Value - before, ttl - TimeSpan.FromSeconds(1), ttl + TimeSpan.FromSeconds(10));
        Assert.Null((await keyspace.GetAsync("stays", cancellation: Stop))!.ExpiresAt);
        Assert.Equal(entry.ExpiresAt, (await keyspace.ScanAsync(cancellation: Stop).FirstAsync(Stop)).Entry.ExpiresAt);

        foreach (var region in new[] { "hub", "eu", "us" })
        {
            await using var client = shared.Cluster.Connect(region);
            await Eventually.TrueAsync(async () => await client.Keyspace("expiry").GetAsync("goes", cancellation: Stop) is null, $"the key gone at {region}", Stop);
            Assert.Equal("v", (await client.Keyspace("expiry").GetAsync("stays", cancellation: Stop))!.Text);
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
