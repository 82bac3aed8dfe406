using System.Collections.Concurrent;
using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a hub member whose disk fails ends at once, with its own exit code and one line that says what to do; the hub goes on without
/// it, and with it again when the disk is in order; nothing that was acknowledged is lost. Method: system calls on the files of a real
/// member under load get the errors of a disk, one kind after the other.
/// </summary>
[Collection(Alone.Name)]
public sealed class DiskFaultTests
{
    private const int Old = 3_000;
    private const int Writers = 8;

    /// <summary>The exit code of a node whose disk or database failed, as docs/operations.md has it.</summary>
    private const int StorageFailed = 10;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_member_whose_disk_fails_stops_with_its_own_exit_code_and_nothing_acknowledged_is_lost()
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop, regions: []);
        await using var client = cluster.Connect(TimeSpan.FromSeconds(60));
        await client.Catalog.CreateAsync("disk", cancellation: Stop);
        await client.Catalog.CreateAsync("old", cancellation: Stop);
        var acknowledged = new ConcurrentQueue<AcknowledgedWrite>();
        var old = await Task.WhenAll(Enumerable.Range(0, Old).Select(async i =>
        {
            var put = await client.Keyspace("old").PutAsync(OldKey(i), new string('o', 200), cancellation: Stop);
            acknowledged.Enqueue(new(put.OperationId, put.Revision));
            return put.Revision;
        }));
        using var enough = new CancellationTokenSource();
        using var passes = new SemaphoreSlim(Writers);
        var load = Enumerable.Range(0, Writers).Select(writer => Task.Run(() => WriteAsync(client, writer, acknowledged, passes, enough.Token), Stop)).ToList();

        var first = await FollowerAsync(cluster);
        await EndsAsync(cluster, first, "fdatasync", "EIO", [], acknowledged, load, before: () => RefusedAsync(cluster, first));
        var second = await cluster.LeaderAsync(Stop);
        await EndsAsync(cluster, second, "fdatasync", "EIO", [], acknowledged, load);
        var third = await cluster.LeaderAsync(Stop);
        await EndsAsync(cluster, third, "write,pwrite64,fallocate", "ENOSPC", LogsOf(cluster, third), acknowledged, load);

        // One that was started since the old rows were written has them in tables, and has read none of them.
        var leader = await cluster.LeaderAsync(Stop);
        var follower = new[] { first, second, third }.First(node => node != leader);
        await using var reader = cluster.Connect(TimeSpan.FromSeconds(8), follower);
        var keyspace = reader.Keyspace("old");

        // Which keyspace it is, is known to this client now. Of its rows none was read (a filter says that this key is in no table), or
        // only the first, which may share a block with the catalog.
        Assert.Null(await keyspace.GetAsync("none", ReadOptions.Eventual, Stop));

        // The load waits: a write that must look into a table to be applied ends the member, and the reads must come first.
        for (var writer = 0; writer < Writers; writer++)
        {
            await passes.WaitAsync(Stop);
        }

        await LevelAsync(cluster);
        await EndsAsync(
            cluster, follower, "pread64", "EIO", Directory.GetFiles(Path.Combine(cluster.Nodes.DataOf(follower), "db"), "*.sst"), acknowledged, load,
            meanwhile: async () =>
            {
                // What cannot be read is not missing, and a scan does not end there in silence.
                await DamagedAsync(async () => Assert.Fail($"The read gave {(await keyspace.GetAsync(OldKey(Old / 2), ReadOptions.Eventual, Stop))?.Text ?? "nothing"}."));
                await DamagedAsync(async () => Assert.Fail($"The scan gave {await keyspace.ScanAsync(new() { Read = ReadOptions.Eventual }, Stop).CountAsync(Stop)} rows."));

                // Judged on every member; one that cannot must not go on.
                var put = await client.Keyspace("old").PutAsync(OldKey(Old - 1), "new", new() { IfRevision = old[^1] }, Stop);
                Assert.Equal(CommitStatus.Committed, put.Status);
                acknowledged.Enqueue(new(put.OperationId, put.Revision));
                passes.Release(Writers);
            });

        await enough.CancelAsync();
        await Task.WhenAll(load);
        await cluster.EqualAsync(Stop);
        Assert.Empty(await cluster.WrongLogsAsync(acknowledged, Stop));
    }

    private static string OldKey(int number) => number.ToString("d6", CultureInfo.InvariantCulture);

    private static async Task DamagedAsync(Func<Task> read) =>
        Assert.Equal(QuicksilverErrorCode.Damaged, (await Assert.ThrowsAsync<QuicksilverException>(read)).Code);

    private static async Task<string> FollowerAsync(ProcessCluster cluster)
    {
        var leader = await cluster.LeaderAsync(Stop);
        return cluster.Nodes.Hubs.First(hub => hub != leader);
    }

    /// <summary>The write-ahead logs of a member, those to come as well.</summary>
    private static IEnumerable<string> LogsOf(ProcessCluster cluster, string node)
    {
        var database = Path.Combine(cluster.Nodes.DataOf(node), "db");
        var newest = Directory.GetFiles(database, "*.log").Max(path => int.Parse(Path.GetFileNameWithoutExtension(path), CultureInfo.InvariantCulture));
        return Enumerable.Range(newest, 40).Select(number => Path.Combine(database, $"{number:d6}.log"));
    }

    /// <summary>A disk fails under a running member; the member ends, the others go on, and it comes back when the disk is in order.</summary>
    /// <param name="meanwhile">Done while calls fail.</param>
    /// <param name="before">Done before the member is started again.</param>
    private static async Task EndsAsync(
        ProcessCluster cluster, string node, string calls, string error, IEnumerable<string> paths, ConcurrentQueue<AcknowledgedWrite> acknowledged,
        List<Task> load, Func<Task>? meanwhile = null, Func<Task>? before = null)
    {
        var file = cluster.Sub("faults");
        var process = cluster.Nodes[node].Pid;
        var logged = new FileInfo(cluster.Nodes[node].Log).Length;
        await using (await SyscallFaults.AttachAsync(process, file, calls, error, paths, Stop))
        {
            await (meanwhile?.Invoke() ?? Task.CompletedTask);
            await EndedAsync(cluster, node, process, file, logged);
        }

        await ProgressAsync(acknowledged, 100, load);
        await (before?.Invoke() ?? Task.CompletedTask);
        cluster.Nodes.Start(node);
        await cluster.ReadyAsync(Stop);
        await ProgressAsync(acknowledged, 100, load);
    }

    /// <summary>A disk gives back nothing of what was written last: the member must not take that for the end of its log.</summary>
    private static async Task RefusedAsync(ProcessCluster cluster, string node)
    {
        var file = cluster.Sub("faults");
        var logged = new FileInfo(cluster.Nodes[node].Log).Length;
        var logs = Directory.GetFiles(Path.Combine(cluster.Nodes.DataOf(node), "db"), "*.log");
        cluster.Nodes.Start(node, SyscallFaults.Under(file, "read,pread64", "EIO", logs));
        await EndedAsync(cluster, node, cluster.Nodes[node].Pid, file, logged);
        File.Delete(file);
    }

    private static async Task EndedAsync(ProcessCluster cluster, string node, int process, string file, long logged)
    {
        await Eventually.TrueAsync(
            () => !cluster.Nodes.IsRunning(node) && SyscallFaults.ExitCode(file, process) is not null, $"the end of {node}", Stop, TimeSpan.FromSeconds(60));
        Assert.True(SyscallFaults.Failed(file) > 0, "No call was made to fail.");
        await using var log = new FileStream(cluster.Nodes[node].Log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        log.Position = logged;
        using var reader = new StreamReader(log);
        var text = await reader.ReadToEndAsync(Stop);
        TestContext.Current.TestOutputHelper?.WriteLine($"{node} of {SyscallFaults.Failed(file)} failed calls: {text}");
        Assert.True(SyscallFaults.ExitCode(file, process) == StorageFailed, $"{node} ended with {SyscallFaults.ExitCode(file, process)}:\n{text}");
        var line = Assert.Single(text.Split('\n'), line => line.StartsWith("quicksilver:", StringComparison.Ordinal));
        Assert.EndsWith("When the disk is in order and has room, start this node again.", line.TrimEnd(), StringComparison.Ordinal);

        // And is not drowned by what the libraries say of each request that failed. Elections, of which a busy machine has more, are no part of that.
        Assert.InRange(text.Split('\n').Count(line => line.Length > 0 && !IsOwn(line)), 1, 12);
    }

    /// <summary>What the node says of its own course: information and warnings of its own parts.</summary>
    private static bool IsOwn(string line) =>
        line.Contains(" info: Quicksilver.", StringComparison.Ordinal) || line.Contains(" warn: Quicksilver.", StringComparison.Ordinal);

    /// <summary>Waits until all members have applied the same. No table is read for that, as a comparison of states would.</summary>
    private static Task LevelAsync(ProcessCluster cluster) => Eventually.TrueAsync(
        async () =>
        {
            var members = await Task.WhenAll(cluster.Nodes.Hubs.Select(hub => cluster.FindStatusAsync(hub, Stop)));
            return members.All(member => member is not null) && members.Select(member => member!.Position).Distinct().Count() == 1;
        },
        "members at one position", Stop, TimeSpan.FromSeconds(60));

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

    /// <param name="passes">One for each writer; whoever takes them all holds the load.</param>
    private static async Task WriteAsync(
        QuicksilverClient client, int writer, ConcurrentQueue<AcknowledgedWrite> acknowledged, SemaphoreSlim passes, CancellationToken enough)
    {
        for (var i = 0; !enough.IsCancellationRequested; i++)
        {
            await passes.WaitAsync(CancellationToken.None);
            var put = await client.Keyspace("disk").PutAsync($"{writer}/{i:d7}", $"{i}", cancellation: CancellationToken.None);
            passes.Release();
            acknowledged.Enqueue(new(put.OperationId, put.Revision));
        }
    }
}
