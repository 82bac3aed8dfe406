using System.CommandLine;
using System.Globalization;
using Quicksilver.Failover;

var rounds = new Option<int>("--rounds") { Description = "How often the leader is killed, and how often it is stopped.", DefaultValueFactory = _ => 20 };
var callers = new Option<int>("--callers") { Description = "Writers of the client, each with one write at a time.", DefaultValueFactory = _ => 16 };
var basePort = new Option<int>("--base-port") { Description = "First of 12 ports.", DefaultValueFactory = _ => 21_000 };
var data = new Option<string>("--data") { Description = "Directory for the data; one below it is made and deleted.", DefaultValueFactory = _ => Path.GetTempPath() };
var root = new RootCommand("Measures how long nobody's write is acknowledged when the leader of a hub of three is killed, and whether a call fails when it is stopped.")
{
    rounds, callers, basePort, data,
};
root.SetAction(async (parsed, stop) =>
{
    var directory = Path.Combine(parsed.GetRequiredValue(data), $"quicksilver-failover-{Environment.ProcessId}");
    Directory.CreateDirectory(directory);
    try
    {
        await using var hub = await Hub.StartAsync(directory, parsed.GetValue(basePort), parsed.GetValue(callers), TimeProvider.System, stop);
        var kills = new List<TimeSpan>();
        for (var round = 1; round <= parsed.GetValue(rounds); round++)
        {
            kills.Add(await hub.KillLeaderAsync(stop));
            Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"kill {round}: {kills[^1].TotalSeconds:0.00} s"));
        }

        var afterKills = hub.Failed;
        var stops = new List<TimeSpan>();
        for (var round = 1; round <= parsed.GetValue(rounds); round++)
        {
            stops.Add(await hub.StopLeaderAsync(stop));
            Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"stop {round}: longest call {stops[^1].TotalSeconds:0.00} s"));
        }

        Say("killed, to the first acknowledged write that began after it", kills, afterKills, "goals: median at most 1.5 s, maximum 5 s");
        Say("stopped, longest call meanwhile", stops, hub.Failed - afterKills, "goal: no failed call");
        return hub.Failed > 0 ? 1 : 0;
    }
    finally
    {
        Directory.Delete(directory, recursive: true);
    }
});
return await root.Parse(args).InvokeAsync();

static void Say(string what, List<TimeSpan> times, long failed, string goals)
{
    times.Sort();
    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{what}: {times.Count} times, median {times[times.Count / 2].TotalSeconds:0.00} s, maximum {times[^1].TotalSeconds:0.00} s, {failed} failed calls ({goals})"));
}
