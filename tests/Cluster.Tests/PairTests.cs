using System.Collections.Concurrent;
using System.Net;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: acknowledged means on a majority of disks: any two of three members have it. Method: kill -9 of all hub nodes under load;
/// the crashed directories are copied, and each pair of members is started from its own copies.
/// </summary>
public sealed class PairTests
{
    private const int Writers = 16;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public Task Every_pair_of_members_has_all_that_was_acknowledged_once_after_four_kills_of_all_three() => KillAllAsync(4);

    [Fact(Explicit = true)]
    public Task Every_pair_of_members_has_all_that_was_acknowledged_once_after_many_kills_of_all_three() =>
        KillAllAsync(int.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "200", System.Globalization.CultureInfo.InvariantCulture));

    private static async Task KillAllAsync(int rounds)
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop);
        await using var client = cluster.Connect(TimeSpan.FromSeconds(90));
        await client.Catalog.CreateAsync("pairs", cancellation: Stop);
        var acknowledged = new ConcurrentDictionary<string, Revision>();
        using var enough = new CancellationTokenSource();
        var writers = Enumerable.Range(0, Writers).Select(writer => WriteAsync(client, writer, acknowledged, enough.Token)).ToList();
        var hubs = cluster.Nodes.Hubs.ToList();
        for (var round = 0; round < rounds; round++)
        {
            var before = acknowledged.Count;
            await Eventually.TrueAsync(
                () => acknowledged.Count >= before + 200 || writers.Exists(writer => writer.IsFaulted), $"progress before kill {round}", Stop, TimeSpan.FromSeconds(90));
            await Task.WhenAll(hubs.Select(hub => cluster.Nodes.KillAsync(hub, Stop)));

            // Nothing is acknowledged any more: this is what must be there.
            var promised = acknowledged.ToDictionary();
            foreach (var left in hubs)
            {
                await CheckPairAsync(cluster, hubs.Where(hub => hub != left).ToList(), promised, round);
            }

            foreach (var hub in hubs)
            {
                cluster.Nodes.Start(hub);
            }
        }

        await enough.CancelAsync();
        await Task.WhenAll(writers);
        await cluster.ReadyAsync(Stop);
        await cluster.EqualAsync(Stop);
        TestContext.Current.TestOutputHelper?.WriteLine($"{rounds} kills of all three, {3 * rounds} pairs, {acknowledged.Count} acknowledged records");
    }

    private static async Task CheckPairAsync(ProcessCluster cluster, List<string> pair, Dictionary<string, Revision> promised, int round)
    {
        using var copies = new TempDirectory();
        foreach (var hub in pair)
        {
            FileTree.Copy(cluster.Nodes.DataOf(hub), copies.Sub(hub));
        }

        var addresses = cluster.Nodes.Hubs.Select(hub => new HubMember(NodeId.Parse(hub), IPEndPoint.Parse(cluster.Nodes[hub].Raft!))).ToList();
        await using var members = await HubMembers.StartAsync(addresses, pair.ToDictionary(NodeId.Parse, copies.Sub), Stop);

        // Through a new leader: what the pair agrees on, not what one of the two happens to have.
        Assert.NotNull(await members.Leader!.Engine!.Sequencer.ReadBarrierAsync(Stop));
        using var view = members.Leader.Store!.AcquireView();
        var keyspace = view.FindKeyspace(KeyspaceName.Parse("pairs"))!.Id;
        var found = new Dictionary<string, Revision>();
        using (var rows = view.OpenRows(keyspace))
        {
            for (var more = rows.Seek(default); more; more = rows.Next())
            {
                found.Add(System.Text.Encoding.UTF8.GetString(rows.Key), rows.Row.Revision);
            }
        }

        var missing = promised.Where(record => !found.TryGetValue(record.Key, out var revision) || revision != record.Value).ToList();
        Assert.True(missing.Count == 0, $"Round {round}, pair {string.Join(" and ", pair)}: {missing.Count} of {promised.Count} acknowledged records are missing or moved, for example {missing.FirstOrDefault()}.");

        // One record of the log for each key: none was applied twice.
        var operations = new HashSet<OperationId>();
        long records = 0;
        using var log = view.OpenLog();
        for (var more = log.Seek(new(1)); more; more = log.Next())
        {
            var header = RecordView.Parse(log.Record).Header;
            Assert.True(operations.Add(header.OperationId), $"Round {round}: operation {header.OperationId} is in the log twice.");
            records += header.Keyspace == keyspace ? 1 : 0;
        }

        Assert.Equal(found.Count, records);
    }

    private static async Task WriteAsync(QuicksilverClient client, int writer, ConcurrentDictionary<string, Revision> acknowledged, CancellationToken enough)
    {
        for (var i = 0; !enough.IsCancellationRequested; i++)
        {
            var key = $"{writer:d2}/{i:d7}";
            var put = await client.Keyspace("pairs").PutAsync(key, key, cancellation: CancellationToken.None);
            acknowledged[key] = put.Revision;
        }
    }
}
