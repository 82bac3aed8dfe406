using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a member whose disk is slow slows nobody down: as a follower it is not waited for, as a leader it loses the leadership. Method:
/// each flush of one real member under load takes seconds; the longest put is looked at, beside the longest of as many without a stall.
/// </summary>
[Collection(Alone.Name)]
public sealed class StallTests
{
    private const int Writers = 4;

    /// <summary>Longer than an election takes, and than any put may.</summary>
    private static readonly TimeSpan Stall = TimeSpan.FromSeconds(20);

    private static readonly TimeSpan LongestPut = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan LongestWithoutLeader = TimeSpan.FromSeconds(6);

    /// <summary>A put that took longer may have waited for the disk, however slow the machine.</summary>
    private static readonly TimeSpan LongestOfAll = TimeSpan.FromSeconds(15);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_follower_whose_disk_stalls_is_not_waited_for_and_a_leader_hands_over()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop, regions: []);
        await using var client = cluster.Connect(TimeSpan.FromSeconds(60));
        await client.Catalog.CreateAsync("stall", cancellation: Stop);
        using var enough = new CancellationTokenSource();
        var puts = new Puts();
        var load = Enumerable.Range(0, Writers).Select(writer => Task.Run(() => WriteAsync(client, writer, puts, enough.Token), Stop)).ToList();
        await ProgressAsync(200);

        // The longest of so many while no disk stalls. An election meanwhile is the machine's, and not what a put usually takes.
        var (leader, term) = await LeadershipAsync();
        var usual = await LongestOfAsync(1_000);
        for (var tries = 1; tries < 3 && await LeadershipAsync() != (leader, term); tries++)
        {
            (leader, term) = await LeadershipAsync();
            usual = await LongestOfAsync(1_000);
        }

        var follower = cluster.Nodes.Hubs.First(hub => hub != leader);
        await using (await StallAsync(follower))
        {
            Assert.InRange(await LongestOfAsync(1_000), TimeSpan.Zero, AtMost(LongestPut, usual));
            Assert.Equal(leader, await cluster.LeaderAsync(Stop));
        }

        leader = await cluster.LeaderAsync(Stop);
        puts.TakeLongest();
        await using (await StallAsync(leader))
        {
            await ProgressAsync(1_000);
            Assert.NotEqual(leader, await cluster.LeaderAsync(Stop));
            Assert.InRange(puts.TakeLongest(), TimeSpan.Zero, AtMost(LongestWithoutLeader, usual));
        }

        await enough.CancelAsync();
        await Task.WhenAll(load);
        await cluster.EqualAsync(Stop);

        Task<SyscallFaults> StallAsync(string node) => SyscallFaults.StallAsync(cluster.Nodes[node].Pid, cluster.Sub("stalls"), "fdatasync", Stall, Stop);

        async Task<(string Node, Term Term)> LeadershipAsync()
        {
            var node = await cluster.LeaderAsync(Stop);
            return (node, (await cluster.StatusAsync(node, Stop)).Term);
        }

        async Task<TimeSpan> LongestOfAsync(long more)
        {
            puts.TakeLongest();
            await ProgressAsync(more);
            return puts.TakeLongest();
        }

        async Task ProgressAsync(long more)
        {
            var before = puts.Count;
            await Eventually.TrueAsync(
                async () =>
                {
                    if (load.Find(writer => writer.IsCompleted) is { } ended)
                    {
                        await ended;
                    }

                    return puts.Count >= before + more;
                },
                $"{more} more writes", Stop, TimeSpan.FromSeconds(60));
        }
    }

    private static TimeSpan AtMost(TimeSpan idle, TimeSpan usual)
    {
        var slow = idle + (3 * usual);
        return slow < LongestOfAll ? slow : LongestOfAll;
    }

    private static async Task WriteAsync(QuicksilverClient client, int writer, Puts puts, CancellationToken enough)
    {
        for (var i = 0; !enough.IsCancellationRequested; i++)
        {
            var begun = TimeProvider.System.GetTimestamp();
            await client.Keyspace("stall").PutAsync($"{writer}", i.ToString(CultureInfo.InvariantCulture), cancellation: CancellationToken.None);
            puts.Add(TimeProvider.System.GetElapsedTime(begun));
        }
    }

    /// <summary>How many, and how long the longest took.</summary>
    private sealed class Puts
    {
        private readonly Lock _gate = new();
        private TimeSpan _longest;
        private long _count;

        public long Count => Interlocked.Read(ref _count);

        public void Add(TimeSpan took)
        {
            lock (_gate)
            {
                _longest = took > _longest ? took : _longest;
            }

            Interlocked.Increment(ref _count);
        }

        public TimeSpan TakeLongest()
        {
            lock (_gate)
            {
                var longest = _longest;
                _longest = default;
                TestContext.Current.TestOutputHelper?.WriteLine($"longest put {longest.TotalMilliseconds:0} ms");
                return longest;
            }
        }
    }
}
