using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Cli;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Hosting;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>Goal: a region that has heard nothing yet claims nothing. Method: a node of its own whose upstream is not there.</summary>
public sealed class NewRegionTests : IAsyncLifetime
{
    private readonly TempDirectory _directory = new();
    private NodeHost? _node;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string Gateway => _node!.Settings.GatewayText;

    public async ValueTask InitializeAsync() => _node = await NodeHost.StartAsync(
        new()
        {
            Role = NodeRole.Replica, NodeId = NodeId.Parse("eu-0"), Region = RegionName.Parse("eu"), DataDirectory = _directory.Sub("eu-0"),
            Ports = new(Testing.Ports.Free(), Testing.Ports.Free(), Testing.Ports.Free()), Upstreams = [$"127.0.0.1:{Testing.Ports.Free()}"],
        },
        TimeProvider.System, logging => logging.SetMinimumLevel(LogLevel.None), Stop);

    [Fact]
    public async Task A_read_at_a_revision_ends_as_not_yet_where_nothing_tells_the_history()
    {
        var run = await QsRun.StartAsync("get", "flags", "k", "--at-least", "5", "--gateway", Gateway);
        Assert.Equal((ExitCodes.Unavailable, ""), (run.ExitCode, run.Output));
        Assert.Contains("revision 5", run.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_write_is_not_named_by_a_time_that_was_not_heard_and_so_certainly_not_made()
    {
        var options = new QuicksilverClientOptions { Deadline = TimeSpan.FromSeconds(1) };
        options.Gateways.Add(Gateway);
        await using var client = new QuicksilverClient(options, TimeProvider.System, NullLoggerFactory.Instance);
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await client.Keyspace("flags").PutAsync("k", "v", cancellation: Stop));
        Assert.Equal((QuicksilverErrorCode.Unavailable, WriteOutcome.NotCommitted, null), (e.Code, e.Outcome, e.OperationId));
    }

    public async ValueTask DisposeAsync()
    {
        await _node!.DisposeAsync();
        _directory.Dispose();
    }
}
