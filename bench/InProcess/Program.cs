using System.CommandLine;
using System.Globalization;
using Quicksilver.InProcess;
using Quicksilver.Storage.Native;

var keys = new Option<int>("--keys") { Description = "Keys, chosen uniformly.", DefaultValueFactory = _ => 1_000_000 };
var keyBytes = new Option<int>("--key-bytes") { Description = "Bytes of a key.", DefaultValueFactory = _ => 24 };
var valueBytes = new Option<int>("--value-bytes") { Description = "Bytes of a value.", DefaultValueFactory = _ => 100 };
var seconds = new Option<double>("--seconds") { Description = "Measured time of each cell; a fifth of it before is not.", DefaultValueFactory = _ => 5 };
var rounds = new Option<int>("--rounds") { Description = "How often each way is measured, in turn.", DefaultValueFactory = _ => 3 };
var basePort = new Option<int>("--base-port") { Description = "First of four ports.", DefaultValueFactory = _ => 23_000 };
var data = new Option<string>("--data") { Description = "Directory for the data; one below it is made and deleted.", DefaultValueFactory = _ => Path.GetTempPath() };
var root = new RootCommand("Measures TryGet of a replica in this process beside RocksDB's own gets on the same database.") { keys, keyBytes, valueBytes, seconds, rounds, basePort, data };
root.SetAction(async (parsed, stop) =>
{
    var (count, size, length) = (parsed.GetValue(keys), parsed.GetValue(valueBytes), parsed.GetValue(keyBytes));
    var directory = Path.Combine(parsed.GetRequiredValue(data), $"quicksilver-in-process-{Environment.ProcessId}");
    Directory.CreateDirectory(directory);
    var time = TimeProvider.System;
    int[] threadCounts = [1, 2];
    bool[] ways = [true, false];
    static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
    var rawOptions = NativeCall.Api.rocksdb_readoptions_create();
    try
    {
        await using var setup = await Setup.StartAsync(directory, parsed.GetValue(basePort), time, stop);
        await setup.FillAsync(count, length, size, seed: 1, time, stop);
        var keyspace = setup.Replica.Keyspace(Setup.Keyspace);
        var id = (await setup.Replica.Catalog.FindAsync(Setup.Keyspace, cancellation: stop))!.Id;
        var all = new Keys(id, count, length);
        var database = setup.Replica.Engines!.Store.Database;
        var duration = TimeSpan.FromSeconds(parsed.GetValue(seconds));

        // By way and number of threads, one for each round.
        var cells = new Dictionary<(bool IsRaw, int Threads), List<Cell>>();
        for (var round = 1; round <= parsed.GetValue(rounds); round++)
        {
            foreach (var threads in threadCounts)
            {
                foreach (var isRaw in ways)
                {
                    stop.ThrowIfCancellationRequested();
                    IReader Make() => isRaw ? new RawReader(database, rawOptions, all, size) : new TryGetReader(keyspace, all, size);
                    var cell = Cell.Measure(threads, duration, Make, all.Count, 10 * round, time);
                    cells.TryAdd((isRaw, threads), []);
                    cells[(isRaw, threads)].Add(cell);
                    Console.WriteLine(Text($"round {round}, {threads} threads, {(isRaw ? "RocksDB" : "TryGet")}: {cell.PerSecond:0}/s, {cell.BytesPerRead:0.00} bytes allocated each"));
                }
            }
        }

        foreach (var threads in threadCounts)
        {
            Console.WriteLine(Text($"{threads} threads: TryGet at {Middle(cells[(false, threads)].Zip(cells[(true, threads)], (ours, raw) => ours.PerSecond / raw.PerSecond)):0.00} of RocksDB's rate (goal 0.85)"));
        }

        Console.WriteLine(Text($"2 threads: {Middle(cells[(false, 2)].Zip(cells[(false, 1)], (two, one) => two.PerSecond / one.PerSecond)):0.00} times one (goal 1.8); RocksDB {Middle(cells[(true, 2)].Zip(cells[(true, 1)], (two, one) => two.PerSecond / one.PerSecond)):0.00} times"));
        Console.WriteLine(Text($"allocated for a TryGet: {cells[(false, 1)].Concat(cells[(false, 2)]).Max(cell => cell.BytesPerRead):0.00} bytes (goal 0)"));
        return 0;
    }
    finally
    {
        NativeCall.Api.rocksdb_readoptions_destroy(rawOptions);
        Directory.Delete(directory, recursive: true);
    }

    static double Middle(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted[sorted.Count / 2];
    }
});
return await root.Parse(args).InvokeAsync();
