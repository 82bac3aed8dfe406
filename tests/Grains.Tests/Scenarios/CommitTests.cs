using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: every write has one certain outcome. Method: the SDK against a running cluster, through the hub and through a region.
/// </summary>
public sealed class CommitTests(SharedCluster shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private LiveCluster Cluster => shared.Cluster;

    [Theory]
    [InlineData("hub")]
    [InlineData("us")]
    public async Task Of_a_hundred_racing_conditional_puts_one_wins(string region)
    {
        await using var client = Cluster.Connect(region);
        var keyspace = client.Keyspace($"race-{region}");
        await client.Catalog.CreateAsync(keyspace.Name.Value, cancellation: Stop);
        var first = await keyspace.PutAsync("k", "start", cancellation: Stop);

        var results = await Task.WhenAll(Enumerable.Range(0, 100).Select(
            i => keyspace.PutAsync("k", $"racer {i}", new() { IfRevision = first.Revision }, Stop).AsTask()));

        var winner = Assert.Single(results, result => result.Status == CommitStatus.Committed);
        Assert.All(results.Where(result => result.Status != CommitStatus.Committed), result =>
        {
            Assert.Equal(CommitStatus.ConditionFailed, result.Status);
            Assert.Equal(winner.Revision, result.Revision);
        });
    }

    [Fact]
    public async Task The_same_operation_id_has_one_effect_and_one_answer_wherever_it_is_sent()
    {
        await using var us = Cluster.Connect("us");
        await us.Catalog.CreateAsync("once", cancellation: Stop);
        var first = await us.Keyspace("once").PutAsync("k", "v", cancellation: Stop);
        var again = new WriteOptions { OperationId = first.OperationId };
        Assert.Equal(first, await us.Keyspace("once").PutAsync("k", "v", again, Stop));
        await using var hub = Cluster.Connect("hub");
        Assert.Equal(first, await hub.Keyspace("once").PutAsync("k", "v", again, Stop));

        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await us.Keyspace("once").PutAsync("k", "other", again, Stop));
        Assert.Equal(QuicksilverErrorCode.OperationIdReused, e.Code);
        Assert.Equal(WriteOutcome.NotCommitted, e.Outcome);
        Assert.Equal("v", (await hub.Keyspace("once").GetAsync("k", cancellation: Stop))!.Text);
    }

    [Fact]
    public async Task A_transaction_changes_all_its_keys_at_one_revision_or_none()
    {
        await using var client = Cluster.Connect("eu");
        await client.Catalog.CreateAsync("txn", new() { ShardCount = 16 }, Stop);
        var keyspace = client.Keyspace("txn");
        await keyspace.PutAsync("old", "x", cancellation: Stop);
        var done = await keyspace.CommitAsync(
            [Condition.Absent("a")], [Mutation.Put("a", "1"u8.ToArray()), Mutation.Put("b", "2"u8.ToArray()), Mutation.Delete("old")], cancellation: Stop);
        Assert.Equal(CommitStatus.Committed, done.Status);
        var refused = await keyspace.CommitAsync(
            [Condition.RevisionIs("b", done.Revision), Condition.Absent("a")], [Mutation.Put("c", "3"u8.ToArray())], cancellation: Stop);
        Assert.Equal((CommitStatus.ConditionFailed, done.Revision, 1), (refused.Status, refused.Revision, refused.FailedCondition));

        var read = await keyspace.GetManyAsync(["a", "b", "c", "old"], cancellation: Stop);
        Assert.Equal([done.Revision, done.Revision, null, null], read.Select(entry => entry?.Revision));
    }

    [Fact]
    public async Task Skipped_unchanged_writes_take_no_revision()
    {
        await using var client = Cluster.Connect("hub");
        await client.Catalog.CreateAsync("skip", new() { SkipUnchanged = true }, Stop);
        var keyspace = client.Keyspace("skip");
        var first = await keyspace.PutAsync("k", "v", cancellation: Stop);
        Assert.Equal(CommitStatus.Unchanged, (await keyspace.PutAsync("k", "v", cancellation: Stop)).Status);
        Assert.Equal(CommitStatus.Unchanged, (await keyspace.DeleteAsync("absent", cancellation: Stop)).Status);
        Assert.Equal(first.Revision, (await keyspace.GetAsync("k", cancellation: Stop))!.Revision);
    }

    [Fact]
    public async Task A_keyspace_that_was_deleted_and_made_again_starts_empty()
    {
        await using var client = Cluster.Connect("us");
        await client.Catalog.CreateAsync("phoenix", cancellation: Stop);
        await client.Keyspace("phoenix").PutAsync("k", "v", cancellation: Stop);
        var before = await client.Catalog.FindAsync("phoenix", cancellation: Stop);
        await client.Catalog.DeleteAsync("phoenix", Stop);
        Assert.Null(await client.Catalog.FindAsync("phoenix", cancellation: Stop));
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await client.Keyspace("phoenix").GetAsync("k", cancellation: Stop));
        Assert.Equal(QuicksilverErrorCode.KeyspaceNotFound, e.Code);
        e = await Assert.ThrowsAsync<QuicksilverException>(async () => await client.Keyspace("phoenix").PutAsync("k", "w", cancellation: Stop));
        Assert.Equal((QuicksilverErrorCode.KeyspaceNotFound, WriteOutcome.NotCommitted), (e.Code, e.Outcome));

        await client.Catalog.CreateAsync("phoenix", cancellation: Stop);
        Assert.Null(await client.Keyspace("phoenix").GetAsync("k", cancellation: Stop));
        Assert.NotEqual(before!.Id, (await client.Catalog.FindAsync("phoenix", cancellation: Stop))!.Id);
    }

    [Fact]
    public async Task Creating_a_keyspace_twice_is_unchanged_with_the_same_settings_and_refused_with_others()
    {
        await using var client = Cluster.Connect("hub");
        Assert.Equal(CommitStatus.Committed, (await client.Catalog.CreateAsync("twice", new() { ShardCount = 4 }, Stop)).Status);
        Assert.Equal(CommitStatus.Unchanged, (await client.Catalog.CreateAsync("twice", new() { ShardCount = 4 }, Stop)).Status);
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await client.Catalog.CreateAsync("twice", cancellation: Stop));
        Assert.Equal(QuicksilverErrorCode.KeyspaceExists, e.Code);
    }

    [Fact]
    public async Task Bad_arguments_are_refused_before_anything_is_sent()
    {
        await using var client = Cluster.Connect("hub");
        await client.Catalog.CreateAsync("bad", cancellation: Stop);
        var keyspace = client.Keyspace("bad");
        Assert.Throws<ArgumentException>(() => Key.From(""));
        Assert.Throws<ArgumentException>(() => Key.From(new byte[1_025]));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.GetAsync(default, cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.PutAsync("k", new byte[Limits.MaxValueBytes + 1], cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.PutAsync("k", "v", new() { Metadata = new byte[1_025] }, Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.CommitAsync([], [], cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.CommitAsync([Condition.Absent("a")], [], cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.CommitAsync([], [Mutation.Delete("a"), Mutation.Delete("a")], cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.CommitAsync([], [.. Enumerable.Range(0, 10_001).Select(i => Mutation.Delete($"k{i}"))], cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.CommitAsync([], [.. Enumerable.Range(0, 5).Select(i => Mutation.Put($"k{i}", new byte[Limits.MaxValueBytes]))], cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.GetManyAsync([], cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.GetManyAsync([.. Enumerable.Range(0, 10_001).Select(i => Key.From($"k{i}"))], cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.ScanPageAsync(new() { PageSize = 0 }, default, Stop));
        Assert.Throws<ArgumentException>(() => client.Keyspace("Not A Name"));
        await Assert.ThrowsAsync<ArgumentException>(async () => await client.Catalog.CreateAsync("", cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await client.Catalog.CreateAsync("x", new() { ShardCount = 0 }, Stop));
        Assert.Equal(0, await keyspace.ScanAsync(cancellation: Stop).CountAsync(Stop));
    }

    [Fact]
    public async Task The_largest_values_and_transactions_go_through_a_region_and_come_back()
    {
        await using var client = Cluster.Connect("us", TimeSpan.FromSeconds(60));
        await client.Catalog.CreateAsync("large", cancellation: Stop);
        var keyspace = client.Keyspace("large");
        var random = new Random(1);
        var values = Enumerable.Range(0, 3).Select(_ =>
        {
            var value = new byte[Limits.MaxValueBytes];
            random.NextBytes(value);
            return value;
        }).ToList();
        await keyspace.CommitAsync([], [.. values.Select((value, i) => Mutation.Put($"k{i}", value))], cancellation: Stop);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => keyspace.PutAsync($"p{i}", values[i % 3], cancellation: Stop).AsTask()));
        await keyspace.CommitAsync([], [.. Enumerable.Range(0, 10_000).Select(i => Mutation.Put($"many{i}", "v"u8.ToArray()))], cancellation: Stop);

        var read = await keyspace.GetManyAsync(["k0", "k1", "k2"], cancellation: Stop);
        Assert.Equal(values, read.Select(entry => entry!.Value.ToArray()));
        Assert.Equal(10_011, await keyspace.ScanAsync(cancellation: Stop).CountAsync(Stop));
    }

    [Fact]
    public async Task A_caller_from_outside_reaches_only_the_public_interfaces()
    {
        await using var link = new GatewayLink(new() { Gateways = [Cluster.Gateway("hub")] }, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
        link.Start();
        var session = await link.ConnectAsync(TimeSpan.FromSeconds(10), Stop);
        await session.Grains.GetGrain<IClusterGrain>(0).Ping();
        await Assert.ThrowsAsync<UnauthorizedAccessException>(() => session.Grains.GetGrain<IManagementGrain>(0).GetHosts());
    }
}
