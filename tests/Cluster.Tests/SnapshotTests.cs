using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a member that was away for longer than the others keep their Raft log comes back by itself, with its vote. Method: three
/// processes; one is killed, the others take more than the log keeps; it is started as by a supervisor, and killed twice more while it
/// receives a snapshot.
/// </summary>
public sealed class SnapshotTests
{
    private const int ValueBytes = 1 << 20;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_member_that_was_away_for_too_long_takes_a_snapshot_and_its_vote_counts()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop, regions: []);
        await using var client = cluster.Connect(TimeSpan.FromSeconds(60));
        await client.Catalog.CreateAsync("big", cancellation: Stop);
        var leader = await cluster.LeaderAsync(Stop);
        var away = cluster.Nodes.Hubs.First(hub => hub != leader);
        await cluster.Nodes.KillAsync(away, Stop);

        // More than 128 MiB: the leader cuts its log down to the last 64.
        var random = new Random(4);
        var keys = Enumerable.Range(0, 150).Select(i => $"k{i}").ToList();
        await Parallel.ForEachAsync(keys, new ParallelOptions { MaxDegreeOfParallelism = 4, CancellationToken = Stop }, async (key, stop) =>
        {
            var value = new byte[ValueBytes];
            lock (random)
            {
                random.NextBytes(value);
            }

            await client.Keyspace("big").PutAsync(key, value, cancellation: stop);
        });

        using var end = new CancellationTokenSource();
        var supervisor = cluster.SuperviseAsync(away, end.Token);
        var snapshot = Path.Combine(cluster.Nodes.DataOf(away), "snapshot");
        var incoming = Path.Combine(snapshot, "state");
        try
        {
            for (var kill = 0; kill < 2; kill++)
            {
                // What an earlier process left is no snapshot on its way: there must be more of it than this process began with.
                var process = -1;
                long? before = null;
                await Eventually.TrueAsync(
                    () =>
                    {
                        var now = BytesOf(snapshot);
                        var isGrowing = cluster.Nodes[away].Pid == process && process != 0 && now > before && File.Exists(incoming);
                        process = cluster.Nodes[away].Pid;
                        before = now ?? before;
                        return isGrowing;
                    },
                    "a snapshot on its way", Stop, TimeSpan.FromSeconds(60));
                await cluster.Nodes.KillAsync(away, Stop);
            }

            await Eventually.TrueAsync(
                async () => (await cluster.FindStatusAsync(away, Stop))?.FullCopies == 1,
                $"the copy at {away}", Stop, TimeSpan.FromSeconds(90));
            await cluster.ReadyAsync(Stop);
        }
        finally
        {
            await end.CancelAsync();
            await supervisor;
        }

        Assert.Equal(new Revision(1 + keys.Count), await cluster.EqualAsync(Stop));
        Assert.False(File.Exists(incoming));

        // Without another one it is needed for a majority.
        await cluster.Nodes.KillAsync(cluster.Nodes.Hubs.First(hub => hub != away), Stop);
        await client.Keyspace("big").PutAsync("after", "v", cancellation: Stop);
    }

    /// <summary>What was received of a snapshot; null where a file went away meanwhile.</summary>
    private static long? BytesOf(string directory)
    {
        try
        {
            return Directory.Exists(directory) ? new DirectoryInfo(directory).EnumerateFiles().Sum(file => file.Length) : 0;
        }
        catch (IOException)
        {
            return null;
        }
    }
}
