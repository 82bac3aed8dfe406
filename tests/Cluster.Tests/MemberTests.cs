using System.Globalization;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: members of the hub are taken out, put back and replaced, and the leadership is handed over, while writes go on and none
/// fails. Method: four processes and a fifth, qs as a process, one writer from beginning to end, a supervisor.
/// </summary>
public sealed class MemberTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Members_are_removed_added_again_and_replaced_and_the_leader_hands_over_under_load()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop, regions: ["us"]);
        await using var us = cluster.Connect(TimeSpan.FromSeconds(30), "us-0");
        await us.Catalog.CreateAsync("load", cancellation: Stop);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        long written = 0;
        var load = Task.Run(
            async () =>
            {
                while (!enough.IsCancellationRequested)
                {
                    // What throws here is a failed call, and fails the test.
                    await us.Keyspace("load").PutAsync($"k{written}", written.ToString(CultureInfo.InvariantCulture), cancellation: CancellationToken.None);
                    Interlocked.Increment(ref written);
                }
            },
            Stop);
        await ProgressAsync(50);

        // The leadership goes to anybody else, and then to a member that is named.
        var second = (await QsAsync(0, " leads.", "transfer")).Split(' ')[0];
        var first = cluster.Nodes.Hubs.First(hub => hub != second);
        await QsAsync(0, $"{{\"node\":\"{first}\",\"step\":\"leads\"}}", "transfer", "--to", first, "--json");
        await ProgressAsync(50);

        // A member that was taken out waits, although its supervisor starts it again, and comes back at the same address when it may.
        var x = second;
        await using (cluster.Supervised(x))
        {
            await QsAsync(0, "has no vote", "remove", x, "--force");
            await Eventually.TrueAsync(
                () => cluster.Nodes.LogEnd(x, 200).Contains("waits until it is invited", StringComparison.Ordinal), $"{x} that waits", Stop, TimeSpan.FromSeconds(60));
            await ProgressAsync(50);
            await QsAsync(0, "\"joined\"", "add", x, "--endpoint", cluster.Nodes[x].Raft!, "--wait", "45", "--json");
            await cluster.ReadyAsync(Stop);
        }

        // A node of another name and address takes the place of the one that leads. A fourth is refused.
        var old = first;
        var port = Ports.FreeRange(4);
        await QsAsync(1, "at most 3 members", "add", "hub-3", "--endpoint", $"127.0.0.1:{port + 2}");
        await QsAsync(0, "has no vote", "remove", old, "--force");
        await cluster.Nodes.StopAsync(old, Stop);
        cluster.Nodes.Replace(old, "hub-3", port);
        await using (cluster.Supervised("hub-3"))
        {
            await QsAsync(0, "hub-3 is a member", "add", "hub-3", "--endpoint", cluster.Nodes["hub-3"].Raft!, "--wait", "45");
            await cluster.ReadyAsync(Stop);
        }

        await ProgressAsync(50);

        // Its vote counts: the hub goes on with it and one other.
        var lost = cluster.Nodes.Hubs.First(hub => hub != "hub-3");
        await cluster.Nodes.KillAsync(lost, Stop);
        await ProgressAsync(50);
        cluster.Nodes.Start(lost);
        await enough.CancelAsync();
        await load;
        await cluster.ReadyAsync(Stop);
        Assert.Equal(new(1 + written), await cluster.EqualAsync(Stop));
        var rows = await us.Keyspace("load").ScanAsync(new() { PageSize = 5_000 }, Stop).ToListAsync(Stop);
        Assert.Equal(written, rows.Count);

        async Task<string> QsAsync(int expected, string says, params string[] args)
        {
            // Against a node that is no part of what changes.
            var gateway = cluster.Nodes.Hubs.First(hub => !args.Contains(hub) && cluster.Nodes.IsRunning(hub));
            string[] following = [.. cluster.Nodes.Hubs.Where(hub => args[0] != "add" || !args.Contains(hub))];
            var (code, said) = await cluster.HubAsync(gateway, following, Stop, args);
            Assert.True(
                code == expected && said.Contains(says, StringComparison.Ordinal),
                $"qs hub {string.Join(' ', args)} ended with {code}: {said}\n{string.Join('\n', cluster.Nodes.Hubs.Select(hub => $"--- {hub}\n{cluster.Nodes.LogEnd(hub, 12)}"))}");
            return said;
        }

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
