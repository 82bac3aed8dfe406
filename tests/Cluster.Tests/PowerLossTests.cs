using System.Collections.Concurrent;
using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Local;
using Quicksilver.Testing;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: what was acknowledged is there after the power failed, on one member or on all. Method: each member's data is on a disk of its
/// own, whose power is cut under writers: what was not flushed is gone; the process is killed, the disk mounted and the member started
/// again, round after round.
/// </summary>
[Collection(Alone.Name)]
public sealed class PowerLossTests
{
    private const int DiskMebibytes = 4_096;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact(Explicit = true)]
    public async Task Nothing_that_was_acknowledged_is_lost_when_the_power_of_one_or_all_members_fails()
    {
        Assert.SkipWhen(LoopDisk.Missing is not null, $"No power was cut: this needs {LoopDisk.Missing}.");
        var rounds = int.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "50", CultureInfo.InvariantCulture);
        using var directory = new TempDirectory();
        var disks = new Dictionary<string, LoopDisk>();
        await using var cluster = await ProcessCluster.StartAsync(Stop, regions: [], prepare: async nodes =>
        {
            foreach (var hub in nodes.Hubs.ToList())
            {
                disks.Add(hub, await LoopDisk.CreateAsync(directory.Sub($"{hub}.ext4"), nodes.DataOf(hub), DiskMebibytes, Stop));
            }
        });
        try
        {
            await CutAsync(cluster, disks, rounds);
        }
        finally
        {
            foreach (var (hub, disk) in disks)
            {
                await EndAsync(cluster.Nodes, hub);
                await disk.DisposeAsync();
            }
        }
    }

    private static async Task CutAsync(ProcessCluster cluster, Dictionary<string, LoopDisk> disks, int rounds)
    {
        await using var client = cluster.Connect(TimeSpan.FromSeconds(90));
        await client.Catalog.CreateAsync("power", cancellation: Stop);
        var acknowledged = new ConcurrentQueue<AcknowledgedWrite>();
        using var enough = new CancellationTokenSource();
        var load = Enumerable.Range(0, 16).Select(writer => Task.Run(() => WriteAsync(client, writer, acknowledged, enough.Token), Stop)).ToList();
        for (var round = 0; round < rounds; round++)
        {
            var before = acknowledged.Count;
            await Eventually.TrueAsync(
                () => acknowledged.Count >= before + 300 || load.Exists(writer => writer.IsFaulted), $"progress before power cut {round}", Stop, TimeSpan.FromSeconds(90));
            var leader = await cluster.LeaderAsync(Stop);
            var hit = (round % 3) switch
            {
                0 => cluster.Nodes.Hubs.ToList(),
                1 => [leader],
                _ => cluster.Nodes.Hubs.Where(hub => hub != leader).Take(1).ToList(),
            };
            foreach (var hub in hit)
            {
                disks[hub].CutPower();
            }

            foreach (var hub in hit)
            {
                await EndAsync(cluster.Nodes, hub);
                await disks[hub].ReturnAsync(Stop);
            }

            foreach (var hub in hit)
            {
                cluster.Start(hub);
            }

            await cluster.ReadyAsync(Stop);
        }

        await enough.CancelAsync();
        await Task.WhenAll(load);
        await cluster.EqualAsync(Stop);
        Assert.Empty(await cluster.WrongLogsAsync(acknowledged, Stop));
        TestContext.Current.TestOutputHelper?.WriteLine($"{rounds} power cuts, {acknowledged.Count} acknowledged writes");
    }

    /// <summary>A member whose disk fails may have ended by itself; from here on nobody starts it again.</summary>
    private static Task EndAsync(LocalCluster nodes, string node) => nodes.KillAsync(node, CancellationToken.None);

    private static async Task WriteAsync(QuicksilverClient client, int writer, ConcurrentQueue<AcknowledgedWrite> acknowledged, CancellationToken enough)
    {
        for (var i = 0; !enough.IsCancellationRequested; i++)
        {
            var put = await client.Keyspace("power").PutAsync($"{writer}/{i:d7}", $"{i}", cancellation: CancellationToken.None);
            acknowledged.Enqueue(new(put.OperationId, put.Revision));
        }
    }
}
