using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a leader that was stopped and goes on, not knowing that another leads, answers no stale read and doubles no write.
/// Method: SIGSTOP of the leader for five seconds under one writer of a counter and linearizable readers at every hub node.
/// </summary>
[Collection(Alone.Name)]
public sealed class PauseTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_leader_that_was_paused_answers_no_stale_read_and_nothing_is_lost_or_doubled()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop);
        var leader = await cluster.LeaderAsync(Stop);
        var others = cluster.Nodes.Hubs.Where(hub => hub != leader).ToArray();
        await using var writing = cluster.Connect(TimeSpan.FromSeconds(60), others);
        await writing.Catalog.CreateAsync("count", cancellation: Stop);
        await writing.Keyspace("count").PutAsync("n", "0", cancellation: Stop);
        var counter = new Counter();
        using var enough = new CancellationTokenSource();
        var clients = cluster.Nodes.Hubs.Select(hub => cluster.Connect(TimeSpan.FromSeconds(60), hub)).ToList();
        using var end = new CancellationTokenSource();
        var supervisor = Task.CompletedTask;
        try
        {
            var writer = Task.Run(() => CountAsync(writing, counter, enough.Token), Stop);
            var readers = clients.Select(client => Task.Run(() => ReadAsync(client, counter, enough.Token), Stop)).ToList();
            await Progress(counter, 50, writer, readers);

            cluster.Nodes.Pause(leader);
            var paused = TimeProvider.System.GetTimestamp();

            // The others elect a leader and go on; then the old one wakes up and believes for a moment that nothing has happened.
            await Progress(counter, 50, writer, readers);
            await Eventually.TrueAsync(() => TimeProvider.System.GetElapsedTime(paused) > TimeSpan.FromSeconds(5), "five seconds of pause", Stop);
            cluster.Nodes.Resume(leader);
            
            // The silo directory may have declared it dead: such a process ends itself, and its supervisor starts it again.
            supervisor = cluster.SuperviseAsync(leader, end.Token);
            await Progress(counter, 100, writer, readers);
            await enough.CancelAsync();
            await writer;
            var reads = await Task.WhenAll(readers);
            Assert.All(reads, count => Assert.True(count > 0));

            await Eventually.TrueAsync(() => IsAnsweringAsync(cluster, leader), $"{leader} after its pause", Stop, TimeSpan.FromSeconds(90));
            await cluster.ReadyAsync(Stop);
            Assert.Equal(new Revision(2 + counter.Acknowledged), await cluster.EqualAsync(Stop));
            TestContext.Current.TestOutputHelper?.WriteLine($"{counter.Acknowledged} increments, {string.Join(", ", reads)} linearizable reads");
        }
        finally
        {
            await end.CancelAsync();
            await supervisor;
            cluster.Nodes.Resume(leader);
            foreach (var client in clients)
            {
                await client.DisposeAsync();
            }
        }
    }

    private static async Task<bool> IsAnsweringAsync(ProcessCluster cluster, string node)
    {
        var inspection = await cluster.Inspector.StatusAsync(Stop);
        return inspection.Nodes.Count == cluster.Nodes.Layout.Nodes.Count && inspection.Nodes.Any(status => status.Node.Value == node);
    }

    private static Task Progress(Counter counter, long more, Task writer, List<Task<int>> readers)
    {
        var before = counter.Acknowledged;
        return Eventually.TrueAsync(
            async () =>
            {
                // Whoever has ended before it was told to has failed: awaiting it throws.
                if (readers.Append(writer).FirstOrDefault(task => task.IsCompleted) is { } ended)
                {
                    await ended;
                }

                return counter.Acknowledged >= before + more;
            },
            $"{more} more increments", Stop, TimeSpan.FromSeconds(60));
    }

    private static async Task CountAsync(QuicksilverClient client, Counter counter, CancellationToken enough)
    {
        while (!enough.IsCancellationRequested)
        {
            await client.Keyspace("count").PutAsync("n", (counter.Acknowledged + 1).ToString(CultureInfo.InvariantCulture), cancellation: CancellationToken.None);
            counter.Acknowledge();
        }
    }

    private static async Task<int> ReadAsync(QuicksilverClient client, Counter counter, CancellationToken enough)
    {
        var reads = 0;
        while (!enough.IsCancellationRequested)
        {
            // What was acknowledged before the read began must be in its answer; what was not begun when it ended cannot be.
            var least = counter.Acknowledged;
            var entry = await client.Keyspace("count").GetAsync("n", ReadOptions.Linearizable, CancellationToken.None);
            var value = long.Parse(entry!.Text, CultureInfo.InvariantCulture);
            Assert.True(value >= least, $"A linearizable read answered {value} after {least} had been acknowledged.");
            Assert.True(value <= counter.Acknowledged + 1, $"A read answered {value}, {counter.Acknowledged + 1} was being written.");
            reads++;
        }

        return reads;
    }

    private sealed class Counter
    {
        private long _acknowledged;

        public long Acknowledged => Interlocked.Read(ref _acknowledged);

        public void Acknowledge() => Interlocked.Increment(ref _acknowledged);
    }
}
