using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quicksilver.Contracts;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: settings with which nothing would work are refused where they are given. Method: each setting out of its range, and right at its ends, for
/// a client and for a link; what is started twice, or used after its end.
/// </summary>
public sealed class OptionsTests
{
    private readonly FakeTimeProvider _time = new();

    private static QuicksilverClientOptions ClientOptions(Action<QuicksilverClientOptions> change)
    {
        var options = new QuicksilverClientOptions();
        change(options);
        return options;
    }

    private QuicksilverClient Client(QuicksilverClientOptions options) => new(options, _time, NullLoggerFactory.Instance);

    private GatewayLink Link(GatewayLinkOptions options) => new(options, _time, NullLoggerFactory.Instance);

    public static TheoryData<string> WrongGateways => ["", "host", "host:0", "host:65536", ":1", "::1:1", "a b:1", "host:-1", "http://host:1"];

    [Theory]
    [MemberData(nameof(WrongGateways))]
    public void A_gateway_that_is_no_address_is_refused(string gateway)
    {
        Assert.Contains("HOST:PORT", Assert.Throws<ArgumentException>(() => Client(ClientOptions(options => options.Gateways.Add(gateway)))).Message, StringComparison.Ordinal);
        Assert.Contains("HOST:PORT", Assert.Throws<ArgumentException>(() => Link(new() { Gateways = ["a:1", gateway] })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_no_option_no_clock_and_no_gateway()
    {
        Assert.Throws<ArgumentNullException>(() => Client(null!));
        Assert.Throws<ArgumentNullException>(() => new QuicksilverClient(new(), null!, NullLoggerFactory.Instance));
        Assert.Throws<ArgumentNullException>(() => new QuicksilverClient(new(), _time, null!));
        Assert.Throws<ArgumentException>(() => Client(ClientOptions(options => options.Gateways.Add(null!))));
        Assert.Throws<ArgumentNullException>(() => Link(null!));
        Assert.Throws<ArgumentException>(() => Link(new() { Gateways = null! }));
        Assert.Throws<ArgumentException>(() => Link(new() { Gateways = [] }));
        Assert.Throws<ArgumentNullException>(() => ServiceCollectionExtensions.AddQuicksilverClient(null!));
    }

    [Fact]
    public async Task Times_of_a_client_out_of_their_range_are_refused_and_its_ends_are_taken()
    {
        foreach (var deadline in new[] { TimeSpan.Zero, Timeout.InfiniteTimeSpan, TimeSpan.FromTicks(1), TimeSpan.FromHours(24) + TimeSpan.FromTicks(1), TimeSpan.MaxValue, TimeSpan.MinValue })
        {
            var e = Assert.Throws<ArgumentException>(() => Client(ClientOptions(options => options.Deadline = deadline)));
            Assert.Contains("Deadline", e.Message, StringComparison.Ordinal);
        }

        foreach (var pause in new[] { TimeSpan.Zero, TimeSpan.FromMilliseconds(-1), TimeSpan.FromMilliseconds(501), TimeSpan.MaxValue })
        {
            var e = Assert.Throws<ArgumentException>(() => Client(ClientOptions(options => options.MinBackoff = pause)));
            Assert.Contains("MinBackoff", e.Message, StringComparison.Ordinal);
        }

        foreach (var stay in new[] { TimeSpan.Zero, TimeSpan.FromMilliseconds(999), TimeSpan.FromDays(1) + TimeSpan.FromTicks(1), TimeSpan.MinValue })
        {
            var e = Assert.Throws<ArgumentException>(() => Client(ClientOptions(options => options.ReturnAfter = stay)));
            Assert.Contains("ReturnAfter", e.Message, StringComparison.Ordinal);
        }

        foreach (var (deadline, pause, stay) in new[]
        {
            (TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(1)), (TimeSpan.FromHours(24), TimeSpan.FromMilliseconds(1), TimeSpan.FromDays(1)),
        })
        {
            await using var client = new QuicksilverClient(
                ClientOptions(options => (options.Deadline, options.MinBackoff, options.ReturnAfter) = (deadline, pause, stay)), TimeProvider.System, NullLoggerFactory.Instance);
        }
    }

    [Fact]
    public async Task Options_that_are_not_usable_show_when_the_client_is_first_asked_for()
    {
        await using var services = new ServiceCollection().AddQuicksilverClient(options => options.Gateways.Add("nowhere")).BuildServiceProvider();
        Assert.Throws<ArgumentException>(() => services.GetRequiredService<IQuicksilverClient>());
    }

    public static TheoryData<string> Times => ["HeartbeatPeriod", "HeartbeatTimeout", "ProbeTimeout", "ProbeAgainPeriod", "PreferenceGrace", "ConnectTimeout", "RetryPeriod", "ResponseTimeout"];

    [Theory]
    [MemberData(nameof(Times))]
    public void Times_of_a_link_out_of_their_range_are_refused(string setting)
    {
        foreach (var value in new[] { TimeSpan.Zero, TimeSpan.FromTicks(-1), TimeSpan.FromDays(1) + TimeSpan.FromTicks(1), TimeSpan.MaxValue })
        {
            var valid = new GatewayLinkOptions { Gateways = ["a:1"] };
            var options = setting switch
            {
                "HeartbeatPeriod" => valid with { HeartbeatPeriod = value },
                "HeartbeatTimeout" => valid with { HeartbeatTimeout = value },
                "ProbeTimeout" => valid with { ProbeTimeout = value },
                "ProbeAgainPeriod" => valid with { ProbeAgainPeriod = value },
                "PreferenceGrace" => valid with { PreferenceGrace = value },
                "ConnectTimeout" => valid with { ConnectTimeout = value },
                "RetryPeriod" => valid with { RetryPeriod = value },
                _ => valid with { ResponseTimeout = value },
            };
            Assert.Contains(setting, Assert.Throws<ArgumentException>(() => Link(options)).Message, StringComparison.Ordinal);
        }

        Assert.Throws<ArgumentException>(() => Link(new() { Gateways = ["a:1"], MissesBeforeLost = 0 }));
    }

    [Fact]
    public async Task A_link_is_started_once_and_gives_nothing_after_its_end()
    {
        var link = new GatewayLink(new() { Gateways = [$"127.0.0.1:{Testing.Ports.Free()}"] }, TimeProvider.System, NullLoggerFactory.Instance);
        link.Start();
        Assert.Throws<InvalidOperationException>(link.Start);
        Assert.Throws<ArgumentNullException>(() => link.Drop(null!));
        var waiting = link.ConnectAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken).AsTask();
        await link.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => link.ConnectAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken).AsTask());
        Assert.Throws<ObjectDisposedException>(link.Start);
        await link.DisposeAsync();
    }

    [Fact]
    public async Task A_link_that_was_not_started_says_so_when_the_time_is_over()
    {
        await using var link = Link(new() { Gateways = ["a:1"] });
        var waiting = link.ConnectAsync(TimeSpan.FromSeconds(1), TestContext.Current.CancellationToken).AsTask();
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Contains("not started", (await Assert.ThrowsAsync<Model.QuicksilverException>(() => waiting)).Message, StringComparison.Ordinal);
    }
}
