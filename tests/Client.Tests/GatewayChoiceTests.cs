using System.Net;
using Microsoft.Extensions.Time.Testing;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: a link goes to the gateway that is preferred, and waits for it no longer than is worth it. Method: answers of gateways that come as the
/// test says, and fake time.
/// </summary>
public sealed class GatewayChoiceTests
{
    private static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(500);
    private static readonly GatewayHello Hello = new("qs-eu", "quicksilver", NodeId.Parse("eu-0"), RegionName.Parse("eu"), NodeRole.Replica, ["a:1"]);
    private static readonly Probe Yes = new(ProbeResult.Quicksilver, Hello, "", new IPEndPoint(IPAddress.Loopback, 1));
    private static readonly Probe No = new(ProbeResult.Refused, null, "refused");

    private readonly FakeTimeProvider _time = new();
    private readonly GatewayChoice _choice;
    private readonly TaskCompletionSource<Probe>[] _answers = [new(), new(), new()];

    public GatewayChoiceTests() => _choice = new(Grace, _time);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private Task<int?> FirstAsync() => _choice.FirstAsync([.. _answers.Select(answer => answer.Task)], Stop);

    [Fact]
    public async Task A_better_gateway_that_is_a_little_slower_is_taken()
    {
        _answers[1].SetResult(Yes);
        var first = FirstAsync();
        _time.Advance(Grace - TimeSpan.FromMilliseconds(1));
        Assert.False(first.IsCompleted);
        _answers[0].SetResult(Yes);
        Assert.Equal((int?)0, await first);
    }

    [Fact]
    public async Task A_better_gateway_that_is_silent_is_passed_over_once_another_has_answered_and_the_grace_is_over()
    {
        var first = FirstAsync();
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.False(first.IsCompleted);
        _answers[0].SetResult(No);
        _answers[2].SetResult(Yes);
        var second = FirstAsync();
        _time.Advance(Grace);
        Assert.Equal((int?)2, await second);
    }

    [Fact]
    public async Task Nobody_is_waited_for_who_comes_behind_one_that_answered()
    {
        _answers[0].SetResult(No);
        _answers[1].SetResult(Yes);
        Assert.Equal((int?)1, await FirstAsync());
    }

    [Fact]
    public async Task Where_no_gateway_answers_there_is_none()
    {
        _answers[0].SetResult(No);
        _answers[1].SetResult(new(ProbeResult.SomethingElse, null, "else"));
        var first = FirstAsync();
        Assert.False(first.IsCompleted);
        _answers[2].SetResult(No);
        Assert.Null(await first);
        Assert.Null(await _choice.FirstAsync([], Stop));
    }

    [Fact]
    public void A_gateway_that_failed_comes_last_for_a_while_and_the_first_to_fail_before_the_others()
    {
        string Order() => string.Join(' ', _choice.Order(["a:1", "b:1", "c:1"]));

        Assert.Equal("a:1 b:1 c:1", Order());
        _choice.OnFailed("b:1");
        _time.Advance(TimeSpan.FromSeconds(1));
        _choice.OnFailed("a:1");
        Assert.Equal("c:1 b:1 a:1", Order());
        _time.Advance(GatewayChoice.AvoidFor - TimeSpan.FromSeconds(1));
        Assert.Equal("b:1 c:1 a:1", Order());
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("a:1 b:1 c:1", Order());

        // Seen to be usable since, it is as good as any.
        _choice.OnFailed("a:1");
        Assert.Equal("b:1 c:1 a:1", Order());
        _choice.OnProven("a:1");
        Assert.Equal("a:1 b:1 c:1", Order());
    }
}
