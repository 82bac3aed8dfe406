using System.Globalization;
using Quicksilver.Load;
using Spectre.Console;

namespace Quicksilver.Peers;

/// <summary>One measured cell of one peer in one round.</summary>
internal sealed record Measured(string Peer, string Way, string What, int Callers, int Round, CellResult Cell);

/// <summary>
/// A table of medians over the rounds, and of ratios: that of each round's pair, so that what the machine did meanwhile counts for both;
/// the middle one, and the lowest and the highest.
/// </summary>
internal static class Comparison
{
    public static void Write(IReadOnlyList<Measured> results)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("what", "callers", "peer", "ops/s", "p50 ms", "p99 ms", "rate to etcd", "p50 to etcd", "client CPU");
        foreach (var cell in results.GroupBy(result => (result.What, result.Callers)))
        {
            var etcd = cell.Where(result => result.Peer == "etcd").ToDictionary(result => result.Round);
            foreach (var way in cell.GroupBy(result => (result.Peer, result.Way)))
            {
                var pairs = way.Where(result => result.Peer != "etcd" && etcd.ContainsKey(result.Round)).ToList();
                table.AddRow(
                    cell.Key.What, Text(cell.Key.Callers), Markup.Escape($"{way.Key.Peer}, {way.Key.Way}"), Text(Median(way.Select(result => result.Cell.PerSecond))),
                    Milliseconds(Median(way.Select(result => result.Cell.Latencies[0].P50))), Milliseconds(Median(way.Select(result => result.Cell.Latencies[0].P99))),
                    Ratios([.. pairs.Select(result => result.Cell.PerSecond / etcd[result.Round].Cell.PerSecond)]),
                    Ratios([.. pairs.Select(result => result.Cell.Latencies[0].P50 / etcd[result.Round].Cell.Latencies[0].P50)]),
                    Median(way.Select(result => result.Cell.ClientCpu)).ToString("0.00", CultureInfo.InvariantCulture));
            }
        }

        if (Console.IsOutputRedirected)
        {
            AnsiConsole.Profile.Width = 200;
        }

        AnsiConsole.Write(table);
    }

    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted[sorted.Count / 2];
    }

    public static string Ratios(List<double> ratios) => ratios.Count == 0
        ? ""
        : string.Create(CultureInfo.InvariantCulture, $"{Median(ratios):0.00} ({ratios.Min():0.00} to {ratios.Max():0.00})");

    public static string Text(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    public static string Milliseconds(double microseconds, string format = "0.00") => (microseconds / 1_000).ToString(format, CultureInfo.InvariantCulture);
}
