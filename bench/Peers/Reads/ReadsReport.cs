using System.Globalization;
using Spectre.Console;

namespace Quicksilver.Peers.Reads;

/// <summary>
/// Medians over the rounds; and what Quicksilver is beside each peer, as ratios of each round's pair, so that what the machine did meanwhile counts
/// for both: the middle one, the lowest and the highest.
/// </summary>
internal static class ReadsReport
{
    private const string Ours = "quicksilver";

    public static void Write(Dictionary<string, string> ways, List<MeasuredRead> reads, List<MixedReads> mixed)
    {
        if (Console.IsOutputRedirected)
        {
            AnsiConsole.Profile.Width = 200;
        }

        foreach (var (peer, way) in ways)
        {
            Console.WriteLine($"{peer}: {way}");
        }

        WriteFigures(reads);
        WriteRatios(reads);
        if (mixed.Count > 0)
        {
            WriteMixed(mixed);
        }
    }

    /// <summary>Beside rates and times what a call costs: what binds has to be told from it.</summary>
    private static void WriteFigures(List<MeasuredRead> reads)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns(
            "what", "callers", "peer", "keys/s", "p50 ms", "p99 ms", "client bytes a call", "client CPU µs a call", "servers CPU µs a call", "client cores", "servers cores", "errors");
        foreach (var cell in reads.GroupBy(read => (read.What, read.Callers)))
        {
            foreach (var peer in cell.GroupBy(read => read.Peer))
            {
                table.AddRow(
                    cell.Key.What, Comparison.Text(cell.Key.Callers), peer.Key, Comparison.Text(Comparison.Median(peer.Select(read => read.KeysPerSecond))),
                    Comparison.Milliseconds(Comparison.Median(peer.Select(read => read.P50)), "0.000"), Comparison.Milliseconds(Comparison.Median(peer.Select(read => read.P99)), "0.000"),
                    Comparison.Text(Comparison.Median(peer.Select(read => read.Used.AllocatedBytes / read.Calls))),
                    Short(Comparison.Median(peer.Select(read => read.Used.Client.TotalMicroseconds / read.Calls))),
                    Short(Comparison.Median(peer.Select(read => read.Used.Servers.TotalMicroseconds / read.Calls))),
                    Short(Comparison.Median(peer.Select(read => read.Used.Client.TotalSeconds / read.Cell.Seconds))),
                    Short(Comparison.Median(peer.Select(read => read.Used.Servers.TotalSeconds / read.Cell.Seconds))),
                    Comparison.Text(peer.Sum(read => read.Cell.Errors)));
            }
        }

        AnsiConsole.Write(table);
    }

    private static void WriteRatios(List<MeasuredRead> reads)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("what", "callers", "Quicksilver to", "keys/s", "goal", "p50", "goal", "p99");
        foreach (var cell in reads.GroupBy(read => (read.What, read.Callers)))
        {
            var ours = cell.Where(read => read.Peer == Ours).ToDictionary(read => read.Round);
            foreach (var peer in cell.Where(read => read.Peer != Ours && ours.ContainsKey(read.Round)).GroupBy(read => read.Peer))
            {
                var goal = ReadGoal.Find(cell.Key.What, cell.Key.Callers, peer.Key);
                table.AddRow(
                    cell.Key.What, Comparison.Text(cell.Key.Callers), peer.Key,
                    Comparison.Ratios([.. peer.Select(read => ours[read.Round].KeysPerSecond / read.KeysPerSecond)]), goal?.RateText ?? "",
                    Comparison.Ratios([.. peer.Select(read => ours[read.Round].P50 / read.P50)]), goal?.P50Text ?? "",
                    Comparison.Ratios([.. peer.Select(read => ours[read.Round].P99 / read.P99)]));
            }
        }

        if (table.Rows.Count > 0)
        {
            AnsiConsole.Write(table);
        }
    }

    private static void WriteMixed(List<MixedReads> mixed)
    {
        var ratios = Comparison.Ratios([.. mixed.Select(round => round.Mixed.P99 / round.Alone.P99)]);
        var rate = Comparison.Text(Comparison.Median(mixed.Select(round => round.Writes.PerSecond)));
        var share = Comparison.Median(mixed.Select(round => round.Writes.PerSecond / round.Mixed.Cell.PerSecond));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"p99 of reads by Zipf's law with {rate} puts/s at the hub ({share:0.0 %} of the reads beside them) to that without: {ratios} (goal: at most {ReadGoal.MaxMixedP99}). Puts that nobody was free for: {mixed.Sum(round => round.Writes.NotBegun)}"));
    }

    private static string Short(double number) => number.ToString("0.00", CultureInfo.InvariantCulture);
}
