using System.Collections.Concurrent;
using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a wall clock that is set ten minutes ahead, or back, on the leader changes the outcome of no write: a retry gets its first
/// answer, a new write is taken, nothing is done twice, and a key with a time to live goes when that time has passed, not before. Method: real hub nodes whose wall clocks are libfaketime's, under writers
/// that ask for everything again; monotonic time goes on as it does.
/// </summary>
[Collection(Alone.Name)]
public sealed class ClockTests
{
    private const int Remembered = 200;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static readonly TimeSpan ShortLife = TimeSpan.FromSeconds(3);

    private sealed record Done(Key Key, string Value, OperationId Operation, Revision Revision);

    [Fact]
    public async Task The_clock_of_the_leader_set_ten_minutes_ahead_and_back_changes_no_outcome()
    {
        Assert.SkipWhen(WallClocks.Missing is not null, $"No clock was set: this needs {WallClocks.Missing}.");
        using var directory = new TempDirectory();
        using var clocks = new WallClocks(directory.Path);
        await using var cluster = await ProcessCluster.StartAsync(Stop, regions: [], under: clocks.Under);
        await using var client = cluster.Connect(TimeSpan.FromSeconds(60));
        await client.Catalog.CreateAsync("clock", cancellation: Stop);
        var acknowledged = new ConcurrentQueue<AcknowledgedWrite>();
        var done = new ConcurrentQueue<Done>();
        using var enough = new CancellationTokenSource();
        var load = Enumerable.Range(0, 8).Select(writer => Task.Run(() => WriteAsync(client, writer, acknowledged, done, enough.Token), Stop)).ToList();
        await ProgressAsync(acknowledged, Remembered, load);
        var leader = await cluster.LeaderAsync(Stop);
        foreach (var ahead in new[] { TimeSpan.FromMinutes(10), TimeSpan.FromMinutes(-10) })
        {
            var before = done.TakeLast(Remembered).ToList();
            var keyspace = client.Keyspace("clock");
            await keyspace.PutAsync("long", "v", new() { TimeToLive = TimeSpan.FromMinutes(8) }, Stop);
            await keyspace.PutAsync("short", "v", new() { TimeToLive = ShortLife }, Stop);
            var put = TimeProvider.System.GetTimestamp();
            clocks.Set(leader, ahead);
            await Eventually.TrueAsync(
                async () => (await clocks.ReadAsync(cluster.Nodes[leader].Http, Stop) - ahead).Duration() < TimeSpan.FromMinutes(1), $"a clock that is {ahead} ahead", Stop);
            await ProgressAsync(acknowledged, 100, load);
            await AgainAsync(client, before);
            await NewcomersAsync(cluster, acknowledged);
            await Eventually.TrueAsync(
                async () =>
                {
                    var isThere = await keyspace.GetAsync("short", cancellation: Stop) is not null;

                    // Log time may run a twentieth faster than the clock, and time is read after the answer.
                    Assert.True(isThere || TimeProvider.System.GetElapsedTime(put) > 0.9 * ShortLife, "A key went before its time.");
                    return !isThere;
                },
                "a key whose time is over gone", Stop);
            Assert.NotNull(await keyspace.GetAsync("long", cancellation: Stop));
        }

        // The next leader has the right time.
        var last = done.TakeLast(Remembered).ToList();
        await cluster.Nodes.KillAsync(leader, Stop);
        await ProgressAsync(acknowledged, 100, load);
        await AgainAsync(client, last);
        clocks.Set(leader, TimeSpan.Zero);
        cluster.Start(leader);
        await cluster.ReadyAsync(Stop);
        await NewcomersAsync(cluster, acknowledged);
        await enough.CancelAsync();
        await Task.WhenAll(load);
        await cluster.EqualAsync(Stop);

        // A busy machine may have stopped one silo for so long that it was declared dead; a clock would do it at each setting.
        Assert.InRange(cluster.Restarts, 0, 1);
        Assert.Empty(await cluster.WrongLogsAsync(acknowledged, Stop));
        TestContext.Current.TestOutputHelper?.WriteLine($"{acknowledged.Count} writes");
    }

    /// <summary>What was acknowledged is asked for again, with its operation id.</summary>
    private static async Task AgainAsync(QuicksilverClient client, List<Done> done)
    {
        Assert.Equal(Remembered, done.Count);
        await Task.WhenAll(done.Select(async write =>
        {
            var again = await client.Keyspace("clock").PutAsync(write.Key, write.Value, new() { OperationId = write.Operation }, Stop);
            Assert.Equal((CommitStatus.Committed, write.Revision), (again.Status, again.Revision));
        }));
    }

    /// <summary>A client that has just come, at every node, learns the time of that node, and writes with it.</summary>
    private static async Task NewcomersAsync(ProcessCluster cluster, ConcurrentQueue<AcknowledgedWrite> acknowledged)
    {
        foreach (var hub in cluster.Nodes.Hubs)
        {
            await using var newcomer = cluster.Connect(TimeSpan.FromSeconds(30), hub);
            var put = await newcomer.Keyspace("clock").PutAsync("newcomer", hub, cancellation: Stop);
            acknowledged.Enqueue(new(put.OperationId, put.Revision));
            var off = DateTimeOffset.FromUnixTimeMilliseconds(put.OperationId.IssuedAt.Value) - TimeProvider.System.GetUtcNow();
            Assert.True(off.Duration() < TimeSpan.FromSeconds(30), $"{hub} tells a log time that is {off} from the real one.");
        }
    }

    private static Task ProgressAsync(ConcurrentQueue<AcknowledgedWrite> acknowledged, int more, List<Task> load)
    {
        var before = acknowledged.Count;
        return Eventually.TrueAsync(
            async () =>
            {
                if (load.Find(writer => writer.IsCompleted) is { } ended)
                {
                    await ended;
                }

                return acknowledged.Count >= before + more;
            },
            $"{more} more writes", Stop, TimeSpan.FromSeconds(60));
    }

    private static async Task WriteAsync(
        QuicksilverClient client, int writer, ConcurrentQueue<AcknowledgedWrite> acknowledged, ConcurrentQueue<Done> done, CancellationToken enough)
    {
        var keyspace = client.Keyspace("clock");
        for (var i = 0; !enough.IsCancellationRequested; i++)
        {
            var key = (Key)$"{writer}/{i:d7}";
            var value = i.ToString(CultureInfo.InvariantCulture);
            var put = await keyspace.PutAsync(key, value, cancellation: CancellationToken.None);
            acknowledged.Enqueue(new(put.OperationId, put.Revision));
            done.Enqueue(new(key, value, put.OperationId, put.Revision));
            var again = await keyspace.PutAsync(key, value, new() { OperationId = put.OperationId }, CancellationToken.None);
            Assert.Equal(put.Revision, again.Revision);
        }
    }
}
