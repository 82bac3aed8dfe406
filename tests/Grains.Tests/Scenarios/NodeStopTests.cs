using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Quicksilver.Contracts;
using Quicksilver.Hosting;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>Goal: a node that stopped has let go of everything. Method: a node of its own, with a part that does not stop in order.</summary>
public sealed class NodeStopTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_one_step_of_stopping_throws_keeps_the_store_neither_open_nor_locked()
    {
        using var directory = new TempDirectory();
        var part = new Unruly();
        var settings = new NodeSettings
        {
            Role = NodeRole.Replica, NodeId = NodeId.Parse("eu-0"), Region = RegionName.Parse("eu"), DataDirectory = directory.Sub("eu-0"),
            Ports = new(Testing.Ports.Free(), Testing.Ports.Free(), Testing.Ports.Free()), Upstreams = [$"127.0.0.1:{Testing.Ports.Free()}"],
        };
        await using (await NodeHost.StartAsync(
            settings, TimeProvider.System, logging => logging.SetMinimumLevel(LogLevel.None).Services.AddSingleton<IHostedService>(part), Stop))
        {
            Assert.Throws<StorageException>(() => DataDirectory.Take(settings.DataDirectory));
        }

        Assert.True(part.HasThrown);
        using var data = DataDirectory.Take(settings.DataDirectory);
        using var store = NodeStore.Open(data, new() { Node = settings.NodeId });
    }

    private sealed class Unruly : IHostedService
    {
        public bool HasThrown { get; private set; }

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken)
        {
            HasThrown = true;
            throw new InvalidOperationException("This part does not stop in order.");
        }
    }
}
