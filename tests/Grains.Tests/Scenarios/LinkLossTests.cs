using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: a link that was lost comes back and can be closed, whatever the calls that it let go of do. Method: links to running
/// nodes; a session is lost when the test lets its heartbeat be missed, or stops its node.
/// </summary>
public sealed class LinkLossTests(SharedCluster shared)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly HeldHeartbeats _time = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private GatewayLink Link(string gateway, TimeSpan heartbeatTimeout)
    {
        var options = new GatewayLinkOptions
        {
            Gateways = [gateway], HeartbeatPeriod = HeldHeartbeats.Period, HeartbeatTimeout = heartbeatTimeout, MissesBeforeLost = 1, RetryPeriod = TimeSpan.FromMilliseconds(20),
        };
        var link = new GatewayLink(options, _time, NullLoggerFactory.Instance);
        link.Start();
        return link;
    }

    /// <summary>What a call in flight does when it is let go over a client that is closed already; the task is what the link hands out at that moment.</summary>
    private static Task<LinkSession?> ThrowWhenLost(GatewayLink link, LinkSession session)
    {
        var handedOut = new TaskCompletionSource<LinkSession?>(TaskCreationOptions.RunContinuationsAsynchronously);
        session.Lost.Register(() =>
        {
            handedOut.TrySetResult(link.Current);
            throw new InvalidOperationException("A call in flight cannot be told to end: its client is closed.");
        });
        return handedOut.Task.WaitAsync(Patience, Stop);
    }

    [Fact]
    public async Task A_link_that_missed_its_heartbeat_comes_back_although_what_it_let_go_of_threw()
    {
        // No answer of a node is that fast: every heartbeat is missed as soon as it is due.
        await using var link = Link(shared.Cluster.Gateway("hub"), heartbeatTimeout: TimeSpan.FromTicks(1));
        var session = await link.ConnectAsync(Patience, Stop);
        var handedOut = ThrowWhenLost(link, session);
        _time.LetOneBeDue();
        Assert.Null(await handedOut);
        var next = await link.ConnectAsync(Patience, Stop);
        Assert.NotSame(session, next);
        await next.Grains.GetGrain<IClusterGrain>(0).Ping();
    }

    [Fact]
    public async Task A_link_whose_node_stopped_comes_back_with_it_although_what_it_let_go_of_threw()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var link = Link(cluster.Gateway("us"), heartbeatTimeout: Patience);
        var session = await link.ConnectAsync(Patience, Stop);
        var handedOut = ThrowWhenLost(link, session);
        var asked = new TaskCompletionSource<Task<LinkSession>>(TaskCreationOptions.RunContinuationsAsynchronously);
        session.Lost.Register(() => asked.TrySetResult(link.ConnectAsync(Patience, Stop).AsTask()));
        await cluster.StopAsync("us");
        Assert.Null(await handedOut);
        await cluster.StartAsync("us", Stop);

        // Whoever asked at that moment waited for the next one.
        Assert.NotSame(session, await await asked.Task.WaitAsync(Patience, Stop));
        var next = await link.ConnectAsync(Patience, Stop);
        Assert.NotSame(session, next);
        await next.Grains.GetGrain<IClusterGrain>(0).Ping();
    }

    [Fact]
    public async Task A_link_can_be_closed_although_what_it_let_go_of_threw()
    {
        var link = Link(shared.Cluster.Gateway("hub"), heartbeatTimeout: Patience);
        var session = await link.ConnectAsync(Patience, Stop);
        var handedOut = ThrowWhenLost(link, session);
        await link.DisposeAsync();
        Assert.Null(await handedOut);
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await link.ConnectAsync(Patience, Stop));
    }

    [Fact]
    public async Task A_gateway_whose_session_was_gone_at_once_comes_last()
    {
        await using var network = new TcpProxy(IPEndPoint.Parse(shared.Cluster.Gateway("hub")).Port);
        var far = shared.Cluster.Gateway("eu");
        await using var link = new GatewayLink(
            new() { Gateways = [network.Address, far], RetryPeriod = TimeSpan.FromMilliseconds(20), PreferenceGrace = Patience }, new NoTimePasses(), NullLoggerFactory.Instance);
        link.Start();
        Assert.Equal(network.Address, (await link.ConnectAsync(Patience, Stop)).Gateway);
        network.Cut();
        await Eventually.TrueAsync(() => link.Current?.Gateway == far, "a session with the other gateway", Stop);
    }

    /// <summary>Timers are those of this machine; however slow it is, no time has passed between two looks at the clock.</summary>
    private sealed class NoTimePasses : TimeProvider
    {
        public override long GetTimestamp() => 1;
    }

    /// <summary>The clock of this machine, but heartbeats are due when the test says.</summary>
    private sealed class HeldHeartbeats : TimeProvider
    {
        public static readonly TimeSpan Period = TimeSpan.FromHours(7);

        private readonly Lock _gate = new();
        private ITimer? _held;
        private bool _isDue;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = base.CreateTimer(callback, state, dueTime, period);
            if (dueTime == Period)
            {
                lock (_gate)
                {
                    _held = timer;
                    Release();
                }
            }

            return timer;
        }

        /// <summary>One heartbeat is due: the one that is held, or the next to be.</summary>
        public void LetOneBeDue()
        {
            lock (_gate)
            {
                _isDue = true;
                Release();
            }
        }

        private void Release()
        {
            if (_isDue && _held is { } timer)
            {
                timer.Change(TimeSpan.Zero, Timeout.InfiniteTimeSpan);
                (_held, _isDue) = (null, false);
            }
        }
    }
}
