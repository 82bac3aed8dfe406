using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Contracts;
using Quicksilver.Hosting;
using Quicksilver.Model;

namespace Quicksilver.InProcess;

/// <summary>A hub and, as an application has it, a replica of it, both in this process.</summary>
internal sealed class Setup : IAsyncDisposable
{
    public const string Keyspace = "bench";
    private const int Batch = 1_000;

    private readonly NodeHost _hub;

    private Setup(NodeHost hub, QuicksilverReplica replica) => (_hub, Replica) = (hub, replica);

    public QuicksilverReplica Replica { get; }

    public static async Task<Setup> StartAsync(string directory, int basePort, TimeProvider time, CancellationToken stop)
    {
        var hub = await NodeHost.StartAsync(
            new()
            {
                Role = NodeRole.Hub, NodeId = NodeId.Parse("hub-0"), Region = RegionName.Parse("hub"), DataDirectory = Path.Combine(directory, "hub-0"),
                Ports = new(basePort, basePort + 1, basePort + 2), HubMembers = [new(NodeId.Parse("hub-0"), new(IPAddress.Loopback, basePort + 3))],
            },
            time, logging => logging.SetMinimumLevel(LogLevel.None), stop);
        var options = new QuicksilverReplicaOptions
        {
            // Nothing else is to read the disk while reads are measured; the cache is that of a node with room for the rows.
            NodeId = "app-0", Region = "app", DataDirectory = Path.Combine(directory, "app-0"), ScrubBytesPerSecond = 0, BlockCacheBytes = 1L << 30,
            Deadline = TimeSpan.FromMinutes(1),
        };
        options.Upstreams.Add(hub.Settings.GatewayText);
        var setup = new Setup(hub, new(options, time, NullLoggerFactory.Instance));
        try
        {
            await setup.Replica.StartAsync(stop);
            return setup;
        }
        catch
        {
            await setup.DisposeAsync();
            throw;
        }
    }

    /// <summary>Puts the rows, and returns when the replica has them in its tables.</summary>
    public async Task FillAsync(int count, int keyBytes, int valueBytes, int seed, TimeProvider time, CancellationToken stop)
    {
        await Replica.Catalog.CreateAsync(Keyspace, cancellation: stop);
        var keyspace = Replica.Keyspace(Keyspace);
        await Parallel.ForEachAsync(
            Enumerable.Range(0, (count + Batch - 1) / Batch), new ParallelOptions { MaxDegreeOfParallelism = 4, CancellationToken = stop },
            async (batch, cancellation) =>
            {
                var random = new Random(seed + batch);
                await keyspace.CommitAsync(
                    [],
                    [
                        .. Enumerable.Range(batch * Batch, Math.Min(Batch, count - (batch * Batch))).Select(i =>
                        {
                            var value = new byte[valueBytes];
                            random.NextBytes(value);
                            return Mutation.Put(Keys.TextOf(i, keyBytes), value);
                        }),
                    ],
                    cancellation: cancellation);
            });
        while (!Replica.Status!.Position.Covers(Replica.Session!.Value.Position))
        {
            await Task.Delay(TimeSpan.FromMilliseconds(50), time, stop);
        }

        Replica.Engines!.Store.Flush();
    }

    public async ValueTask DisposeAsync()
    {
        await Replica.DisposeAsync();
        await _hub.DisposeAsync();
    }
}
