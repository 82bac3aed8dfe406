using System.Globalization;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: a region that was away for longer than the hub keeps its log, and one that is new, comes back by itself with a copy. Method: a live
/// cluster whose hub keeps as little as it may.
/// </summary>
public sealed class BootstrapTests : IAsyncLifetime
{
    private const int Puts = 15_000;

    private LiveCluster _cluster = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _cluster = await LiveCluster.StartAsync(Stop);
        await _cluster.StopAsync("hub");
        _cluster.Change("hub", settings => settings with { Retention = new() { MaxAge = TimeSpan.FromSeconds(1), Period = TimeSpan.FromMilliseconds(100) } });
        await _cluster.StartAsync("hub", Stop);
    }

    private async Task<long> OldestAsync(string node)
    {
        using var http = new HttpClient();
        var metrics = await http.GetStringAsync(new Uri($"http://127.0.0.1:{_cluster.HttpPort(node)}/metrics"), Stop);
        var line = metrics.Split('\n').First(line => line.StartsWith("quicksilver_log_oldest", StringComparison.Ordinal));
        return long.Parse(line[(line.IndexOf('}', StringComparison.Ordinal) + 1)..].Trim().Split(' ')[0], CultureInfo.InvariantCulture);
    }

    [Fact]
    public async Task A_region_that_was_away_too_long_and_one_that_is_new_take_a_copy_and_are_equal()
    {
        Assert.Equal(0, (await _cluster.QsAsync("hub", "keyspace", "create", "flags")).ExitCode);
        await _cluster.LevelAsync("eu", Stop);
        var stood = _cluster["eu"].Status.Position.Revision;
        await _cluster.StopAsync("eu");
        await using (var client = _cluster.Connect("hub"))
        {
            var flags = client.Keyspace("flags");
            await Parallel.ForEachAsync(Enumerable.Range(0, Puts), new ParallelOptions { MaxDegreeOfParallelism = 256, CancellationToken = Stop },
                async (i, stop) => await flags.PutAsync($"k{i % 3_000}", $"v{i}", cancellation: stop));

            // Age is the time of the log, which moves with what is written.
            var written = TimeProvider.System.GetTimestamp();
            await Eventually.TrueAsync(
                async () =>
                {
                    await flags.PutAsync("later", "v", cancellation: Stop);
                    return TimeProvider.System.GetElapsedTime(written) > TimeSpan.FromSeconds(2);
                },
                "an older log", Stop);
        }

        // The hub still needs the records of the last five minutes, for operation ids; us does not.
        await _cluster.StopAsync("us");
        await _cluster.StartAsync("us", Stop);
        await _cluster.LevelAsync("us", Stop);
        Assert.Equal(1, await OldestAsync("hub"));
        await _cluster.StopAsync("us");
        _cluster.Change("us", settings => settings with { Retention = new() { MaxAge = TimeSpan.FromSeconds(1), Period = TimeSpan.FromMilliseconds(100) } });
        await _cluster.StartAsync("us", Stop);
        await Eventually.TrueAsync(async () => await OldestAsync("us") > stood.Value + 1, "a cut log", Stop);

        _cluster.Change("eu", settings => settings with { Upstreams = [_cluster.Gateway("us")] });
        await _cluster.StartAsync("eu", Stop);
        await _cluster.LevelAsync("eu", Stop);
        Assert.Equal(1, _cluster["eu"].Status.FullCopies);
        await _cluster.EqualAsync("eu", Stop);

        await using (var client = _cluster.Connect("eu"))
        {
            await client.Keyspace("flags").PutAsync("after", "copy", cancellation: Stop);
            Assert.Equal("copy", (await client.Keyspace("flags").GetAsync("after", cancellation: Stop))!.Text);
        }
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();
}
