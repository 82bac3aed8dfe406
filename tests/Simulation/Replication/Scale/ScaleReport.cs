using System.Globalization;

namespace Quicksilver.Simulation.Replication.Scale;

/// <summary>The results of simulated trees as a document.</summary>
internal static class ScaleReport
{
    // What a source keeps for a child, bytes. Counted by hand from the fields, with 24 bytes for an object.
    private const int SessionBytes = 1_000;
    private const int RequestBytes = 900;
    private const int DictionaryBytes = 32 * 1024;

    public static string Write(List<ScaleResult> results)
    {
        var options = results[0].Options;
        List<string> lines =
        [
            "# Scale",
            "",
            "Simulated, not measured: `Ten_thousand_nodes_are_told` (`tests/Simulation/Replication`) writes this. How:",
            "",
            "```sh",
            "QS_SCALE_REPORT=docs/scale.md dotnet run -c Release --project tests/Simulation -- -explicit only -method '*.Ten_thousand_nodes_are_told'",
            "```",
            "",
            string.Create(CultureInfo.InvariantCulture, $"{options.Regions} regions, {options.Nodes} nodes, {options.Duration.TotalSeconds} s of writes of 100-byte values. Each child follows its source page by page, with window, pace, waits and page sizes of the product."),
            "",
            "## Propagation",
            "",
            "From the commit at the hub to the View of a leaf, milliseconds, each record at each leaf.",
            "",
            "| writes/s | relays of a region | | p50 | p99 | p99.9 | max | level leaves |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            .. results.SelectMany(DelaysOf),
            "",
            "## The hub",
            "",
            "What leaves it grows with its children, and not with the nodes below them.",
            "",
            "| writes/s | relays of a region | | children | MB/s | kB/s of a child, mean (most) | pages/s | open requests | state of children, MiB | busiest relay, MB/s |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            .. results.Select(HubOf),
            "",
            "## What was assumed",
            "",
            string.Create(CultureInfo.InvariantCulture, $"- One way between regions {options.Far.From} to {options.Far.To} ms, log-uniform, in a region {options.Near.From} to {options.Near.To} ms; each message up to {100 * options.Jitter} % longer; of one in {Math.Round(1 / options.Lost)} a packet is lost, which costs a round trip."),
            string.Create(CultureInfo.InvariantCulture, $"- A record has {options.RecordBytes} bytes; packed, where the round trip is {options.Pull.CompressFrom.TotalMilliseconds} ms or more, {options.Packing} times less (measured with JSON values; random bytes do not get smaller). A page costs {options.PageOverheadBytes} bytes beside. A link carries 1 Gbit/s."),
            string.Create(CultureInfo.InvariantCulture, $"- To read and pack a page takes {options.Read} ms, to apply it {options.Apply.Page} ms and {options.Apply.Record} ms for each record; entries of the hub are {options.Commit.Round} ms apart or more."),
            "- Children of one source do not hold each other up: neither processors nor the network of a source are shared. What a source needs follows from pages/s.",
            string.Create(CultureInfo.InvariantCulture, $"- State of children is an estimate from the fields of the objects: {SessionBytes} bytes a session, {RequestBytes} for each open request, {DictionaryBytes} for the dictionary where pages are packed. Links, sockets and buffers of Orleans are not in it."),
            string.Create(CultureInfo.InvariantCulture, $"- A relay that fails: its children know after {options.NoticeEnd} ms where the process ended, after up to {options.NoticeSilence} ms where the machine fell silent, and go on at the other relay. That the next node by name becomes a relay some seconds later is left out."),
            "",
        ];
        return string.Join('\n', lines);
    }

    private static IEnumerable<string> DelaysOf(ScaleResult result)
    {
        yield return RowOf(result, NameOf(result.Options.Event), result.Leaves);
        if (result.Options.Event == ScaleEvent.TwoRelaysFail)
        {
            yield return RowOf(result, "two relays fail: their leaves", result.Struck);
        }
        else if (result.Options.Event == ScaleEvent.HubIsCutOff)
        {
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"| {result.Options.WritesPerSecond:0} | {result.Options.RelaysOfRegion} | all leaves have what was written before the end of the cut, {result.CaughtUpAfter:0} ms after it | | | | | |");
        }
    }

    private static string RowOf(ScaleResult result, string name, Histogram delays) => string.Create(
        CultureInfo.InvariantCulture,
        $"| {result.Options.WritesPerSecond:0} | {result.Options.RelaysOfRegion} | {name} | {delays.Percentile(0.5):0.0} | {delays.Percentile(0.99):0.0} | {delays.Percentile(0.999):0.0} | {delays.Max:0.0} | {result.LevelLeaves} of {result.LeafCount} |");

    private static string HubOf(ScaleResult result)
    {
        var bytes = result.FromHub.Bytes / result.Seconds;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"| {result.Options.WritesPerSecond:0} | {result.Options.RelaysOfRegion} | {NameOf(result.Options.Event)} | {result.HubSessions} | {bytes / 1e6:0.0} | {bytes / result.HubSessions / 1e3:0.0} ({result.BusiestHubChildBytes / result.Seconds / 1e3:0.0}) | {result.FromHub.Pages / result.Seconds:0} | {result.HubRequests} | {StateOf(result) / 1048576.0:0.0} | {result.BusiestRelayBytes / result.Seconds / 1e6:0.0} |");
    }

    /// <summary>About how many bytes a hub keeps for its children.</summary>
    private static long StateOf(ScaleResult result) =>
        ((long)result.HubSessions * SessionBytes) + (result.HubRequests * RequestBytes) + ((long)result.HubPackedChildren * DictionaryBytes);

    private static string NameOf(ScaleEvent happened) => happened switch
    {
        ScaleEvent.TwoRelaysFail => "two relays fail: all others",
        ScaleEvent.HubIsCutOff => "the hub is cut off for 10 s",
        _ => "nothing goes wrong",
    };
}
