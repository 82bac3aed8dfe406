using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: a member one of whose loops has ended says so. Method: an engine on a real store and real Raft, whose clock or source of
/// randomness begins to fail.
/// </summary>
public sealed class HubEngineTests : IDisposable
{
    private readonly TempDirectory _directory = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("sequencer")]
    [InlineData("formation")]
    public async Task A_loop_that_ends_by_an_exception_is_a_fault_of_the_member(string loop)
    {
        using var data = DataDirectory.Take(_directory.Sub("hub"));
        using var store = NodeStore.Open(data, new() { Node = NodeId.Parse("hub-0") });
        var self = NodeId.Parse("hub-0");
        var raft = new RaftNodeOptions { Self = self, Members = [new(self, new(IPAddress.Loopback, Ports.Free()))], LogDirectory = data.RaftPath };
        var time = new BrokenClock();
        var numbers = 0UL;
        ulong Random() => loop == "formation" && numbers > 0 ? throw new InvalidOperationException("No randomness.") : ++numbers;
        await using var engine = await HubEngine.OpenAsync(store, raft, null, new(), time, Random, NullLoggerFactory.Instance, Stop);
        if (loop == "sequencer")
        {
            await Eventually.TrueAsync(() => !store.Progress.Cluster.IsNone, "a formed cluster", Stop);
            Assert.False(engine.Fault.IsCompleted);
            time.IsBroken = true;
            _ = engine.Sequencer.CommitAsync([new Commands(store.Progress.LogTime).Create("flags")], Stop).AsTask();
        }

        var fault = await engine.Fault.WaitAsync(Eventually.Deadline, Stop);
        Assert.Equal(loop == "sequencer" ? "No clock." : "No randomness.", Assert.IsType<InvalidOperationException>(fault).Message);
    }

    public void Dispose() => _directory.Dispose();

    /// <summary>The clock of this machine until it breaks; its timers go on.</summary>
    private sealed class BrokenClock : TimeProvider
    {
        public volatile bool IsBroken;

        public override DateTimeOffset GetUtcNow() => IsBroken ? throw new InvalidOperationException("No clock.") : base.GetUtcNow();
    }
}
