using System.CommandLine;
using Quicksilver.Local;

var data = new Option<string>("--data") { Description = "Directory of the cluster.", DefaultValueFactory = _ => ".quicksilver-local" };
var hubs = new Option<int>("--hubs") { Description = "Hub nodes, 1 or 3.", DefaultValueFactory = _ => 3 };
var regions = new Option<string>("--regions") { Description = "Regions, with commas; ap:eu is a region ap that pulls from eu.", DefaultValueFactory = _ => "eu,us" };
var replicas = new Option<int>("--replicas-per-region") { Description = "Replicas of each region.", DefaultValueFactory = _ => 1 };
var basePort = new Option<int>("--base-port") { Description = "First of the ports used, four per node.", DefaultValueFactory = _ => 33_000 };
var name = new Argument<string>("node") { Description = "Name of the node, for example hub-0." };
var timeout = TimeSpan.FromSeconds(60);

var up = new Command("up", "Starts a cluster, or what of it does not run, and returns when all nodes are ready.") { hubs, regions, replicas, data, basePort };
up.SetAction(async (parsed, cancellation) =>
{
    var directory = parsed.GetRequiredValue(data);
    var cluster = File.Exists(Path.Combine(directory, "cluster.json"))
        ? LocalCluster.Open(directory, TimeProvider.System)
        : LocalCluster.Create(
            new()
            {
                Hubs = parsed.GetValue(hubs),
                Regions = parsed.GetRequiredValue(regions).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries),
                ReplicasPerRegion = parsed.GetValue(replicas),
                Data = directory,
                BasePort = parsed.GetValue(basePort),
            },
            TimeProvider.System);
    foreach (var node in cluster.Layout.Nodes.Where(node => !cluster.IsRunning(node.Node)))
    {
        cluster.Start(node.Node);
    }

    await cluster.ReadyAsync(cluster.Layout.Nodes.Select(node => node.Node), timeout, cancellation);
    foreach (var node in cluster.Layout.Nodes)
    {
        Console.WriteLine($"{node.Node,-8} {node.Role,-8} {node.Region,-8} gateway {node.Gateway}  http {node.Http}  pid {node.Pid}");
    }
});

var down = new Command("down", "Stops all nodes of a cluster. The data stays.") { data };
down.SetAction(async (parsed, cancellation) =>
{
    var cluster = LocalCluster.Open(parsed.GetRequiredValue(data), TimeProvider.System);
    await Task.WhenAll(cluster.Layout.Nodes.Reverse().Select(node => cluster.StopAsync(node.Node, cancellation)));
});

var restart = new Command("restart", "Stops a node, where it runs, and starts it.") { name, data };
restart.SetAction(async (parsed, cancellation) =>
{
    var cluster = LocalCluster.Open(parsed.GetRequiredValue(data), TimeProvider.System);
    var node = parsed.GetRequiredValue(name);
    await cluster.StopAsync(node, cancellation);
    cluster.Start(node);
    await cluster.ReadyAsync([node], timeout, cancellation);
});

var root = new RootCommand("Runs a Quicksilver cluster as separate processes on this machine.") { up, down, restart };
try
{
    return await root.Parse(args).InvokeAsync(new() { EnableDefaultExceptionHandler = false });
}
catch (Exception e) when (e is ArgumentException or InvalidOperationException or TimeoutException or IOException)
{
    Console.Error.WriteLine($"cluster: {e.Message}");
    return e is ArgumentException ? 2 : 1;
}
