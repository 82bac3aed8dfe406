using System.Net;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: the first commands of the README do what it says, and say clearly what is wrong. Method: the real executables, with what the README types.
/// </summary>
public sealed class DevelopmentClusterTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_tour_works_ctrl_c_ends_with_zero_and_the_data_is_there_again()
    {
        await using var cluster = new DevelopmentProcess();
        await cluster.StartAsync(Stop);
        Assert.Contains("keyspace create flags", cluster.Process.Output, StringComparison.Ordinal);
        Assert.Contains($"put flags checkout on --gateway {cluster.Gateway("us")}", cluster.Process.Output, StringComparison.Ordinal);
        Assert.Contains($"get flags checkout --gateway {cluster.Gateway("eu")}", cluster.Process.Output, StringComparison.Ordinal);
        await new ReadmeTour(cluster).RunAsync(Stop);
        Assert.Equal(0, await cluster.Process.SignalAsync(2, Stop));

        await cluster.StartAsync(Stop);
        Assert.Equal((0, "{\"key\":\"checkout\",\"value\":\"on\",\"revision\":2}", ""), await cluster.QsAsync("us", Stop, "get", "flags", "checkout", "--json"));
        Assert.Equal(0, await cluster.Process.SignalAsync(15, Stop));
    }

    [Fact]
    public async Task Health_and_metrics_answer_on_loopback()
    {
        await using var cluster = new DevelopmentProcess();
        await cluster.StartAsync(Stop);
        await cluster.QsAsync("us", Stop, "keyspace", "create", "flags");
        using var http = new HttpClient();
        foreach (var region in new[] { "hub", "eu", "us" })
        {
            await Eventually.TrueAsync(
                async () => (await http.GetAsync(new Uri(cluster.Http(region), "/healthz/ready"), Stop)).StatusCode == HttpStatusCode.OK, $"{region} ready", Stop);
            Assert.Equal("live\n", await http.GetStringAsync(new Uri(cluster.Http(region), "/healthz/live"), Stop));
            var metrics = await http.GetStringAsync(new Uri(cluster.Http(region), "/metrics"), Stop);
            Assert.Contains($"quicksilver_revision{{", metrics, StringComparison.Ordinal);
            Assert.Contains($"node=\"{region}-0\"", metrics, StringComparison.Ordinal);
            foreach (var other in new[] { "hub", "eu", "us" }.Where(other => other != region))
            {
                Assert.DoesNotContain($"node=\"{other}-0\"", metrics, StringComparison.Ordinal);
            }
        }

        var listeners = Listeners(cluster.Process.Id);
        Assert.True(listeners.Count >= 10, $"{listeners.Count} listeners");
        Assert.All(listeners, address => Assert.True(IPAddress.IsLoopback(address), $"{address}"));
    }

    [Fact]
    public async Task A_port_in_use_is_named_with_its_setting()
    {
        await using var first = new DevelopmentProcess();
        await first.StartAsync(Stop);
        var arguments = first.Arguments.Select(argument => argument.Replace(first.Directory.Path, first.Directory.Sub("other"), StringComparison.Ordinal));
        await using var second = DevelopmentProcess.StartSilo(arguments);
        Assert.Equal(13, await second.WaitAsync(Stop));
        Assert.Contains("is in use", second.Errors, StringComparison.Ordinal);
        Assert.Contains("Quicksilver:Ports:", second.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_data_directory_in_use_or_of_another_node_is_refused()
    {
        await using var first = new DevelopmentProcess();
        await first.StartAsync(Stop);
        await using var other = new DevelopmentProcess();
        await using var second = DevelopmentProcess.StartSilo([$"--Quicksilver:Development:DataDirectory={first.Directory.Sub("data")}", .. other.Arguments.Skip(1)]);
        Assert.Equal(11, await second.WaitAsync(Stop));
        Assert.Contains("is in use by another process", second.Errors, StringComparison.Ordinal);

        await first.Process.SignalAsync(15, Stop);
        await using var third = DevelopmentProcess.StartSilo(
            ["--Quicksilver:Role=replica", "--Quicksilver:NodeId=eu-7", "--Quicksilver:Region=eu", $"--Quicksilver:DataDirectory={first.Directory.Sub("data/eu-0")}",
             "--Quicksilver:Upstreams=127.0.0.1:9", .. FreePorts()]);
        Assert.Equal(11, await third.WaitAsync(Stop));
        Assert.Contains("belongs to node 'eu-0', this node is 'eu-7'", third.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--Quicksilver:Bogus=1", "Quicksilver:Bogus is '1'")]
    [InlineData("--Quicksilver:Development:HttpPort=-1", "Quicksilver:Development:HttpPort is '-1'")]
    [InlineData("--Quicksilver:Role=king", "Quicksilver:Role is 'king'")]
    [InlineData("nonsense", "command line is 'nonsense'")]
    public async Task Wrong_configuration_ends_with_two_and_one_message(string argument, string expected)
    {
        await using var process = DevelopmentProcess.StartSilo([argument]);
        Assert.Equal(2, await process.WaitAsync(Stop));
        Assert.Contains(expected, process.Errors, StringComparison.Ordinal);
        Assert.Single(process.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task Production_without_configuration_does_not_start()
    {
        await using var process = DevelopmentProcess.StartSilo([], new Dictionary<string, string> { ["DOTNET_ENVIRONMENT"] = "Production" });
        Assert.Equal(2, await process.WaitAsync(Stop));
        Assert.Contains("the environment is Production", process.Errors, StringComparison.Ordinal);
    }

    private static IEnumerable<string> FreePorts() =>
    [
        $"--Quicksilver:Ports:Gateway={Ports.Free()}", $"--Quicksilver:Ports:Silo={Ports.Free()}", $"--Quicksilver:Ports:Http={Ports.Free()}",
    ];

    /// <summary>Addresses on which a process listens, from the kernel's tables.</summary>
    private static List<IPAddress> Listeners(int pid)
    {
        var sockets = Directory.EnumerateFiles($"/proc/{pid}/fd")
            .Select(fd => new FileInfo(fd).LinkTarget ?? "")
            .Where(target => target.StartsWith("socket:[", StringComparison.Ordinal))
            .Select(target => target[8..^1]).ToHashSet();
        return
        [
            .. new[] { "/proc/net/tcp", "/proc/net/tcp6" }
                .SelectMany(table => File.ReadLines(table).Skip(1))
                .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Where(fields => fields[3] == "0A" && sockets.Contains(fields[9]))
                .Select(fields => Address(fields[1].Split(':')[0])),
        ];
    }

    private static IPAddress Address(string hex)
    {
        var bytes = Convert.FromHexString(hex);
        for (var i = 0; i < bytes.Length; i += 4)
        {
            Array.Reverse(bytes, i, 4);
        }

        return new(bytes);
    }
}
