using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: any hub node takes writes and linearizable reads, and the hub goes on without one of its three. Method: three hub silos
/// that share a membership file, two regions, the leader stopped and started.
/// </summary>
public sealed class HubOfThreeTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Writes_and_linearizable_reads_go_through_every_node_and_survive_the_leader()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop, hubs: 3);
        var clients = cluster.Hubs.Append("eu").Append("us").ToDictionary(node => node, node => cluster.Connect(node, TimeSpan.FromSeconds(60)));
        try
        {
            await clients["us"].Catalog.CreateAsync("flags", cancellation: Stop);
            foreach (var writer in clients)
            {
                var value = $"from {writer.Key}";
                Assert.Equal(CommitStatus.Committed, (await writer.Value.Keyspace("flags").PutAsync("k", value, cancellation: Stop)).Status);
                foreach (var reader in clients)
                {
                    Assert.Equal((reader.Key, value), (reader.Key, (await reader.Value.Keyspace("flags").GetAsync("k", ReadOptions.Linearizable, Stop))?.Text));
                }
            }

            var old = cluster.Leader!;
            await cluster.StopAsync(old);
            foreach (var (node, client) in clients.Where(client => client.Key != old))
            {
                var put = await client.Keyspace("flags").PutAsync(node, "after", cancellation: Stop);
                Assert.Equal(CommitStatus.Committed, put.Status);
                Assert.Equal("after", (await client.Keyspace("flags").GetAsync(node, ReadOptions.Linearizable, Stop))?.Text);
            }

            await cluster.StartAsync(old, Stop);
            foreach (var node in clients.Keys)
            {
                await cluster.LevelAsync(node, Stop);
            }

            await cluster.EqualAsync("eu", Stop);
        }
        finally
        {
            foreach (var client in clients.Values)
            {
                await client.DisposeAsync();
            }
        }
    }

    [Fact]
    public async Task A_racing_conditional_put_through_all_hub_nodes_has_one_winner()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop, hubs: 3);
        var clients = cluster.Hubs.Select(node => cluster.Connect(node, TimeSpan.FromSeconds(60))).ToList();
        await clients[0].Catalog.CreateAsync("race", cancellation: Stop);
        var results = await Task.WhenAll(Enumerable.Range(0, 90).Select(
            i => clients[i % 3].Keyspace("race").PutAsync("k", $"{i}", new() { IfAbsent = true }, Stop).AsTask()));
        Assert.Single(results, result => result.Status == CommitStatus.Committed);
        Assert.Equal(89, results.Count(result => result.Status == CommitStatus.ConditionFailed));
        foreach (var client in clients)
        {
            await client.DisposeAsync();
        }
    }
}
