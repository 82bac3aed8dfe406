using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: a client is at the best of its gateways, and no call of it ends because it goes from one to another. Method: gateways that come, go and
/// fall behind as the test says; time goes on in steps far shorter than any of the times that matter, and only while the link itself waits for it.
/// </summary>
public sealed class PreferredLinkTests : IAsyncDisposable
{
    private static readonly ClusterUuid Cluster = new(1, 2);
    private static readonly TimeSpan ReturnAfter = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(500);

    /// <summary>After so many looks without a pause of the loop time goes on all the same.</summary>
    private const int LooksOfAStep = 20;

    /// <summary>The pauses of the loop of the link: between two questions to its node, and between two looks of the link below for a gateway.</summary>
    private static readonly TimeSpan AskPeriod = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LookPeriod = TimeSpan.FromSeconds(1);

    private readonly LoopTime _time = new(AskPeriod, LookPeriod);
    private readonly Lock _gate = new();
    private readonly HashSet<string> _up = ["a:1", "b:1", "c:1"];
    private readonly HashSet<string> _silent = [];
    private readonly HashSet<string> _slowOnce = [];
    private bool _isBrokenOnce;
    private readonly Dictionary<string, string> _notReady = [];
    private readonly Dictionary<string, ClusterUuid> _clusters = [];
    private readonly List<OrderedLink> _opened = [];
    private readonly PreferredLink _link;
    private ClusterUuid _own = Cluster;

    public PreferredLinkTests() => _link = new(
        ["a:1", "b:1", "c:1"], ReturnAfter,
        order =>
        {
            var opened = new OrderedLink(this, order);
            lock (_gate)
            {
                _opened.Add(opened);
            }

            return opened;
        },
        AnswersAsync, session => AskAsync(session.Gateway), Own, new Middle(), _time, NullLogger.Instance);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private bool IsUp(string gateway)
    {
        lock (_gate)
        {
            return _up.Contains(gateway);
        }
    }

    private async Task<bool> AnswersAsync(string gateway, CancellationToken stop)
    {
        bool isSilent;
        lock (_gate)
        {
            isSilent = _silent.Contains(gateway);
        }

        if (isSilent)
        {
            await Task.Delay(Timeout.Infinite, stop);
        }

        return IsUp(gateway);
    }

    private Task<NodeHealth> AskAsync(string gateway)
    {
        lock (_gate)
        {
            return _slowOnce.Remove(gateway) ? new TaskCompletionSource<NodeHealth>().Task : Task.FromResult(HealthOf(gateway));
        }
    }

    private NodeHealth HealthOf(string gateway)
    {
        lock (_gate)
        {
            return new(new(_clusters.GetValueOrDefault(gateway, Cluster), default, default, null), _notReady.GetValueOrDefault(gateway));
        }
    }

    private ClusterUuid Own()
    {
        lock (_gate)
        {
            if (_isBrokenOnce)
            {
                _isBrokenOnce = false;
                throw new InvalidOperationException("nobody thought of this");
            }

            return _own;
        }
    }

    private void Change(Action change)
    {
        lock (_gate)
        {
            change();
        }
    }

    private async Task LoseAsync(string gateway)
    {
        List<OrderedLink> opened;
        lock (_gate)
        {
            _up.Remove(gateway);
            opened = [.. _opened];
        }

        foreach (var link in opened)
        {
            await link.LoseAsync(gateway);
        }
    }

    /// <summary>
    /// Lets time pass until something is so. No time passes while the loop has something to do, however late this machine gives it a turn; what waits
    /// for other times than the loop's pauses has its time pass more slowly.
    /// </summary>
    private Task UntilAsync(Func<bool> condition, string what)
    {
        var looks = 0;
        return Eventually.TrueAsync(
            () =>
            {
                if (condition())
                {
                    return true;
                }

                if (_time.IsPaused || ++looks % LooksOfAStep == 0)
                {
                    _time.Advance(Step);
                }

                return false;
            },
            what, Stop);
    }

    private Task AtAsync(string gateway) => UntilAsync(() => _link.Current?.Gateway == gateway, $"a session with {gateway}");

    /// <summary>So many looks have had their time.</summary>
    private async Task StayAsync(string gateway, TimeSpan time)
    {
        var end = _time.GetUtcNow() + time;
        await UntilAsync(
            () =>
            {
                Assert.Equal(gateway, _link.Current?.Gateway);
                return _time.GetUtcNow() >= end;
            },
            "the time in which nothing happens");
    }

    private int Open
    {
        get
        {
            lock (_gate)
            {
                return _opened.Count(link => !link.IsDisposed);
            }
        }
    }

    [Fact]
    public async Task The_first_gateway_is_stayed_with_and_no_other_is_gone_to()
    {
        _link.Start();
        Assert.Equal("a:1", (await _link.ConnectAsync(TimeSpan.FromMinutes(1), Stop)).Gateway);
        await StayAsync("a:1", 10 * ReturnAfter);
        Assert.Equal(1, Open);
    }

    [Fact]
    public async Task A_better_gateway_is_returned_to_when_it_is_there_again_and_calls_on_the_other_end_there()
    {
        Change(() => _up.Remove("a:1"));
        _link.Start();
        await AtAsync("b:1");
        var second = _link.Current!;
        await StayAsync("b:1", 3 * ReturnAfter);
        Change(() => _up.Add("a:1"));
        await AtAsync("a:1");
        Assert.False(second.Lost.IsCancellationRequested);

        // Longer than any call may take.
        _time.Advance(TimeSpan.FromSeconds(8));
        Assert.False(second.Lost.IsCancellationRequested);
        await UntilAsync(() => second.Lost.IsCancellationRequested && Open == 1, "the end of the link that was left");
        Assert.Equal("a:1", _link.Current!.Gateway);

        // The link that it is at may go to any of them.
        await LoseAsync("a:1");
        await AtAsync("b:1");
    }

    [Fact]
    public async Task A_link_that_was_left_goes_nowhere_any_more()
    {
        Change(() => _up.Remove("a:1"));
        _link.Start();
        await AtAsync("b:1");
        OrderedLink left;
        lock (_gate)
        {
            left = _opened[0];
        }

        Assert.NotEmpty(left.Order());
        Change(() => _up.Add("a:1"));
        await AtAsync("a:1");
        await UntilAsync(() => left.Order().Count == 0, "the end of its order");
    }

    [Fact]
    public async Task A_better_gateway_is_not_returned_to_before_its_time()
    {
        Change(() => _up.Remove("a:1"));
        _link.Start();
        await AtAsync("b:1");
        Change(() => _up.Add("a:1"));
        var since = _time.GetUtcNow();
        await AtAsync("a:1");
        Assert.InRange(_time.GetUtcNow() - since, ReturnAfter - TimeSpan.FromSeconds(5), ReturnAfter + TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task A_node_that_is_not_ready_is_not_handed_out_where_another_is()
    {
        Change(() => _notReady["a:1"] = "the node has no data yet");
        _link.Start();
        Assert.Equal("b:1", (await _link.ConnectAsync(TimeSpan.FromMinutes(1), Stop)).Gateway);

        // It is gone to as soon as it is.
        Change(() => _notReady.Remove("a:1"));
        await AtAsync("a:1");
    }

    [Fact]
    public async Task A_node_that_is_slow_to_say_that_it_is_not_ready_is_not_handed_out_either()
    {
        Change(() => _notReady["a:1"] = "the node has no data yet");
        Change(() => _slowOnce.Add("a:1"));
        _link.Start();
        var waiting = _link.ConnectAsync(TimeSpan.FromMinutes(1), Stop).AsTask();
        await UntilAsync(() => waiting.IsCompleted, "a session");
        Assert.Equal("b:1", (await waiting).Gateway);
    }

    [Fact]
    public async Task Where_no_node_is_ready_the_first_that_answers_is_better_than_none()
    {
        Change(() =>
        {
            foreach (var gateway in _up)
            {
                _notReady[gateway] = "the node lags 100 s behind its source";
            }
        });
        _link.Start();
        Assert.Equal("a:1", (await _link.ConnectAsync(TimeSpan.FromMinutes(1), Stop)).Gateway);
        Change(() => _notReady.Remove("c:1"));
        await AtAsync("c:1");
    }

    [Fact]
    public async Task A_node_that_is_not_ready_any_more_is_left_for_one_that_is_and_returned_to()
    {
        _link.Start();
        await AtAsync("a:1");
        var first = _link.Current!;
        Change(() => _notReady["a:1"] = "the node lags 100 s behind its source");
        await AtAsync("b:1");
        Assert.False(first.Lost.IsCancellationRequested);
        Change(() => _notReady.Remove("a:1"));
        await AtAsync("a:1");
    }

    [Fact]
    public async Task After_a_loss_a_node_that_was_not_ready_comes_last()
    {
        Change(() => _notReady["b:1"] = "the node has no data yet");
        Change(() => _up.Remove("a:1"));
        _link.Start();
        await AtAsync("c:1");
        await LoseAsync("c:1");
        await AtAsync("b:1");
        Change(() => _up.Add("c:1"));
        await AtAsync("c:1");
    }

    [Fact]
    public async Task A_gateway_of_another_cluster_is_not_gone_to()
    {
        Change(() => _up.Remove("a:1"));
        _link.Start();
        await AtAsync("b:1");
        Change(() => _clusters["a:1"] = new(9, 9));
        Change(() => _up.Add("a:1"));
        await StayAsync("b:1", 5 * ReturnAfter);

        // To a client that has heard of no cluster yet it is one as any other.
        Change(() => _own = default);
        await AtAsync("a:1");
    }

    [Fact]
    public async Task A_session_whose_node_is_not_ready_is_held_back_for_a_short_time_and_is_not_the_answer_to_one_whose_time_is_over()
    {
        Change(() => _notReady["a:1"] = "the node has no data yet");
        Change(() => _silent.UnionWith(["b:1", "c:1"]));
        var start = _time.GetUtcNow();
        _link.Start();
        var waiting = _link.ConnectAsync(TimeSpan.FromSeconds(1), Stop).AsTask();
        await UntilAsync(() => waiting.IsCompleted, "the end of the wait");
        var e = await Assert.ThrowsAsync<QuicksilverException>(() => waiting);
        Assert.Equal((QuicksilverErrorCode.Unavailable, WriteOutcome.NotCommitted), (e.Code, e.Outcome));

        // The search for a better one has not ended.
        await AtAsync("a:1");
        Assert.True(_time.GetUtcNow() - start >= TimeSpan.FromSeconds(3));
    }

    [Fact]
    public async Task Without_any_gateway_it_says_why_when_the_time_is_over()
    {
        Change(_up.Clear);
        _link.Start();
        var waiting = _link.ConnectAsync(TimeSpan.FromSeconds(3), Stop).AsTask();
        await UntilAsync(() => waiting.IsCompleted, "the end of the wait");
        var e = await Assert.ThrowsAsync<QuicksilverException>(() => waiting);
        Assert.Equal((QuicksilverErrorCode.Unavailable, WriteOutcome.NotCommitted, "nobody is up"), (e.Code, e.Outcome, e.Message));
    }

    [Fact]
    public async Task What_nobody_thought_of_does_not_end_the_search()
    {
        Change(() => _isBrokenOnce = true);
        _link.Start();
        await AtAsync("a:1");
    }

    [Fact]
    public async Task Once_it_is_closed_nothing_is_given_out_and_nothing_left_open()
    {
        Change(_up.Clear);
        _link.Start();
        var waiting = _link.ConnectAsync(TimeSpan.FromMinutes(1), Stop).AsTask();
        await _link.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => _link.ConnectAsync(TimeSpan.FromMinutes(1), Stop).AsTask());
        Assert.Null(_link.Current);
        Assert.Equal(0, Open);
    }

    public async ValueTask DisposeAsync()
    {
        await _link.DisposeAsync();
        Assert.Equal(0, Open);
    }

    /// <summary>Looks are neither early nor late.</summary>
    private sealed class Middle : Random
    {
        public override double NextDouble() => 0.5;
    }

    /// <summary>Goes to the first gateway in its order that is up, and looks for one each second.</summary>
    private sealed class OrderedLink(PreferredLinkTests test, Func<IReadOnlyList<string>> order) : ILink
    {
        private static readonly GatewayHello Hello = new("qs-eu", "quicksilver", NodeId.Parse("eu-0"), RegionName.Parse("eu"), NodeRole.Replica, ["a:1"]);

        private readonly Lock _gate = new();
        private readonly CancellationTokenSource _closed = new();
        private CancellationTokenSource? _lost;
        private LinkSession? _session;

        public IReadOnlyList<string> Order() => order();

        public bool IsDisposed { get; private set; }

        public LinkSession? Current
        {
            get
            {
                lock (_gate)
                {
                    return _session is { Lost.IsCancellationRequested: false } session ? session : null;
                }
            }
        }

        public async ValueTask<LinkSession> ConnectAsync(TimeSpan timeout, CancellationToken cancellation)
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closed.Token);
            for (var left = timeout; ; left -= LookPeriod)
            {
                if (Current is { } current)
                {
                    return current;
                }

                if (order().FirstOrDefault(test.IsUp) is { } gateway)
                {
                    return Begin(gateway);
                }

                if (left <= TimeSpan.Zero)
                {
                    throw new QuicksilverException(QuicksilverErrorCode.Unavailable, "nobody is up", WriteOutcome.NotCommitted);
                }

                await Task.Delay(LookPeriod, test._time, either.Token);
            }
        }

        private LinkSession Begin(string gateway)
        {
            lock (_gate)
            {
                _lost = new();
                return _session = new(null!, Hello with { Gateways = [gateway] }, gateway, _lost.Token);
            }
        }

        public Task LoseAsync(string gateway)
        {
            lock (_gate)
            {
                return _session?.Gateway == gateway ? _lost!.CancelAsync() : Task.CompletedTask;
            }
        }

        public async ValueTask DisposeAsync()
        {
            IsDisposed = true;
            await _closed.CancelAsync();
            if (_lost is not null)
            {
                await _lost.CancelAsync();
            }
        }
    }
}
