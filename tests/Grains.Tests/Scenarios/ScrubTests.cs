using System.Text;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: damage on the disk of a region that nobody reads is found, said, and mended with a copy, while the rest is served. Method: a cluster of
/// its own; one byte of a table file of the region changed while it is stopped.
/// </summary>
[Collection(Alone.Name)]
public sealed class ScrubTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_region_whose_data_is_damaged_finds_it_and_is_mended_with_a_copy_while_it_serves()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var hub = cluster.Connect("hub");
        await hub.Catalog.CreateAsync("flags", cancellation: Stop);
        var random = new Random(1);
        foreach (var chunk in Enumerable.Range(0, 4_000).Chunk(500))
        {
            var values = chunk.Select(i =>
            {
                // Nothing that a compression makes small: the byte to change must hit some row.
                var value = new byte[200];
                random.NextBytes(value);
                return Mutation.Put($"k{i:d5}", value);
            }).ToList();
            await hub.Keyspace("flags").CommitAsync([], values, cancellation: Stop);
        }

        await cluster.LevelAsync("eu", Stop);

        // Tables, and not only the write-ahead log: a start writes that into one.
        await cluster.StopAsync("eu");
        await cluster.StartAsync("eu", Stop);
        await cluster.LevelAsync("eu", Stop);
        await cluster.StopAsync("eu");
        var table = Directory.GetFiles(cluster["hub"].Settings.DataDirectory.Replace("hub", "eu", StringComparison.Ordinal), "*.sst", SearchOption.AllDirectories)
            .Where(file => File.ReadAllBytes(file).AsSpan().IndexOf("k02000"u8) >= 0 || new FileInfo(file).Length > 500_000).MaxBy(file => new FileInfo(file).Length)!;
        var bytes = await File.ReadAllBytesAsync(table, Stop);
        bytes[bytes.Length / 2] ^= 1;
        await File.WriteAllBytesAsync(table, bytes, Stop);

        cluster.Change("eu", settings => settings with { Scrub = new() { BytesPerSecond = 100 << 20, Every = TimeSpan.FromSeconds(1) } });
        await cluster.StartAsync("eu", Stop);
        await using var eu = cluster.Connect("eu");
        await Eventually.TrueAsync(() => cluster["eu"].Status.FullCopies == 1, "a copy in place of what is damaged", Stop);
        await cluster.LevelAsync("eu", Stop);
        await hub.Keyspace("flags").PutAsync("after", "v", cancellation: Stop);
        Assert.Equal("v", (await eu.Keyspace("flags").GetAsync("after", ReadOptions.AtLeast(hub.Session!.Value.Position), Stop))!.Text);
        await cluster.EqualAsync("hub", Stop);
        await Eventually.TrueAsync(() => cluster["eu"].Status.State == "pulling", "a region that is as it should be", Stop);
        using var http = new HttpClient();
        var metrics = await http.GetStringAsync(new Uri($"http://127.0.0.1:{cluster.HttpPort("eu")}/metrics"), Stop);
        Assert.Contains("quicksilver_scrub_damaged", metrics, StringComparison.Ordinal);
    }
}
