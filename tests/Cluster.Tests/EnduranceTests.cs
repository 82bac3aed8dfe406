using System.Globalization;
using System.Text.RegularExpressions;
using Quicksilver.Client;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a hub under writers can go on for ever: memory, open files and disk stay as they are once it is warm, but for the change log, which
/// is kept whole. Method: puts on the same keys for an hour; every member is looked at each minute.
/// </summary>
[Collection(Alone.Name)]
public sealed partial class EnduranceTests
{
    private const int Writers = 8;
    private const int Keys = 100_000;

    /// <summary>How many entries the Raft log may have, and operation ids the memory (docs/operations.md).</summary>
    private const int MaxRaftEntries = 50_000;

    private const int MaxOperations = 1_000_000;

    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <param name="Rss">Resident memory, bytes.</param>
    /// <param name="Files">Open file descriptors, those of tables left out: each is open, and those of the change log become more.</param>
    /// <param name="Disk">The data directory without the tables of the change log, bytes.</param>
    /// <param name="ChangeLog">Those tables, bytes.</param>
    private sealed record Sample(long Rss, long Files, long Disk, long ChangeLog, long RaftEntries, long Operations, long Revision);

    [Fact(Explicit = true)]
    public async Task An_hour_of_puts_leaves_memory_files_and_disk_as_they_were_when_it_was_warm()
    {
        // Less than half an hour is not warm: table files of the Raft log grow to their limit first.
        var minutes = Math.Clamp(int.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "60", CultureInfo.InvariantCulture), 30, 60);
        await using var cluster = await ProcessCluster.StartAsync(Stop, regions: []);
        await using var client = cluster.Connect(TimeSpan.FromSeconds(60), await cluster.LeaderAsync(Stop));
        await client.Catalog.CreateAsync("hour", cancellation: Stop);
        using var http = new HttpClient();
        using var enough = new CancellationTokenSource();
        var load = Enumerable.Range(0, Writers).Select(writer => Task.Run(() => WriteAsync(client, new Random(writer), enough.Token), Stop)).ToList();
        var samples = cluster.Nodes.Hubs.ToDictionary(hub => hub, _ => new List<Sample>());
        using var timer = new PeriodicTimer(Minute, TimeProvider.System);
        for (var minute = 1; minute <= minutes; minute++)
        {
            await timer.WaitForNextTickAsync(Stop);
            Assert.DoesNotContain(load, writer => writer.IsCompleted);
            foreach (var (hub, seen) in samples)
            {
                seen.Add(await LookAsync(cluster, http, hub));
                TestContext.Current.TestOutputHelper?.WriteLine($"{minute,3} min, {hub}: {seen[^1]}");
            }
        }

        await enough.CancelAsync();
        await Task.WhenAll(load);
        await cluster.EqualAsync(Stop);
        foreach (var (hub, seen) in samples)
        {
            // Warm after a third of the time. What was most in the next third may be passed by little in the last.
            var before = seen[(minutes / 3)..(2 * minutes / 3)];
            var after = seen[(2 * minutes / 3)..];
            Flat("resident memory", sample => sample.Rss, 32 << 20);
            Flat("open files", sample => sample.Files, 16);
            Flat("disk without the change log", sample => sample.Disk, 64 << 20);
            Assert.All(seen, sample => Assert.InRange(sample.RaftEntries, 0, MaxRaftEntries));
            Assert.All(seen, sample => Assert.InRange(sample.Operations, 0, MaxOperations));

            void Flat(string what, Func<Sample, long> of, long slack)
            {
                var most = before.Max(of);
                Assert.True(after.Max(of) <= (most * 1.1) + slack, $"{hub}: {what} was at most {most}, and then {after.Max(of)}.");
            }
        }
    }

    private static async Task<Sample> LookAsync(ProcessCluster cluster, HttpClient http, string hub)
    {
        var node = cluster.Nodes[hub];
        var status = await File.ReadAllTextAsync($"/proc/{node.Pid}/status", Stop);
        var metrics = await http.GetStringAsync(new Uri($"http://{node.Http}/metrics"), Stop);
        var changeLog = Metric(metrics, "quicksilver_storage_tables_bytes", "family=\"Log\"") + Metric(metrics, "quicksilver_storage_tables_bytes", "family=\"KeyspaceLog\"");
        return new(
            1024 * long.Parse(Resident().Match(status).Groups[1].Value, CultureInfo.InvariantCulture), OpenFiles(node.Pid),
            BytesOf(cluster.Nodes.DataOf(hub)) - changeLog, changeLog, Metric(metrics, "quicksilver_raft_entries"), Metric(metrics, "quicksilver_operations_remembered"),
            Metric(metrics, "quicksilver_revision"));
    }

    private static int OpenFiles(int process) => new DirectoryInfo($"/proc/{process}/fd").EnumerateFileSystemInfos()
        .Count(entry => entry.LinkTarget?.EndsWith(".sst", StringComparison.Ordinal) != true);

    private static long Metric(string metrics, string name, string label = "") => (long)double.Parse(
        metrics.Split('\n').First(line => line.StartsWith(name + "{", StringComparison.Ordinal) && line.Contains(label, StringComparison.Ordinal)).Split('}')[1].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0],
        CultureInfo.InvariantCulture);

    private static long BytesOf(string directory)
    {
        long sum = 0;
        foreach (var file in new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories))
        {
            try
            {
                sum += file.Length;
            }
            catch (FileNotFoundException)
            {
                // Deleted this moment.
            }
        }

        return sum;
    }

    private static async Task WriteAsync(QuicksilverClient client, Random random, CancellationToken enough)
    {
        var value = new byte[100];
        while (!enough.IsCancellationRequested)
        {
            random.NextBytes(value);
            await client.Keyspace("hour").PutAsync(random.Next(Keys).ToString("d24", CultureInfo.InvariantCulture), value.ToArray(), cancellation: CancellationToken.None);
        }
    }

    [GeneratedRegex(@"VmRSS:\s+(\d+) kB")]
    private static partial Regex Resident();
}
