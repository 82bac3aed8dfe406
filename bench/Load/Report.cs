using System.Globalization;
using System.Text.Json;
using Spectre.Console;

namespace Quicksilver.Load;

/// <summary>A table for people, and one JSON object per cell for programs.</summary>
internal static class Report
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    public static void WriteJson(TextWriter output, CellResult cell) => output.WriteLine(JsonSerializer.Serialize(cell, Json));

    public static void WriteTable(IReadOnlyList<CellResult> cells)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("scenario", "mode", "callers", "ops/s", "what", "count", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "client CPU", "bytes each", "GC ms/s", "errors");
        foreach (var cell in cells)
        {
            foreach (var (latencies, i) in cell.Latencies.Select((latencies, i) => (latencies, i)))
            {
                string Once(string text) => i == 0 ? text : "";
                table.AddRow(
                    Once(cell.Scenario), Once(cell.Mode), Once(Text(cell.Concurrency)), Once(Text(cell.PerSecond)), Markup.Escape(latencies.Name), Text(latencies.Count),
                    Milliseconds(latencies.P50), Milliseconds(latencies.P90), Milliseconds(latencies.P99), Milliseconds(latencies.P999), Milliseconds(latencies.Max),
                    Once(cell.ClientCpu.ToString("0.00", CultureInfo.InvariantCulture)), Once(Text(cell.ClientBytes)),
                    Once(cell.ClientPause.ToString("0.0", CultureInfo.InvariantCulture)), Once(Text(cell.Errors)));
            }

            if (cell.NotBegun > 0)
            {
                table.AddRow("", "", "", "", $"not begun: {Text(cell.NotBegun)}", "", "", "", "", "", "", "", "");
            }

            if (cell.Errors > 0)
            {
                table.AddRow("", "", "", "", Markup.Escape($"first error: {cell.FirstError}"), "", "", "", "", "", "", "", "");
            }
        }

        if (Console.IsOutputRedirected)
        {
            // Nobody's terminal decides how wide a file is.
            AnsiConsole.Profile.Width = 200;
        }

        AnsiConsole.Write(table);
    }

    private static string Text(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Milliseconds(double microseconds) => (microseconds / 1_000).ToString("0.000", CultureInfo.InvariantCulture);
}
