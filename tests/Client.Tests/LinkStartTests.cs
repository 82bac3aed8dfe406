using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: a gateway that goes away in the middle of the start of a session holds neither the link nor its owner. Method: a real Orleans client, and a
/// listener that follows its protocol up to the preamble.
/// </summary>
public sealed class LinkStartTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_gateway_that_goes_away_before_a_call_can_be_made_is_left_and_asked_again(bool resets)
    {
        await using var gateway = new HalfOpenGateway(resets);
        var options = new GatewayLinkOptions
        {
            Gateways = [gateway.Address], RetryPeriod = TimeSpan.FromMilliseconds(20), ConnectTimeout = resets ? TimeSpan.FromHours(1) : TimeSpan.FromMilliseconds(500),
        };
        var link = new GatewayLink(options, TimeProvider.System, NullLoggerFactory.Instance);
        link.Start();
        await Eventually.TrueAsync(() => gateway.Connections >= 2 && gateway.Hellos >= 2, "a second try", Stop);
        Assert.Null(link.Current);
        await link.DisposeAsync().AsTask().WaitAsync(Patience, Stop);
    }

    [Fact]
    public async Task A_link_whose_order_of_gateways_failed_once_looks_for_one_nevertheless()
    {
        await using var gateway = new HalfOpenGateway(resets: true);
        var asked = 0;
        await using var link = new GatewayLink(
            new() { Gateways = [gateway.Address], RetryPeriod = TimeSpan.FromMilliseconds(20) }, TimeProvider.System, NullLoggerFactory.Instance,
            () => Interlocked.Increment(ref asked) == 1 ? throw new InvalidOperationException("no order") : new[] { gateway.Address });
        link.Start();
        await Eventually.TrueAsync(() => gateway.Hellos > 0, "a hello", Stop);
    }
}
