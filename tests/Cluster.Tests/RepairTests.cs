using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a hub member that lost its disk, or is to be rebuilt, comes back by one command while writes go on, and nothing is lost.
/// Method: five processes, a disk deleted after SIGKILL, a supervisor that starts again what has ended, as in production.
/// </summary>
public sealed class RepairTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_hub_member_without_its_disk_is_refused_and_brought_back_by_repair_under_load()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop);
        await using var us = cluster.Connect(TimeSpan.FromSeconds(60), "us-0");
        await us.Catalog.CreateAsync("load", cancellation: Stop);
        var leader = await cluster.LeaderAsync(Stop);
        var x = cluster.Nodes.Hubs.First(hub => hub != leader);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        long written = 0;
        var load = Task.Run(
            async () =>
            {
                while (!enough.IsCancellationRequested)
                {
                    await us.Keyspace("load").PutAsync($"k{written}", written.ToString(CultureInfo.InvariantCulture), cancellation: CancellationToken.None);
                    Interlocked.Increment(ref written);
                }
            },
            Stop);
        await ProgressAsync(100);
        var once = await us.Keyspace("load").PutAsync("once", "first", cancellation: Stop);

        await cluster.Nodes.KillAsync(x, Stop);
        Directory.Delete(cluster.Nodes.DataOf(x), recursive: true);
        cluster.Nodes.Start(x);
        await Eventually.TrueAsync(() => !cluster.Nodes.IsRunning(x), $"the end of {x}", Stop, TimeSpan.FromSeconds(60));
        var log = cluster.Nodes.LogEnd(x, 60);
        Assert.True(log.Contains($"qs hub repair {x}", StringComparison.Ordinal), $"{x} ended without naming the repair. Its log ends with:\n{log}");

        using var end = new CancellationTokenSource();
        using var again = new CancellationTokenSource();
        var supervisor = cluster.SuperviseAsync(x, end.Token);
        try
        {
            await RepairAsync(x);
            await ProgressAsync(100);

            // A member in order is only rebuilt by force. One that does not answer within a second is in none: then it is asked again.
            var refused = await RefusedAsync();
            for (var tries = 1; refused.Code == 0 && tries < 3; tries++)
            {
                refused = await RefusedAsync();
            }

            Assert.True(refused.Code == 1 && refused.Said.Contains("--force", StringComparison.Ordinal), $"exit {refused.Code}: {refused.Said}");

            // What cannot even be opened is kept beside as well.
            await end.CancelAsync();
            await supervisor;
            await cluster.Nodes.KillAsync(x, Stop);
            await File.AppendAllTextAsync(Path.Combine(cluster.Nodes.DataOf(x), "raft", "members"), "?", Stop);
            cluster.Nodes.Start(x);
            await Eventually.TrueAsync(() => !cluster.Nodes.IsRunning(x), $"the end of {x}", Stop, TimeSpan.FromSeconds(60));
            supervisor = cluster.SuperviseAsync(x, again.Token);
            var aside = SetAside();
            await RepairAsync(x);
            Assert.Single(SetAside().Except(aside));
            await ProgressAsync(100);

            // It knows what was written once before it was rebuilt, and says so where it leads.
            var transfer = await cluster.HubAsync(leader, [.. cluster.Nodes.Hubs], Stop, "transfer", "--to", x);
            Assert.True(transfer.Code == 0, $"exit {transfer.Code}: {transfer.Said}");
            await AskAgainAsync();
        }
        finally
        {
            await end.CancelAsync();
            await again.CancelAsync();
            await supervisor;
        }

        // Its vote counts: the hub goes on with it and one other.
        await cluster.Nodes.KillAsync(await cluster.LeaderAsync(Stop), Stop);
        await ProgressAsync(100);
        await enough.CancelAsync();
        await load;
        foreach (var hub in cluster.Nodes.Hubs.Where(hub => !cluster.Nodes.IsRunning(hub)).ToList())
        {
            cluster.Nodes.Start(hub);
        }

        await cluster.ReadyAsync(Stop);
        await AskAgainAsync();
        Assert.Equal(new Revision(2 + written), await cluster.EqualAsync(Stop));
        var rows = await us.Keyspace("load").ScanAsync(new() { PageSize = 5_000 }, Stop).ToListAsync(Stop);
        Assert.Equal(1 + written, rows.Count);

        // A write that is asked again has its first answer, through any member and any region.
        async Task AskAgainAsync()
        {
            foreach (var node in cluster.Nodes.Layout.Nodes)
            {
                await using var client = cluster.Connect(TimeSpan.FromSeconds(30), node.Node);
                var again = await client.Keyspace("load").PutAsync("once", "first", new() { OperationId = once.OperationId }, Stop);
                Assert.Equal((CommitStatus.Committed, once.Revision), (again.Status, again.Revision));
            }
        }

        async Task RepairAsync(string node)
        {
            var (code, said) = await cluster.HubAsync(leader, [.. cluster.Nodes.Hubs.Where(hub => hub != node)], Stop, "repair", node, "--wait", "60");
            Assert.True(code == 0, $"exit {code}: {said}\n{cluster.Nodes.LogEnd(node)}");
            await cluster.ReadyAsync(Stop);
        }

        Task<(int Code, string Said)> RefusedAsync() => cluster.HubAsync(leader, [.. cluster.Nodes.Hubs], Stop, "repair", x, "--wait", "60");

        string[] SetAside() => Directory.GetDirectories(cluster.Nodes.DataOf(x), "set-aside-*");

        async Task ProgressAsync(long more)
        {
            var before = Interlocked.Read(ref written);
            await Eventually.TrueAsync(
                async () =>
                {
                    if (load.IsCompleted)
                    {
                        await load;
                    }

                    return Interlocked.Read(ref written) >= before + more;
                },
                $"{more} more writes", Stop, TimeSpan.FromSeconds(60));
        }
    }
}
