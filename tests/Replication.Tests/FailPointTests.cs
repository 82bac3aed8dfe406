using System.Globalization;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a replica that dies between any two steps of applying, copying or putting the copy in place goes on from what it had, and ends equal
/// to its source. Method: a process of its own that kills itself (SIGKILL) at a place that is drawn, again and again on the same directory;
/// after each death a process without a fault must end equal.
/// </summary>
public sealed class FailPointTests : IDisposable
{
    private const int Killed = 128 + 9;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();

    private string Hub => _directory.Sub("hub");

    private string Replica => _directory.Sub("replica");

    private string Partial => _directory.Sub("partial");

    [Fact]
    public Task A_replica_killed_at_40_places_ends_equal_each_time() => KillAsync(40, 20261125);

    [Fact(Explicit = true)]
    public Task A_replica_killed_at_many_places_ends_equal_each_time() => KillAsync(
        int.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "400", CultureInfo.InvariantCulture), 20261126);

    private async Task KillAsync(int rounds, int seed)
    {
        var random = new Random(seed);
        var hit = new Dictionary<string, int>();
        for (var round = 0; hit.Values.Sum() < rounds; round++)
        {
            // One that passes its place less often than was drawn, or takes another way, is no kill.
            Assert.True(round < rounds * 3 / 2, $"seed {seed}: of {round} only {hit.Values.Sum()} were hit.");
            var point = FailPoint.All[round % FailPoint.All.Length];
            if (point.StartsWith("add", StringComparison.Ordinal))
            {
                hit[point] = hit.GetValueOrDefault(point) + await AddAsync(random, point, hit.ContainsKey(point), $"round {round} of seed {seed}, killed at {point}");
                continue;
            }

            var isCopy = !point.StartsWith("commit", StringComparison.Ordinal) || (hit.GetValueOrDefault(point) > 0 && random.Next(4) == 0);
            Write(random, isCopy);
            if (isCopy && random.Next(2) == 0 && Directory.Exists(Replica))
            {
                Directory.Delete(Replica, recursive: true);
            }

            var count = point switch
            {
                FailPoint.SnapshotBlock => random.Next(1, 20),
                FailPoint.SnapshotFile or FailPoint.SnapshotSaved or FailPoint.InstallIngested => random.Next(1, 4),
                _ when point.StartsWith("commit", StringComparison.Ordinal) && !isCopy => random.Next(1, 8),
                _ => 1,
            };
            var why = $"round {round} of seed {seed}, killed at {point}, hit {count}";
            var (code, _) = await RunAsync(Replica, "*", point, count.ToString(CultureInfo.InvariantCulture));
            Assert.True(code is Killed or 0, $"{why}: it ended with {code}");
            hit[point] = hit.GetValueOrDefault(point) + (code == Killed ? 1 : 0);

            (code, var output) = await RunAsync(Replica, "*");
            Assert.True(code == 0 && output.Contains("equal", StringComparison.Ordinal), $"{why}: {output}");
        }

        Assert.Equal(FailPoint.All.Order(), hit.Where(pair => pair.Value > 0).Select(pair => pair.Key).Order());
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(", ", hit.OrderBy(pair => pair.Key).Select(pair => $"{pair.Key} {pair.Value}")));
    }

    /// <summary>A replica of one keyspace that is to hold another as well is killed on the way there.</summary>
    private async Task<int> AddAsync(Random random, string point, bool cut, string why)
    {
        Write(random, cut: false);
        var (code, output) = await RunAsync(Partial, random.Next(2) == 0 ? "flags" : "rou*");
        Assert.True(code == 0, $"{why}: before it, {output}");
        // Behind a cut log it begins anew with all that it wants.
        Write(random, cut && random.Next(4) == 0);
        var all = random.Next(2) == 0 ? "flags,routes" : "*";
        (code, _) = await RunAsync(Partial, all, point, point == FailPoint.AddIngested ? random.Next(1, 3).ToString(CultureInfo.InvariantCulture) : "1");
        Assert.True(code is Killed or 0, $"{why}: it ended with {code}");
        var wasHit = code == Killed ? 1 : 0;
        Write(random, cut: false);
        (code, output) = await RunAsync(Partial, random.Next(3) == 0 ? "flags" : all);
        Assert.True(code == 0 && output.Contains("equal", StringComparison.Ordinal), $"{why}: {output}");
        return wasHit;
    }

    /// <summary>More at the hub; for a copy, so that the replica is behind the log that is left.</summary>
    private void Write(Random random, bool cut)
    {
        using var hub = new HubStore(Hub);
        if (hub.Store.Progress.Position.Revision.Value < 3)
        {
            hub.ApplyOne(hub.Commands.Create("routes"));
        }

        var first = hub.Store.Progress.Position.Revision.Value;
        hub.Now = hub.Store.Progress.LogTime.Add(TimeSpan.FromSeconds(1));
        hub.Commands.IssuedAt = hub.Now;
        for (var i = 0; i < 120; i++)
        {
            var keyspace = new KeyspaceId((uint)random.Next(1, 3));
            Assert.NotEqual(CommitKind.Expired, hub.ApplyOne(random.Next(5) == 0
                ? hub.Commands.Delete(keyspace, $"k{random.Next(200)}")
                : hub.Commands.Put(keyspace, $"k{random.Next(200)}", new((char)random.Next('a', 'z'), random.Next(300)))).Kind);
        }

        if (cut)
        {
            hub.Store.CutLog(new(random.NextInt64(first + 2, hub.Store.Progress.Position.Revision.Value + 2)), Stop);
        }
    }

    private async Task<(int Code, string Output)> RunAsync(string replica, string keyspaces, params string[] fault)
    {
        await using var child = ChildProcess.Start("FailingReplica", "FailingReplica", [Hub, replica, keyspaces, .. fault]);
        var code = await child.WaitAsync(Stop);
        return (code, $"{child.Output} {child.Errors}");
    }

    public void Dispose() => _directory.Dispose();
}
