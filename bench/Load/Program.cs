using System.CommandLine;
using Quicksilver.Load;

var scenario = new Option<ScenarioKind>("--scenario") { Description = "put, get, multiGet, mixed, or propagation (a put at the gateway until it is visible at each observer).", Required = true };
var gateways = new Option<string[]>("--gateway", "-g") { Description = "Gateway as HOST:PORT; several in order of preference.", DefaultValueFactory = _ => ["127.0.0.1:30000"] };
var observers = new Option<string[]>("--observer") { Description = "propagation: gateway of a region at which each put is awaited; several.", DefaultValueFactory = _ => [] };
var concurrency = new Option<string>("--concurrency") { Description = "Callers, with commas: one cell for each.", DefaultValueFactory = _ => "1,64,256" };
var clients = new Option<int>("--clients") { Description = "SDK clients that the callers share.", DefaultValueFactory = _ => 1 };
var keys = new Option<int>("--keys") { Description = "Keys, chosen uniformly, or by --zipf.", DefaultValueFactory = _ => 100_000 };
var zipf = new Option<double?>("--zipf") { Description = "Chooses keys by Zipf's law with this skew, above 0 and below 1, for example 0.99." };
var single = new Option<bool>("--single") { Description = "One call for each operation: callers of a client share none." };
var keyBytes = new Option<int>("--key-bytes") { Description = "Bytes of a key.", DefaultValueFactory = _ => 24 };
var valueBytes = new Option<int>("--value-bytes") { Description = "Bytes of a value.", DefaultValueFactory = _ => 100 };
var batch = new Option<int>("--batch") { Description = "Keys of one multi-get.", DefaultValueFactory = _ => 64 };
var putShare = new Option<double>("--put-share") { Description = "mixed: share of puts.", DefaultValueFactory = _ => 0.1 };
var seconds = new Option<double>("--seconds") { Description = "Measured time of each cell.", DefaultValueFactory = _ => 5 };
var warmup = new Option<double>("--warmup") { Description = "Time before, not measured.", DefaultValueFactory = _ => 2 };
var rate = new Option<double?>("--rate") { Description = "Operations per second over all callers, each with an intended start from which its latency counts. Without it: a closed loop." };
var keyspace = new Option<string>("--keyspace") { Description = "Keyspace; it is made and filled where needed.", DefaultValueFactory = _ => "load" };
var seed = new Option<int>("--seed") { Description = "Seed of keys and values.", DefaultValueFactory = _ => 1 };
var json = new Option<bool>("--json") { Description = "One JSON object per cell on standard output, and no table. Latencies are in microseconds." };

var root = new RootCommand("Loads a running Quicksilver cluster from a process of its own, and measures it.")
{
    scenario, gateways, observers, concurrency, clients, keys, zipf, single, keyBytes, valueBytes, batch, putShare, seconds, warmup, rate, keyspace, seed, json,
};
root.SetAction(async (parsed, stop) =>
{
    var callers = new List<int>();
    foreach (var text in parsed.GetRequiredValue(concurrency).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
    {
        if (!int.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var count) || count < 1)
        {
            await Console.Error.WriteLineAsync($"--concurrency has '{text}': write numbers with commas, for example 1,64,256.");
            return 2;
        }

        callers.Add(count);
    }

    var options = new LoadOptions
    {
        Scenario = parsed.GetValue(scenario),
        Gateways = parsed.GetRequiredValue(gateways),
        Observers = parsed.GetRequiredValue(observers),
        Concurrency = callers,
        Clients = parsed.GetValue(clients),
        Keys = parsed.GetValue(keys),
        Zipf = parsed.GetValue(zipf),
        Merges = !parsed.GetValue(single),
        KeyBytes = parsed.GetValue(keyBytes),
        ValueBytes = parsed.GetValue(valueBytes),
        Batch = parsed.GetValue(batch),
        PutShare = parsed.GetValue(putShare),
        Duration = TimeSpan.FromSeconds(parsed.GetValue(seconds)),
        Warmup = TimeSpan.FromSeconds(parsed.GetValue(warmup)),
        Rate = parsed.GetValue(rate),
        Keyspace = parsed.GetRequiredValue(keyspace),
        Seed = parsed.GetValue(seed),
    };
    if (options.Zipf is not (null or > 0 and < 1))
    {
        await Console.Error.WriteLineAsync($"--zipf is {options.Zipf}; it must be above 0 and below 1.");
        return 2;
    }

    if (options.Scenario == ScenarioKind.Propagation && (options.Observers.Count == 0 || callers is not [1]))
    {
        await Console.Error.WriteLineAsync("propagation needs --observer, and --concurrency 1: it follows one put at a time.");
        return 2;
    }

    await using var load = new Scenario(options, TimeProvider.System);
    await load.PrepareAsync(Console.Error.WriteLine, stop);
    var cells = new List<CellResult>();
    foreach (var count in callers)
    {
        var cell = await Driver.RunAsync(options, count, load.Operation, TimeProvider.System, stop);
        cells.Add(cell);
        if (parsed.GetValue(json))
        {
            Report.WriteJson(Console.Out, cell);
        }
    }

    if (!parsed.GetValue(json))
    {
        Report.WriteTable(cells);
    }

    return cells.Exists(cell => cell.Errors + cell.NotBegun > 0) ? 1 : 0;
});
return await root.Parse(args).InvokeAsync();
