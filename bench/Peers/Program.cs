using System.CommandLine;
using Quicksilver.Load;
using Quicksilver.Peers;
using Quicksilver.Peers.Propagation;
using Quicksilver.Peers.Reads;

var rounds = new Option<int>("--rounds") { Description = "How often each peer is started and measured, in turn.", DefaultValueFactory = _ => 3 };
var seconds = new Option<double>("--seconds") { Description = "Measured time of each cell.", DefaultValueFactory = _ => 4 };
var warmup = new Option<double>("--warmup") { Description = "Time before, not measured.", DefaultValueFactory = _ => 2 };
var settle = new Option<double>("--settle") { Description = "Seconds of 64 writers (with --reads: readers) at each way of calling a peer that has just started, before its first cell.", DefaultValueFactory = _ => 6 };
var data = new Option<string>("--data") { Description = "Directory for the data of all servers; one below it is made and deleted.", DefaultValueFactory = _ => Path.GetTempPath() };
var only = new Option<string?>("--only") { Description = "etcd or quicksilver (with --propagation or --reads also redis or nats): measures one of them, and prints no ratios." };
var propagation = new Option<bool>("--propagation") { Description = "Measures when a put is seen at a copy instead: beside etcd also Redis and NATS." };
var puts = new Option<int>("--puts") { Description = "Propagation: puts of each peer and round, one after the other.", DefaultValueFactory = _ => 1_000 };
var reads = new Option<bool>("--reads") { Description = "Measures reads instead: Quicksilver at a region, Redis, etcd and NATS." };
var keys = new Option<int>("--keys") { Description = "Reads: keys that each peer is filled with.", DefaultValueFactory = _ => 1_000_000 };
var root = new RootCommand("Measures etcd and Quicksilver, three members each, in turn on one machine, with the load in this process.")
{
    propagation, puts, reads, keys, rounds, seconds, warmup, settle, data, only,
};
root.SetAction(async (parsed, stop) =>
{
    if (parsed.GetValue(propagation))
    {
        await PropagationBench.RunAsync(parsed.GetRequiredValue(data), parsed.GetValue(rounds), parsed.GetValue(puts), parsed.GetValue(only), TimeProvider.System, stop);
        return 0;
    }

    if (parsed.GetValue(reads))
    {
        var options = new ReadsOptions
        {
            Data = parsed.GetRequiredValue(data), Rounds = parsed.GetValue(rounds), Keys = parsed.GetValue(keys), Duration = TimeSpan.FromSeconds(parsed.GetValue(seconds)),
            Warmup = TimeSpan.FromSeconds(parsed.GetValue(warmup)), Settle = TimeSpan.FromSeconds(parsed.GetValue(settle)), Only = parsed.GetValue(only),
        };
        return await new ReadsBench(options, TimeProvider.System).RunAsync(stop);
    }

    var peers = new (string Name, Func<IPeer> Make)[] { ("etcd", () => new EtcdPeer()), ("quicksilver", () => new QuicksilverPeer(TimeProvider.System)) }
        .Where(peer => parsed.GetValue(only) is not { } name || name == peer.Name).ToList();
    var results = new List<Measured>();
    for (var round = 1; round <= parsed.GetValue(rounds); round++)
    {
        foreach (var (name, make) in peers)
        {
            var directory = Path.Combine(parsed.GetRequiredValue(data), $"quicksilver-peers-{Environment.ProcessId}-{name}-{round}");
            Directory.CreateDirectory(directory);
            try
            {
                await using var peer = make();
                await peer.StartAsync(directory, stop);
                foreach (var way in peer.Ways)
                {
                    await Driver.RunAsync(Options(64, parsed.GetValue(settle), 0), 64, peer.Put(way), TimeProvider.System, stop);
                }

                foreach (var way in peer.Ways)
                {
                    foreach (var (cell, callers, operation) in new[]
                    {
                        ("put", 1, peer.Put(way)), ("put", 64, peer.Put(way)), ("put", 256, peer.Put(way)), ("100 puts", 16, peer.Transaction(way)),
                    })
                    {
                        var result = await Driver.RunAsync(Options(callers, parsed.GetValue(seconds), parsed.GetValue(warmup)), callers, operation, TimeProvider.System, stop);
                        results.Add(new(name, way, cell, callers, round, result));
                        await Console.Error.WriteLineAsync($"round {round}, {name} ({way}), {cell}, {callers} callers: {result.PerSecond:0}/s, p50 {result.Latencies[0].P50 / 1000:0.00} ms, p99 {result.Latencies[0].P99 / 1000:0.00} ms, errors {result.Errors}");
                    }
                }

                await Console.Error.WriteLineAsync($"round {round}, {name}: the largest server has {peer.LargestResidentBytes() >> 20} MiB");
            }
            finally
            {
                Directory.Delete(directory, recursive: true);
            }
        }
    }

    LoadOptions Options(int callers, double duration, double before) => new()
    {
        Scenario = ScenarioKind.Put, Gateways = [], Concurrency = [callers], Seed = results.Count + 1,
        Duration = TimeSpan.FromSeconds(duration), Warmup = TimeSpan.FromSeconds(before),
    };

    Comparison.Write(results);
    return results.Exists(result => result.Cell.Errors > 0) ? 1 : 0;
});
return await root.Parse(args).InvokeAsync();
