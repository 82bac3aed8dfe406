using Quicksilver.Local;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: the script that docs/operations.md tells people to run does what it says. Method: its commands as they stand there, without the build that the
/// script begins with, and with directory and ports of the test's own.
/// </summary>
public sealed class LocalClusterCommandTests
{
    private const string Script = "infra/local/cluster.sh ";

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_documented_commands_start_a_cluster_restart_a_node_and_stop_it()
    {
        var commands = Document.Read("docs/operations.md").Blocks()
            .Where(block => block is { Heading: "A cluster of processes on one machine", Language: "sh" }).SelectMany(block => block.Commands()).ToList();
        Assert.Equal(["up", "restart hub-1", "down"], commands.Select(command => command.Replace(Script, "", StringComparison.Ordinal)));
        using var directory = new TempDirectory();
        var data = directory.Sub("cluster");
        try
        {
            var up = await RunAsync([.. Words(commands[0]), "--data", data, "--base-port", $"{Ports.FreeRange(20)}"]);
            var cluster = LocalCluster.Open(data, TimeProvider.System);
            string[] names = [.. cluster.Layout.Nodes.Select(node => node.Node)];
            Assert.Equal(["eu-0", "hub-0", "hub-1", "hub-2", "us-0"], names.Order());
            Assert.All(names, name => Assert.Contains($"{name} ", up, StringComparison.Ordinal));
            Assert.All(names, name => Assert.True(cluster.IsRunning(name), name));

            var before = cluster["hub-1"].Pid;
            await RunAsync([.. Words(commands[1]), "--data", data]);
            cluster = LocalCluster.Open(data, TimeProvider.System);
            Assert.NotEqual(before, cluster["hub-1"].Pid);
            Assert.All(names, name => Assert.True(cluster.IsRunning(name), name));

            await RunAsync([.. Words(commands[2]), "--data", data]);
            Assert.All(names, name => Assert.False(cluster.IsRunning(name), name));
        }
        finally
        {
            await KillAllAsync(data);
        }
    }

    private static string[] Words(string command) => command[Script.Length..].Split(' ');

    private static async Task<string> RunAsync(string[] args)
    {
        await using var process = ChildProcess.Start("LocalCluster", "LocalCluster", args);
        var code = await process.WaitAsync(Stop, TimeSpan.FromMinutes(2));
        Assert.True(code == 0, $"{string.Join(' ', args)} ended with {code}: {process.Output}{process.Errors}");
        return process.Output;
    }

    /// <summary>The processes go on when the commands have ended, and must not go on when the test has.</summary>
    private static async Task KillAllAsync(string data)
    {
        if (File.Exists(Path.Combine(data, "cluster.json")))
        {
            var cluster = LocalCluster.Open(data, TimeProvider.System);
            await Task.WhenAll(cluster.Layout.Nodes.Where(node => cluster.IsRunning(node.Node)).Select(node => cluster.KillAsync(node.Node, CancellationToken.None)));
        }
    }
}
