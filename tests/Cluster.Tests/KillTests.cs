using System.Collections.Concurrent;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: nothing acknowledged is lost, nothing happens twice, and regions go on from where they were. Method: kill -9 of the
/// whole development process, again and again, while writers put records of their own and remember every answer.
/// </summary>
public sealed class KillTests
{
    private const int Writers = 16;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public Task Ten_kills_under_load_lose_nothing_and_double_nothing() => KillAsync(10);

    [Fact(Explicit = true)]
    public Task Many_kills_under_load_lose_nothing_and_double_nothing() =>
        KillAsync(int.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "200", System.Globalization.CultureInfo.InvariantCulture));

    private static async Task KillAsync(int rounds)
    {
        await using var cluster = new DevelopmentProcess();
        await cluster.StartAsync(Stop);
        await using var client = cluster.Connect("us", TimeSpan.FromSeconds(60));
        await client.Catalog.CreateAsync("kill", cancellation: Stop);
        var acknowledged = new ConcurrentDictionary<string, Revision>();
        using var enough = new CancellationTokenSource();
        var counts = new int[Writers];
        var writers = Enumerable.Range(0, Writers).Select(writer => WriteAsync(client, writer, acknowledged, counts, enough.Token)).ToList();
        for (var round = 0; round < rounds; round++)
        {
            // Armed by progress, not by time: each process has acknowledged something to every writer before it dies.
            var before = counts.ToArray();
            var total = acknowledged.Count;
            await Eventually.TrueAsync(
                () => writers.Exists(writer => writer.IsFaulted)
                    || (acknowledged.Count >= total + 100 && Enumerable.Range(0, Writers).All(writer => Volatile.Read(ref counts[writer]) > before[writer])),
                $"progress of every writer before kill {round}", Stop, TimeSpan.FromSeconds(60));
            await cluster.Process.KillAsync(Stop);
            await cluster.StartAsync(Stop);
        }

        await enough.CancelAsync();
        await Task.WhenAll(writers);

        await using var reader = cluster.Connect("hub", TimeSpan.FromSeconds(30));
        var rows = await reader.Keyspace("kill").ScanAsync(new() { PageSize = 5_000 }, Stop).ToListAsync(Stop);
        Assert.Equal(
            acknowledged.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => (pair.Key, pair.Value)),
            rows.Select(row => (row.Key.ToString(), row.Entry.Revision)));

        // One revision for the keyspace and one for each record: had a write been applied twice, there would be more.
        var inspector = new ClusterInspector([cluster.Gateway("eu")], TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
        Inspection? inspection = null;
        Verification? verification = null;
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    inspection = await inspector.StatusAsync(Stop);
                    if (inspection.Nodes.Count != 3 || inspection.Nodes.Any(node => node.Position.Revision.Value != rows.Count + 1))
                    {
                        return false;
                    }

                    // One that does not answer in time is asked again; one that differs is a failure at once.
                    verification = await inspector.VerifyAsync(Stop);
                    return verification.Different.Count > 0 || (verification.IsEqual && verification.Nodes.Count == 3);
                }
                catch (QuicksilverException)
                {
                    return false;
                }
            },
            $"three nodes that can be compared at revision {rows.Count + 1}", Stop, TimeSpan.FromSeconds(60));
        Assert.True(verification!.IsEqual, string.Join("; ", verification.Nodes));
        Assert.All(inspection!.Nodes, node => Assert.Equal(0, node.FullCopies));
        TestContext.Current.TestOutputHelper?.WriteLine($"{rounds} kills, {rows.Count} records");
    }

    private static async Task WriteAsync(QuicksilverClient client, int writer, ConcurrentDictionary<string, Revision> acknowledged, int[] counts, CancellationToken enough)
    {
        for (var i = 0; !enough.IsCancellationRequested; i++)
        {
            // The client goes on with one operation id until the outcome is certain; an uncertain one would throw.
            var key = $"{writer:d2}/{i:d7}";
            var put = await client.Keyspace("kill").PutAsync(key, key, cancellation: CancellationToken.None);
            acknowledged[key] = put.Revision;
            Volatile.Write(ref counts[writer], i + 1);
        }
    }
}
