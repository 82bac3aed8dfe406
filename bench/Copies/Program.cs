using System.CommandLine;
using System.Globalization;
using Quicksilver.Copies;

var records = new Option<long>("--records") { Description = "Records that a region is behind.", DefaultValueFactory = _ => 2_000_000 };
var rows = new Option<long>("--rows") { Description = "Rows of the state that a new region copies.", DefaultValueFactory = _ => 8_000_000 };
var leaves = new Option<int>("--leaves") { Description = "Regions that copy at the same time.", DefaultValueFactory = _ => 20 };
var leafRows = new Option<long>("--leaf-rows") { Description = "Rows that each of them copies.", DefaultValueFactory = _ => 200_000 };
var basePort = new Option<int>("--base-port") { Description = "First of 100 ports.", DefaultValueFactory = _ => 21_000 };
var only = new Option<string?>("--only") { Description = "one, or leaves: measures only the first or the last part." };
var data = new Option<string>("--data") { Description = "Directory for the data; one below it is made and deleted.", DefaultValueFactory = _ => Path.GetTempPath() };
var light = new Option<bool>("--light") { Description = "The last part with all regions in one process that has only what the source leaves of the processors." };
var of = new Argument<string>("gateway");
var many = new Argument<int>("count");
var below = new Argument<string>("directory");
var process = new Command("leaves", "The process of --light.") { of, many, below };
process.Hidden = true;
process.SetAction((parsed, stop) => new Leaves(parsed.GetRequiredValue(of), parsed.GetRequiredValue(many), parsed.GetRequiredValue(below), TimeProvider.System).RunAsync(stop));
var root = new RootCommand("Measures how fast a region catches up, how fast a new one copies, and what reads at the source feel of it.") { records, rows, leaves, leafRows, basePort, only, light, data, process };
root.SetAction(async (parsed, stop) =>
{
    var directory = Path.Combine(parsed.GetRequiredValue(data), $"quicksilver-copies-{Environment.ProcessId}");
    Directory.CreateDirectory(directory);
    var time = TimeProvider.System;
    static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
    try
    {
        if (parsed.GetValue(only) != "leaves")
        {
            await using var nodes = await Nodes.StartAsync(Path.Combine(directory, "one"), parsed.GetValue(basePort), ["eu", "us"], behindWay: false, time, stop);
            // Level and warm, then away.
            nodes.Start("eu-0");
            await nodes.WriteAsync(20_000, 1, stop);
            await nodes.WaitAsync("eu-0", "quicksilver_revision", nodes.Revision, stop);
            await nodes.StopAsync("eu-0", stop);
            var before = nodes.Revision;
            await nodes.WriteAsync(parsed.GetValue(records), 1, stop);
            nodes.Pin("hub-0", 1);
            nodes.Start("eu-0", "taskset", "-c", "0");
            var begin = await nodes.WaitAsync("eu-0", "quicksilver_revision", before + 1, stop);
            var (first, cpu) = (await nodes.MetricAsync("eu-0", "quicksilver_revision", stop), nodes.Cpu("eu-0"));
            var end = await nodes.WaitAsync("eu-0", "quicksilver_revision", nodes.Revision, stop);
            var elapsed = time.GetElapsedTime(begin, end);
            Console.WriteLine(Text($"catch-up on one core: {nodes.Revision - first:0} records of 100 bytes in {elapsed.TotalSeconds:0.0} s: {(nodes.Revision - first) / elapsed.TotalSeconds:0} records/s, {(nodes.Cpu("eu-0") - cpu) / elapsed:0.00} of the core (goal 150,000)"));
            await nodes.StopAsync("eu-0", stop);

            await nodes.WriteAsync(parsed.GetValue(rows), 100, stop);
            var idle = await nodes.ReadsAsync(1_000, parsed.GetValue(rows), Task.Delay(TimeSpan.FromSeconds(15), stop), stop);
            var start = time.GetTimestamp();
            // It would have a machine of its own: what it does must not take the processors of the source.
            nodes.Start("us-0", "nice", "-n", "19");
            var level = nodes.WaitAsync("us-0", "quicksilver_full_copies", 1, stop);
            var busy = await nodes.ReadsAsync(1_000, parsed.GetValue(rows), level, stop);
            elapsed = time.GetElapsedTime(start, await level);
            Console.WriteLine(Text($"a new region: {nodes.ReceivedMiB("us-0")} MiB of rows and log in {elapsed.TotalSeconds:0.0} s, its start and the check included: {nodes.ReceivedMiB("us-0") * 1.048576 / elapsed.TotalSeconds:0} MB/s (goal 60)"));
            Console.WriteLine(Text($"1,000 reads/s at the source, p50 and p99 ms: idle {idle.P50:0.00} {idle.P99:0.00}, meanwhile {busy.P50:0.00} {busy.P99:0.00} (goal: p99 at most twice)"));
        }

        if (parsed.GetValue(only) == "one")
        {
            return 0;
        }

        var names = Enumerable.Range(0, parsed.GetValue(leaves)).Select(i => Text($"l{i}")).ToList();
        if (parsed.GetValue(light))
        {
            await using var nodes = await Nodes.StartAsync(Path.Combine(directory, "light"), parsed.GetValue(basePort), [], behindWay: false, time, stop);
            await nodes.WriteAsync(parsed.GetValue(leafRows), 1, stop);
            using var child = nodes.StartLeaves(names.Count, Path.Combine(directory, "leaves"));
            await child.StandardOutput.ReadLineAsync(stop);
            var idle = await nodes.ReadsAsync(1_000, parsed.GetValue(leafRows), Task.Delay(TimeSpan.FromSeconds(15), stop), stop);
            var start = time.GetTimestamp();
            await child.StandardInput.WriteLineAsync("go");
            var level = child.StandardOutput.ReadLineAsync(stop).AsTask();
            var busy = await nodes.ReadsAsync(1_000, parsed.GetValue(leafRows), level, stop);
            Console.WriteLine(Text($"{names.Count} new regions at once, without silos: {await level}: all have their copy of {parsed.GetValue(leafRows)} rows after {time.GetElapsedTime(start).TotalSeconds:0.0} s"));
            Console.WriteLine(Text($"1,000 reads/s at the source, p50 and p99 ms: idle {idle.P50:0.00} {idle.P99:0.00}, meanwhile {busy.P50:0.00} {busy.P99:0.00}"));
            child.Kill();
            return 0;
        }

        await using (var nodes = await Nodes.StartAsync(Path.Combine(directory, "many"), parsed.GetValue(basePort), names, behindWay: true, time, stop))
        {
            await nodes.WriteAsync(parsed.GetValue(leafRows), 1, stop);

            // As above.
            names.ForEach(name => nodes.Start($"{name}-0", "nice", "-n", "19"));
            foreach (var name in names)
            {
                await nodes.WaitAsync($"{name}-0", "quicksilver_revision", 0, stop);
            }

            var idle = await nodes.ReadsAsync(1_000, parsed.GetValue(leafRows), Task.Delay(TimeSpan.FromSeconds(15), stop), stop);
            var start = time.GetTimestamp();
            nodes.Open();
            var level = Task.WhenAll(names.Select(name => nodes.WaitAsync($"{name}-0", "quicksilver_full_copies", 1, stop, interval: 2_000)));
            var busy = await nodes.ReadsAsync(1_000, parsed.GetValue(leafRows), level, stop);
            var elapsed = time.GetElapsedTime(start, (await level).Max());
            Console.WriteLine(Text($"{names.Count} new regions at once: all have their copy of {nodes.ReceivedMiB("l0-0")} MiB after {elapsed.TotalSeconds:0.0} s"));
            Console.WriteLine(Text($"1,000 reads/s at the source, p50 and p99 ms: idle {idle.P50:0.00} {idle.P99:0.00}, meanwhile {busy.P50:0.00} {busy.P99:0.00}"));
        }

        return 0;
    }
    finally
    {
        Directory.Delete(directory, recursive: true);
    }
});
return await root.Parse(args).InvokeAsync();
