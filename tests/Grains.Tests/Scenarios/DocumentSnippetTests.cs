using System.Buffers;
using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Hosting;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: the code that README.md and docs/client.md show does what they say. Method: what stands between the marks is in a document word for word
/// (Architecture.Tests compares them); around it is what the document takes for granted, and what must have become of it. No other test runs
/// beside it: the deadlines of the documents are those of applications.
/// </summary>
[Collection(Alone.Name)]
public sealed partial class DocumentSnippetTests(SharedCluster shared) : IDisposable
{
    private readonly TempDirectory _directory = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private LiveCluster Cluster => shared.Cluster;

    /// <summary>A client of a region, and a keyspace that has nothing, whatever the test before this one has left. No other class uses these names.</summary>
    private async Task<QuicksilverClient> ConnectAsync(string region, string keyspace)
    {
        var client = Cluster.Connect(region);
        if (await client.Catalog.FindAsync(keyspace, ReadOptions.Linearizable, Stop) is not null)
        {
            await client.Catalog.DeleteAsync(keyspace, Stop);
        }

        await client.Catalog.CreateAsync(keyspace, cancellation: Stop);

        // Clients that have not seen this must not find the one before.
        foreach (var node in new[] { "eu", "us" })
        {
            await Eventually.TrueAsync(() => Cluster[node].Status.Position.Covers(client.Session!.Value.Position), $"{keyspace} at {node}", Stop);
        }

        return client;
    }

    [Fact]
    public async Task The_readme_writes_and_reads_from_an_application()
    {
        await using var other = await ConnectAsync("eu", "flags");

        // snippet: from an application
        await using var services = new ServiceCollection()
            .AddQuicksilverClient(options => options.Gateways.Add(Cluster.Gateway("eu")))
            .BuildServiceProvider();
        var flags = services.GetRequiredService<IQuicksilverClient>().Keyspace("flags");

        var put = await flags.PutAsync("checkout", "on");
        var entry = await flags.GetAsync("checkout");
        Console.WriteLine($"{entry!.Text} at revision {entry.Revision}, written at {put.Revision}");

        // Two keys at one revision, or nothing: only where nobody changed the first since we read it.
        var result = await flags.CommitAsync(
            [Condition.RevisionIs("checkout", entry.Revision), Condition.Absent("banner")],
            [Mutation.Put("checkout", "off"u8.ToArray()), Mutation.Put("banner", "maintenance"u8.ToArray())]);
        Console.WriteLine(result.Status == CommitStatus.ConditionFailed
            ? $"condition {result.FailedCondition} failed, the key is at revision {result.Revision}"
            : $"committed at revision {result.Revision}");
        // end snippet

        Assert.Equal(("on", put.Revision), (entry.Text, entry.Revision));
        Assert.Equal(CommitStatus.Committed, result.Status);
        var banner = await other.Keyspace("flags").GetAsync("banner", ReadOptions.Linearizable, Stop);
        Assert.Equal(("maintenance", result.Revision), (banner!.Text, banner.Revision));
    }

    [Fact]
    public async Task A_client_in_a_container_is_one_and_goes_through_one_of_its_gateways()
    {
        await using var other = await ConnectAsync("us", "flags");
        var builder = Host.CreateEmptyApplicationBuilder(null);

        // snippet: connecting
        builder.Services.AddQuicksilverClient(options =>
        {
            options.Gateways.Add(Cluster.Gateway("eu"));         // eu, as long as it answers
            options.Gateways.Add(Cluster.Gateway("us"));         // us, where it does not
        });
        // end snippet

        using var host = builder.Build();
        var client = host.Services.GetRequiredService<IQuicksilverClient>();
        Assert.Same(client, host.Services.GetRequiredService<IQuicksilverClient>());
        await client.Keyspace("flags").PutAsync("k", "v", cancellation: Stop);
        Assert.Equal("v", (await client.Keyspace("flags").GetAsync("k", cancellation: Stop))!.Text);
    }

    [Fact]
    public async Task A_client_without_a_container_writes_and_reads()
    {
        await using var other = await ConnectAsync("hub", "flags");

        // snippet: without a container
        var options = new QuicksilverClientOptions { Deadline = TimeSpan.FromSeconds(3) };
        options.Gateways.Add(Cluster.Gateway("hub"));
        await using var client = new QuicksilverClient(options, TimeProvider.System, NullLoggerFactory.Instance);
        // end snippet

        client.Session = other.Session;
        await Eventually.TrueAsync(
            async () =>
            {
                // Three seconds are enough for an application, and may not be for a machine that is busy with tests.
                try
                {
                    return await client.Keyspace("flags").GetAsync("k", cancellation: Stop) is null;
                }
                catch (QuicksilverException e) when (e.IsTransient)
                {
                    return false;
                }
            },
            "an answer", Stop);
    }

    [Fact]
    public async Task What_is_put_is_read_and_what_expires_or_is_deleted_is_not()
    {
        await using var client = await ConnectAsync("eu", "flags");
        await client.Keyspace("flags").PutAsync("banner", "x", cancellation: Stop);
        var cancellation = Stop;

        // snippet: reading and writing
        await client.Catalog.CreateAsync("flags", cancellation: cancellation);         // Unchanged where it is there already
        var flags = client.Keyspace("flags");                                          // asks nobody

        var put = await flags.PutAsync("checkout", "on", cancellation: cancellation);  // durable at put.Revision
        var entry = await flags.GetAsync("checkout", cancellation: cancellation);      // null: there is no such key
        var many = await flags.GetManyAsync(["checkout", "banner"], cancellation: cancellation);  // in this order, of one revision
        await flags.PutAsync("sale", "on", new() { IfAbsent = true, TimeToLive = TimeSpan.FromHours(1) }, cancellation);
        await flags.DeleteAsync("banner", cancellation: cancellation);
        // end snippet

        Assert.Equal((CommitStatus.Committed, put.Revision, "on"), (put.Status, entry!.Revision, entry.Text));
        Assert.Equal(["on", "x"], many.Select(one => one?.Text));
        Assert.NotNull((await flags.GetAsync("sale", cancellation: Stop))!.ExpiresAt);
        Assert.Null(await flags.GetAsync("banner", cancellation: Stop));
        Assert.Equal(CommitStatus.Unchanged, (await client.Catalog.CreateAsync("flags", cancellation: Stop)).Status);
    }

    [Fact]
    public async Task Of_those_who_count_at_the_same_time_nobody_is_lost()
    {
        await using var client = await ConnectAsync("us", "counters");
        var counters = client.Keyspace("counters");
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => CountAsync(Stop)));
        Assert.Equal("4", (await counters.GetAsync("visits", cancellation: Stop))!.Text);

        async Task CountAsync(CancellationToken cancellation)
        {
            // snippet: read, change, write
            // Read, change, write, and again where somebody was faster.
            CommitResult result;
            do
            {
                var seen = await counters.GetAsync("visits", cancellation: cancellation);
                var next = seen is null ? 1 : long.Parse(seen.Text, CultureInfo.InvariantCulture) + 1;
                result = await counters.PutAsync(
                    "visits", next.ToString(CultureInfo.InvariantCulture), new() { IfRevision = seen?.Revision ?? Revision.None }, cancellation);
            }
            while (result.Status == CommitStatus.ConditionFailed);
            // end snippet
        }
    }

    [Fact]
    public async Task Each_way_to_read_gives_what_it_promises()
    {
        await using var client = await ConnectAsync("eu", "flags");
        await using var hub = Cluster.Connect("hub");
        var flags = client.Keyspace("flags");
        await flags.PutAsync("checkout", "on", cancellation: Stop);
        hub.Session = client.Session;
        await hub.Keyspace("flags").PutAsync("checkout", "later", cancellation: Stop);
        var position = hub.Session!.Value.Position;
        var cancellation = Stop;

        // snippet: how new a read is
        var own = await flags.GetAsync("checkout", cancellation: cancellation);
        var any = await flags.GetAsync("checkout", ReadOptions.Eventual, cancellation);
        var asNew = await flags.GetAsync("checkout", ReadOptions.AtLeast(position), cancellation);
        var newest = await flags.GetAsync("checkout", ReadOptions.Linearizable, cancellation);
        var atHand = await flags.GetAsync("checkout", ReadOptions.Session with { AllowStaleWhenCutOff = true }, cancellation);
        // end snippet

        Assert.NotNull(own);
        Assert.True(any is null || any.Revision <= newest!.Revision);
        Assert.Equal(["later", "later"], new[] { asNew, newest }.Select(entry => entry!.Text));

        // A region that takes itself for cut off at this moment says what it has, and does not when it hears from the hub again.
        Assert.True(atHand is not null && atHand.Revision <= newest!.Revision, $"{atHand} after {newest}");
        await Eventually.TrueAsync(
            async () => (await flags.GetAsync("checkout", ReadOptions.Session with { AllowStaleWhenCutOff = true }, Stop))!.Text == "later", "what the session has seen", Stop);
    }

    [Fact]
    public async Task A_token_in_a_cookie_carries_the_session_to_another_region_and_back()
    {
        await using var writer = await ConnectAsync("us", "flags");
        await using var reader = Cluster.Connect("eu");
        var cancellation = Stop;

        // snippet: the token
        await writer.Keyspace("flags").PutAsync("checkout", "on", cancellation: cancellation);
        var cookie = writer.Session.ToString();              // empty before the first answer
        // end snippet

        Assert.Equal(SessionToken.TextLength, cookie!.Length);
        var given = writer.Session!.Value;

        // snippet: the token in another process
        var asNew = SessionToken.TryParse(cookie, out var seen) ? ReadOptions.AtLeast(seen.Position) : ReadOptions.Session;
        var entry = await reader.Keyspace("flags").GetAsync("checkout", asNew, cancellation);
        cookie = reader.Session.ToString();
        // end snippet

        Assert.Equal("on", entry!.Text);
        Assert.True(SessionToken.TryParse(cookie, out var back));
        Assert.True(back.Position.Covers(given.Position), $"{back.Position} after {given.Position}");
    }

    [Fact]
    public async Task A_write_of_unknown_outcome_that_is_asked_again_with_its_id_has_the_effect_of_one()
    {
        await using var other = await ConnectAsync("hub", "orders");
        var gateway = Cluster.Gateway("hub");
        await using var way = new TcpProxy(int.Parse(gateway[(gateway.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture));

        // Connected, and with all that a write needs to know, before the way is a hole: else nothing would be sent.
        var patient = new QuicksilverClientOptions { Deadline = TimeSpan.FromSeconds(3), FollowLeader = false };
        patient.Gateways.Add(way.Address);
        await using var client = new QuicksilverClient(patient, TimeProvider.System, NullLoggerFactory.Instance);
        var orders = client.Keyspace("orders");
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    await orders.PutAsync("16", "paid", cancellation: Stop);
                    return true;
                }
                catch (QuicksilverException e) when (e.IsTransient)
                {
                    return false;
                }
            },
            "a write over the way", Stop);
        var reports = new List<QuicksilverException>();
        way.BlackHole();
        var paid = await PayAtLastAsync();
        Assert.NotEmpty(reports);
        Assert.All(reports, e => Assert.Equal((WriteOutcome.Unknown, paid.OperationId), (e.Outcome, e.OperationId!.Value)));
        Assert.Equal(CommitStatus.Committed, paid.Status);
        var entry = await other.Keyspace("orders").GetAsync("17", ReadOptions.Linearizable, Stop);
        Assert.Equal(("paid", paid.Revision), (entry!.Text, entry.Revision));

        void Report(QuicksilverException e)
        {
            reports.Add(e);
            way.Heal();
            way.Cut();
        }

        async Task<CommitResult> PayAtLastAsync()
        {
            try
            {
                return await PayAsync(Stop);
            }
            catch (QuicksilverException e) when (e.Outcome == WriteOutcome.Unknown)
            {
                // Five tries of three seconds are enough for an application, and may not be for a machine that is busy with tests.
                var again = new WriteOptions { IfAbsent = true, OperationId = e.OperationId };
                CommitResult? ended = null;
                await Eventually.TrueAsync(
                    async () =>
                    {
                        try
                        {
                            ended = await orders.PutAsync("17", "paid", again, Stop);
                            return true;
                        }
                        catch (QuicksilverException late) when (late.IsTransient)
                        {
                            return false;
                        }
                    },
                    "what became of the write", Stop, TimeSpan.FromMinutes(1));
                return ended!.Value;
            }
        }

        async Task<CommitResult> PayAsync(CancellationToken cancellation)
        {
            // snippet: unknown outcome
            var options = new WriteOptions { IfAbsent = true };
            for (var tries = 1; ; tries++)
            {
                try
                {
                    return await orders.PutAsync("17", "paid", options, cancellation);
                }
                catch (QuicksilverException e) when (e.Outcome == WriteOutcome.Unknown && tries < 5)
                {
                    Report(e);
                    options = options with { OperationId = e.OperationId };  // the same write once more, and no second one
                }
            }
            // end snippet
        }
    }

    [Fact]
    public async Task A_scan_prints_what_has_the_prefix_and_the_last_key()
    {
        await using var client = await ConnectAsync("us", "rules");
        await client.Keyspace("rules").CommitAsync([], [Mutation.Put("eu/1", "a"u8.ToArray()), Mutation.Put("us/1", "b"u8.ToArray())], cancellation: Stop);
        var cancellation = Stop;

        // snippet: scanning
        var rules = client.Keyspace("rules");
        await foreach (var row in rules.ScanAsync(new() { Prefix = "eu/"u8.ToArray() }, cancellation))
        {
            Console.WriteLine($"{row.Key} = {row.Entry.Text}");
        }

        await foreach (var head in rules.ScanKeysAsync(new() { Reverse = true, PageSize = 10 }, cancellation))
        {
            Console.WriteLine($"{head.Key}, last changed at {head.Revision}");
            break;                                           // the last key: one page of ten was read
        }
        // end snippet
    }

    [Fact]
    public async Task A_prefix_is_deleted_and_then_replaced_where_nobody_has_changed_it()
    {
        await using var client = await ConnectAsync("us", "rules");
        var rules = client.Keyspace("rules");
        await rules.CommitAsync([], [Mutation.Put("eu/old/1", "a"u8.ToArray()), Mutation.Put("eu/2", "b"u8.ToArray()), Mutation.Put("us/3", "c"u8.ToArray())], cancellation: Stop);
        List<(string Key, byte[] Value)> newRules = [("eu/4", [4]), ("eu/5", [5])];

        // snippet: deleting a prefix
        var deleted = await rules.DeletePrefixAsync("eu/old/");

        // Replaced as a whole, where nobody has changed any of it since: nobody sees half of it, and nothing is left of the old one.
        var replaced = await rules.CommitAsync(
            [Condition.PrefixUnchangedSince("eu/", deleted.Revision)],
            [Mutation.DeletePrefix("eu/"), .. newRules.Select(rule => Mutation.Put(rule.Key, rule.Value))]);
        // end snippet

        Assert.Equal((CommitStatus.Committed, CommitStatus.Committed), (deleted.Status, replaced.Status));
        Assert.Equal(["eu/4", "eu/5", "us/3"], await rules.ScanAsync(cancellation: Stop).Select(row => row.Key.ToString()).ToListAsync(Stop));
    }

    [Fact]
    public async Task An_application_with_a_replica_reads_in_its_own_process()
    {
        await using var client = await ConnectAsync("eu", "flags");
        var builder = Host.CreateEmptyApplicationBuilder(null);

        // snippet: a replica
        builder.Services.AddQuicksilverReplica(options =>
        {
            options.NodeId = "web-0";                        // stable, and no other's
            options.Region = "eu";
            options.DataDirectory = _directory.Sub("web");
            options.Upstreams.Add(Cluster.Gateway("eu"));    // a region's gateway, or the hub's
            options.Keyspaces.Add("flags");                  // without: all
        });
        builder.Services.AddHealthChecks().AddQuicksilverReplica();
        // end snippet

        using var host = builder.Build();
        await host.StartAsync(Stop);
        var checkout = new Checkout(host.Services.GetRequiredService<IQuicksilverReplica>());
        Assert.False(checkout.IsOn());
        await client.Keyspace("flags").PutAsync("checkout", "on", cancellation: Stop);
        await Eventually.TrueAsync(() => checkout.IsOn(), "the flag in this process", Stop);
        var health = host.Services.GetRequiredService<HealthCheckService>();
        await Eventually.TrueAsync(async () => (await health.CheckHealthAsync(Stop)).Status == HealthStatus.Healthy, "a healthy replica", Stop);
        await host.StopAsync(Stop);
    }

    public void Dispose() => _directory.Dispose();

    // snippet: reading a replica
    public sealed class Checkout(IQuicksilverReplica replica)
    {
        private static readonly byte[] Key = "checkout"u8.ToArray();
        private readonly ILocalKeyspace _flags = replica.Keyspace("flags");

        [ThreadStatic]
        private static ArrayBufferWriter<byte>? t_value;

        public bool IsOn()
        {
            var value = t_value ??= new(64);
            value.ResetWrittenCount();
            return _flags.TryGet(Key, value) && value.WrittenSpan.SequenceEqual("on"u8);
        }
    }
    // end snippet
}
