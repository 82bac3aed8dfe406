using System.CommandLine;
using System.Globalization;
using Quicksilver.Wan;

var delay = new Option<double>("--delay") { Description = "One-way delay between two tiers, milliseconds.", DefaultValueFactory = _ => 40 };
var rate = new Option<int>("--rate") { Description = "Puts per second at the hub.", DefaultValueFactory = _ => 1_000 };
var seconds = new Option<double>("--seconds") { Description = "Measured time.", DefaultValueFactory = _ => 30 };
var warmup = new Option<double>("--warmup") { Description = "Time before, not measured.", DefaultValueFactory = _ => 10 };
var basePort = new Option<int>("--base-port") { Description = "First of 12 ports.", DefaultValueFactory = _ => 20_600 };
var data = new Option<string>("--data") { Description = "Directory for the data; one below it is made and deleted.", DefaultValueFactory = _ => Path.GetTempPath() };
var loss = new Option<double?>("--loss") { Description = "Percent of packets that are lost: a network of packets (root only) instead of a delayed connection, and one region." };
var root = new RootCommand("Measures how long after its acknowledgement a put is visible in a region far away, and in one behind that, and what it takes on the wire.")
{
    delay, loss, rate, seconds, warmup, basePort, data,
};
root.SetAction(async (parsed, stop) =>
{
    var directory = Path.Combine(parsed.GetRequiredValue(data), $"quicksilver-wan-{Environment.ProcessId}");
    Directory.CreateDirectory(directory);
    try
    {
        var oneWay = TimeSpan.FromMilliseconds(parsed.GetValue(delay));
        await using var tiers = parsed.GetValue(loss) is { } percent
            ? await Tiers.StartAsync(directory, parsed.GetValue(basePort), oneWay, percent / 100, TimeProvider.System, stop)
            : await Tiers.StartAsync(directory, parsed.GetValue(basePort), oneWay, TimeProvider.System, stop);
        await tiers.RunAsync(parsed.GetValue(rate), TimeSpan.FromSeconds(parsed.GetValue(warmup)), stop);
        var measured = await tiers.RunAsync(parsed.GetValue(rate), TimeSpan.FromSeconds(parsed.GetValue(seconds)), stop);
        string Ms(double value) => value.ToString("0.0", CultureInfo.InvariantCulture);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"one-way delay {oneWay.TotalMilliseconds} ms, {measured.Puts / measured.Elapsed.TotalSeconds:0} puts/s acknowledged, JSON values of about {measured.ValueBytes} bytes"));
        Console.WriteLine($"acknowledged at the hub -> visible, milliseconds (goals: p50 at most {Ms((1.25 * oneWay.TotalMilliseconds) + 5)} and p99 250 in the region, p99 400 three tiers down)");
        foreach (var (name, times) in measured.Visible)
        {
            Console.WriteLine($"  {name,-6} count {times.TotalCount,6}  p50 {Ms(times.GetValueAtPercentile(50) / 1e3),7}  p90 {Ms(times.GetValueAtPercentile(90) / 1e3),7}  p99 {Ms(times.GetValueAtPercentile(99) / 1e3),7}  max {Ms(times.GetValueAtPercentile(100) / 1e3),7}");
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"records to one child: {measured.RawBytes / (double)measured.Records:0} bytes each as stored, {measured.SentBytes / (double)measured.Records:0} as sent: {measured.RawBytes / (double)measured.SentBytes:0.00} times smaller (goal 2.5)"));
        if (tiers.Packets is { Of: > 0 } packets)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{packets.Lost} of {packets.Of} packets were lost"));
            return 0;
        }

        var bytes = await tiers.BytesOfOneChangeAsync(100, stop);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"one change of 100 random bytes: {bytes:0} bytes to a child (goal 600)"));
        return 0;
    }
    finally
    {
        Directory.Delete(directory, recursive: true);
    }
});
return await root.Parse(args).InvokeAsync();
