using System.Collections.Concurrent;
using System.Text;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a hub of three goes on without its leader, and regions without their hub. Method: five processes, killed with SIGKILL at
/// moments that are armed by progress.
/// </summary>
[Collection(Alone.Name)]
public sealed class ThreeHubTests
{
    private const int Records = 30_000;
    private const int BatchSize = 100;
    private const int Kills = 3;

    /// <summary>Reads of each reader, when it is warm, before the hubs are killed: what its later ones are compared with.</summary>
    private const int UsualReads = 1_000;

    private static readonly TimeSpan LongestCommand = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan SlowRead = TimeSpan.FromMilliseconds(20);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_import_through_a_region_survives_three_kills_of_the_leader_with_every_record_once()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop);
        var rows = Enumerable.Range(0, Records).Select(i => $"{{\"key\":\"k{i:d6}\",\"value\":\"v{i}\"}}").Chunk(Records / (Kills + 1)).ToList();
        await using var hub = cluster.Connect(TimeSpan.FromSeconds(60));
        await hub.Catalog.CreateAsync("import", cancellation: Stop);
        await using var import = cluster.StartQs("us-0", "import", "import", "-", "--batch", $"{BatchSize}", "--rate", "3000", "--timeout", "60", "--json");
        for (var kill = 0; kill < Kills; kill++)
        {
            // It gets a part before each kill, so that it cannot end before the last, however long they take.
            var before = await RevisionAsync(hub);
            await WriteLinesAsync(import.Input, rows[kill]);
            await Eventually.TrueAsync(
                async () => import.HasExited || await RevisionAsync(hub) >= before + 20, $"progress before kill {kill}", Stop, TimeSpan.FromSeconds(60));
            Assert.False(import.HasExited, $"The import ended before kill {kill}: {import.Output} {import.Errors}");
            var leader = await cluster.LeaderAsync(Stop);
            await cluster.Nodes.KillAsync(leader, Stop);
            cluster.Nodes.Start(leader);
        }

        await WriteLinesAsync(import.Input, rows[Kills]);
        import.Input.Close();
        Assert.Equal((0, $"{{\"imported\":{Records},\"unchanged\":0,\"expired\":0,\"bad\":0}}"), (await import.WaitAsync(Stop), import.Output.Trim()));
        await cluster.ReadyAsync(Stop);

        // One revision for the keyspace and one for each batch, as without faults.
        Assert.Equal(new Revision(1 + (Records / BatchSize)), await cluster.EqualAsync(Stop));
        await using var us = cluster.Connect(TimeSpan.FromSeconds(30), "us-0");
        var found = await us.Keyspace("import").ScanAsync(new() { PageSize = 5_000 }, Stop).ToListAsync(Stop);
        Assert.Equal(Records, found.Count);
        Assert.All(found, row => Assert.Equal($"v{int.Parse(row.Key.ToString()[1..], System.Globalization.CultureInfo.InvariantCulture)}", row.Entry.Text));
    }

    [Fact]
    public async Task With_all_hubs_dead_regions_read_on_and_writes_end_truthfully_and_come_back_with_the_hubs()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop);
        await using var us = cluster.Connect(TimeSpan.FromSeconds(30), "us-0");
        await using var eu = cluster.Connect(TimeSpan.FromSeconds(30), "eu-0");
        await us.Catalog.CreateAsync("flags", cancellation: Stop);
        await us.Keyspace("flags").PutAsync("k", "before", cancellation: Stop);
        await Eventually.TrueAsync(async () => (await FindAsync(eu))?.Text == "before", "the put at eu", Stop);
        Assert.Equal("before", (await us.Keyspace("flags").GetAsync("k", cancellation: Stop))!.Text);

        using var enough = new CancellationTokenSource();
        var reads = new[] { new ConcurrentQueue<Read>(), new ConcurrentQueue<Read>() };
        var readers = new[] { us, eu }.Select((client, i) => Task.Run(() => ReadAsync(client, reads[i], enough.Token), Stop)).ToList();
        await Eventually.TrueAsync(
            async () =>
            {
                // Whoever has ended has failed: awaiting it throws.
                await (readers.Find(reader => reader.IsCompleted) ?? Task.CompletedTask);
                return reads.All(read => read.Count >= 2 * UsualReads);
            },
            "reads at both regions", Stop, TimeSpan.FromSeconds(60));
        var dead = TimeProvider.System.GetTimestamp();
        await Task.WhenAll(cluster.Nodes.Hubs.ToList().Select(hub => cluster.Nodes.KillAsync(hub, Stop)));

        // What a command takes on this machine at this moment, without waiting for anybody.
        var start = TimeProvider.System.GetTimestamp();
        await using (var get = cluster.StartQs("us-0", "get", "flags", "k", "--consistency", "eventual"))
        {
            Assert.True(await get.WaitAsync(Stop) == 0, $"{get.Output} {get.Errors}");
        }

        // A write waits for its whole deadline.
        var atMost = QuicksilverClientOptions.DefaultDeadline + (2 * TimeProvider.System.GetElapsedTime(start)) + TimeSpan.FromSeconds(1);
        atMost = atMost > LongestCommand ? atMost : LongestCommand;
        start = TimeProvider.System.GetTimestamp();
        await using var put = cluster.StartQs("us-0", "put", "flags", "k", "lost", "--json");
        var code = await put.WaitAsync(Stop);
        var took = TimeProvider.System.GetElapsedTime(start);
        TestContext.Current.TestOutputHelper?.WriteLine($"qs put: exit {code} after {took.TotalSeconds:0.00} s of {atMost.TotalSeconds:0.00} s");
        Assert.True(code is 5 or 6, $"exit {code}: {put.Output} {put.Errors}");
        Assert.True(took < atMost, $"{took} of {atMost}");

        // The start of three processes takes the processor from whoever reads.
        var back = TimeProvider.System.GetTimestamp();
        foreach (var hub in cluster.Nodes.Hubs)
        {
            cluster.Nodes.Start(hub);
        }

        await cluster.ReadyAsync(Stop);

        // Ready they are before the region has found them again.
        await Eventually.TrueAsync(async () => (await cluster.FindStatusAsync("us-0", Stop))?.State == "pulling", "us-0 pulling again", Stop, TimeSpan.FromSeconds(60));
        start = TimeProvider.System.GetTimestamp();
        Assert.Equal(CommitStatus.Committed, (await us.Keyspace("flags").PutAsync("k2", "after", cancellation: Stop)).Status);
        Assert.True(TimeProvider.System.GetElapsedTime(start) < TimeSpan.FromSeconds(15), $"{TimeProvider.System.GetElapsedTime(start)}");
        await enough.CancelAsync();

        // Without one failed call: a failure would have thrown.
        await Task.WhenAll(readers);
        foreach (var region in reads)
        {
            var usual = 10 * P99(region.Where(read => read.Begun < dead).Skip(UsualReads));
            var p99 = P99(region.Where(read => read.Begun >= dead && read.Begun < back));
            Assert.True(p99 < (usual > SlowRead ? usual : SlowRead), $"p99 {p99}; ten times that of before is {usual}");
        }

        await cluster.EqualAsync(Stop);
    }

    private static async ValueTask<Entry?> FindAsync(QuicksilverClient client)
    {
        try
        {
            return await client.Keyspace("flags").GetAsync("k", cancellation: Stop);
        }
        catch (QuicksilverException e) when (e.Code == QuicksilverErrorCode.KeyspaceNotFound)
        {
            return null;
        }
    }

    /// <param name="Begun">Timestamp of its begin.</param>
    private readonly record struct Read(long Begun, TimeSpan Took);

    private static TimeSpan P99(IEnumerable<Read> reads)
    {
        var sorted = reads.Select(read => read.Took).Order().ToList();
        var p99 = sorted[(int)(sorted.Count * 0.99)];
        TestContext.Current.TestOutputHelper?.WriteLine($"{sorted.Count} reads, p99 {p99.TotalMilliseconds:0.00} ms, max {sorted[^1].TotalMilliseconds:0.0} ms");
        return p99;
    }

    private static async Task ReadAsync(QuicksilverClient client, ConcurrentQueue<Read> reads, CancellationToken enough)
    {
        while (!enough.IsCancellationRequested)
        {
            var start = TimeProvider.System.GetTimestamp();
            Assert.Equal("before", (await client.Keyspace("flags").GetAsync("k", ReadOptions.Eventual, CancellationToken.None))?.Text);
            reads.Enqueue(new(start, TimeProvider.System.GetElapsedTime(start)));
            await Task.Yield();
        }
    }

    private static async Task WriteLinesAsync(StreamWriter input, string[] lines)
    {
        foreach (var line in lines)
        {
            await input.WriteLineAsync(line.AsMemory(), Stop);
        }

        await input.FlushAsync(Stop);
    }

    /// <summary>Revision of the hub as a linearizable read sees it.</summary>
    private static async Task<long> RevisionAsync(QuicksilverClient client)
    {
        await client.Catalog.FindAsync("import", ReadOptions.Linearizable, Stop);
        return client.Session!.Value.Position.Revision.Value;
    }
}
