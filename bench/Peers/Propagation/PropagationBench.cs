using System.Globalization;
using HdrHistogram;
using Spectre.Console;

namespace Quicksilver.Peers.Propagation;

/// <summary>Each peer in turn, one put at a time: how long until it is acknowledged, and until it is seen at the copy.</summary>
internal static class PropagationBench
{
    private sealed record Result(string Peer, string Way, int Round, LongHistogram Acknowledged, LongHistogram Visible);

    public static async Task RunAsync(string data, int rounds, int puts, string? only, TimeProvider time, CancellationToken stop)
    {
        var peers = new (string Name, Func<IPropagator> Make)[]
        {
            ("etcd", () => new EtcdPropagator(time)), ("quicksilver", () => new QuicksilverPropagator(time)), ("redis", () => new RedisPropagator(time)),
            ("nats", () => new NatsPropagator(time)),
        };
        var results = new List<Result>();
        for (var round = 1; round <= rounds; round++)
        {
            foreach (var (name, make) in peers.Where(peer => only is null || peer.Name == only))
            {
                var directory = Path.Combine(data, $"quicksilver-propagation-{Environment.ProcessId}-{name}-{round}");
                Directory.CreateDirectory(directory);
                try
                {
                    await using var peer = make();
                    await peer.StartAsync(directory, stop);
                    var result = new Result(name, peer.Way, round, new(1, 60_000_000, 3), new(1, 60_000_000, 3));
                    var random = new Random(round);

                    // The first fifth warms up.
                    for (var i = -puts / 5; i < puts; i++)
                    {
                        var (acknowledged, visible) = await peer.PutAsync(string.Create(CultureInfo.InvariantCulture, $"key-{i + puts:00000000}"), Sizes.Value(random), stop);
                        if (i >= 0)
                        {
                            result.Acknowledged.RecordValue(Math.Max(1, (long)acknowledged.TotalMicroseconds));
                            result.Visible.RecordValue(Math.Max(1, (long)visible.TotalMicroseconds));
                        }
                    }

                    results.Add(result);
                    await Console.Error.WriteLineAsync($"round {round}, {name}: visible p50 {Milliseconds(result.Visible, 50)} ms, p99 {Milliseconds(result.Visible, 99)} ms");
                }
                finally
                {
                    Directory.Delete(directory, recursive: true);
                }
            }
        }

        Write(results);
    }

    private static void Write(List<Result> results)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("peer", "how", "acknowledged p50 ms", "visible p50 ms", "visible p99 ms", "visible p50 to etcd");
        var etcd = results.Where(result => result.Peer == "etcd").ToDictionary(result => result.Round);
        foreach (var peer in results.GroupBy(result => (result.Peer, result.Way)))
        {
            var ratios = peer.Where(result => etcd.ContainsKey(result.Round))
                .Select(result => result.Visible.GetValueAtPercentile(50) / (double)etcd[result.Round].Visible.GetValueAtPercentile(50)).Order().ToList();
            var middle = peer.OrderBy(result => result.Visible.GetValueAtPercentile(50)).ElementAt(peer.Count() / 2);
            table.AddRow(
                peer.Key.Peer, peer.Key.Way, Milliseconds(middle.Acknowledged, 50), Milliseconds(middle.Visible, 50), Milliseconds(middle.Visible, 99),
                ratios.Count == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{ratios[ratios.Count / 2]:0.00} ({ratios[0]:0.00} to {ratios[^1]:0.00})"));
        }

        if (Console.IsOutputRedirected)
        {
            AnsiConsole.Profile.Width = 200;
        }

        AnsiConsole.Write(table);
    }

    private static string Milliseconds(LongHistogram times, double percentile) =>
        (times.GetValueAtPercentile(percentile) / 1e3).ToString("0.00", CultureInfo.InvariantCulture);
}
