using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: what a client has written or read it sees again, wherever it asks. Method: clients of their own sessions at the hub and
/// in two regions.
/// </summary>
public sealed class SessionTests(SharedCluster shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private LiveCluster Cluster => shared.Cluster;

    [Fact]
    public async Task A_put_in_one_region_is_read_there_at_once_and_in_the_other_within_a_second()
    {
        await using var us = Cluster.Connect("us");
        await us.Catalog.CreateAsync("rw", cancellation: Stop);
        await using var eu = Cluster.Connect("eu");
        var longest = TimeSpan.Zero;
        for (var i = 0; i < 50; i++)
        {
            var start = TimeProvider.System.GetTimestamp();
            var put = await us.Keyspace("rw").PutAsync("k", $"v{i}", cancellation: Stop);
            var took = TimeProvider.System.GetElapsedTime(start);
            longest = took > longest ? took : longest;
            Assert.Equal(CommitStatus.Committed, put.Status);
            Assert.Equal($"v{i}", (await us.Keyspace("rw").GetAsync("k", cancellation: Stop))!.Text);
        }

        // A second, on a machine that is not busy: one on which a put takes long has the more for this.
        await Eventually.TrueAsync(
            async () => (await eu.Keyspace("rw").GetAsync("k", ReadOptions.Eventual, Stop))?.Text == "v49", "the last value at eu", Stop, TimeSpan.FromSeconds(1) + (3 * longest));
    }

    [Fact]
    public async Task A_session_token_carries_reads_and_writes_to_another_region()
    {
        await using var us = Cluster.Connect("us");
        await us.Catalog.CreateAsync("token", cancellation: Stop);
        for (var i = 0; i < 20; i++)
        {
            await us.Keyspace("token").PutAsync("k", $"v{i}", cancellation: Stop);
            await using var eu = Cluster.Connect("eu");
            Assert.True(SessionToken.TryParse(us.Session!.Value.ToString(), out var token));
            eu.Session = token;
            Assert.Equal($"v{i}", (await eu.Keyspace("token").GetAsync("k", cancellation: Stop))!.Text);
        }
    }

    [Fact]
    public async Task A_session_token_of_another_cluster_is_refused()
    {
        await using var client = Cluster.Connect("eu");
        await client.Catalog.CreateAsync("foreign", cancellation: Stop);
        var mine = client.Session!.Value;
        client.Session = mine with { Cluster = new(1, 2) };
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await client.Catalog.FindAsync("foreign", cancellation: Stop));
        Assert.Equal(QuicksilverErrorCode.ForeignPosition, e.Code);

        client.Session = mine with { Position = mine.Position with { History = new(9, 9) } };
        e = await Assert.ThrowsAsync<QuicksilverException>(async () => await client.Catalog.FindAsync("foreign", cancellation: Stop));
        Assert.Equal(QuicksilverErrorCode.ForeignPosition, e.Code);
    }

    [Fact]
    public async Task A_linearizable_read_in_a_region_sees_a_write_of_another_client_that_was_just_acknowledged()
    {
        await using var hub = Cluster.Connect("hub");
        await hub.Catalog.CreateAsync("linear", cancellation: Stop);
        await using var eu = Cluster.Connect("eu");
        await eu.Keyspace("linear").GetAsync("k", ReadOptions.Linearizable, Stop);
        for (var i = 0; i < 50; i++)
        {
            await hub.Keyspace("linear").PutAsync("k", $"v{i}", cancellation: Stop);
            Assert.Equal($"v{i}", (await eu.Keyspace("linear").GetAsync("k", ReadOptions.Linearizable, Stop))!.Text);
        }
    }

    [Fact]
    public async Task A_read_that_asks_for_a_revision_that_does_not_come_says_not_yet()
    {
        await using var eu = Cluster.Connect("eu");
        await eu.Catalog.CreateAsync("later", cancellation: Stop);
        var far = eu.Session!.Value.Position with { Revision = new(1_000_000) };
        var e = await Assert.ThrowsAsync<QuicksilverException>(
            async () => await eu.Keyspace("later").GetAsync("k", ReadOptions.AtLeast(far), Stop));
        Assert.Equal(QuicksilverErrorCode.NotYet, e.Code);
        Assert.NotNull(e.Position);
    }

    [Fact]
    public async Task A_multi_read_shows_one_revision_while_the_keys_change()
    {
        await using var writer = Cluster.Connect("hub");
        await writer.Catalog.CreateAsync("atomic", cancellation: Stop);
        var keys = Enumerable.Range(0, 20).Select(i => Key.From($"k{i}")).ToList();
        var writes = Task.Run(
            async () =>
            {
                for (var i = 0; i < 200; i++)
                {
                    await writer.Keyspace("atomic").CommitAsync([], [.. keys.Select(key => Mutation.Put(key, BitConverter.GetBytes(i)))], cancellation: Stop);
                }
            },
            Stop);
        await using var reader = Cluster.Connect("us");
        await reader.Keyspace("atomic").GetAsync("k0", ReadOptions.Linearizable, Stop);
        var last = -1;
        while (!writes.IsCompleted)
        {
            var values = await reader.Keyspace("atomic").GetManyAsync(keys, cancellation: Stop);
            var distinct = values.Select(value => value is null ? -1 : BitConverter.ToInt32(value.Value.Span)).Distinct().ToList();
            Assert.Single(distinct);
            Assert.True(distinct[0] >= last, $"went back from {last} to {distinct[0]}");
            last = distinct[0];
        }

        await writes;
    }

    [Theory]
    [InlineData("hub")]
    [InlineData("eu")]
    public async Task A_multi_read_of_the_most_and_longest_keys_is_answered_and_its_connection_stays(string region)
    {
        await using var client = Cluster.Connect(region);
        var keyspace = client.Keyspace($"keys-{region}");
        await client.Catalog.CreateAsync(keyspace.Name.Value, cancellation: Stop);
        var keys = Enumerable.Range(0, Limits.MaxKeysPerRead).Select(i => Key.From($"{i}".PadLeft(Limits.MaxKeyBytes, 'k'))).ToList();
        var put = await keyspace.PutAsync(keys[^1], "v", cancellation: Stop);

        // Ten megabytes of keys; a message has eight at most. Other tests write to the cluster meanwhile, and the parts must be of one revision.
        IReadOnlyList<Entry?> entries = [];
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    entries = await keyspace.GetManyAsync(keys, cancellation: Stop);
                    return true;
                }
                catch (QuicksilverException e) when (e.Code == QuicksilverErrorCode.Overloaded)
                {
                    return false;
                }
            },
            "an answer of one revision", Stop, TimeSpan.FromMinutes(2));
        Assert.Equal(keys.Count, entries.Count);
        Assert.All(entries.SkipLast(1), Assert.Null);
        Assert.Equal(put.Revision, entries[^1]!.Revision);
    }
}
