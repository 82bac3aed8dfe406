using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using Orleans.Runtime;
using Orleans.Runtime.Messaging;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: whatever answers at a gateway's address is told apart from a gateway, and no failed call of a write is taken for a
/// write that did not happen unless that is certain. Method: real listeners that answer as a test says; a table of exceptions.
/// </summary>
public sealed class LinkTests : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(2);
    private static readonly GatewayHello Hello = new("qs-eu", "quicksilver", NodeId.Parse("eu-0"), RegionName.Parse("eu"), NodeRole.Replica, ["a:1"]);

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly FakeTimeProvider _time = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public LinkTests() => _listener.Start();

    private Task<Probe> Ask(int? port = null, CancellationToken? cancellation = null) => GatewayProbe.AskAsync(
        "127.0.0.1", port ?? ((IPEndPoint)_listener.LocalEndpoint).Port, Timeout, _time, cancellation ?? Stop);

    /// <summary>Takes one connection, reads what is asked, and answers.</summary>
    private async Task<TcpClient> Accept(params byte[][] pieces)
    {
        var client = await _listener.AcceptTcpClientAsync(Stop);
        client.NoDelay = true;
        var asked = new byte[GatewayHello.Request.Length];
        await client.GetStream().ReadExactlyAsync(asked, Stop);
        Assert.Equal("QSHELLO1", Encoding.ASCII.GetString(asked));
        foreach (var piece in pieces)
        {
            await client.GetStream().WriteAsync(piece, Stop);
        }

        return client;
    }

    [Fact]
    public async Task A_gateway_is_known_by_its_hello_however_it_is_cut()
    {
        var probe = Ask();
        using var client = await Accept([.. Hello.Encode().Select(b => new[] { b })]);
        var answer = await probe;
        Assert.Equal(ProbeResult.Quicksilver, answer.Result);
        Assert.Equal(Hello.Node, answer.Hello!.Node);
        Assert.Equal(Hello.Gateways, answer.Hello.Gateways);
    }

    [Fact]
    public async Task Of_the_addresses_that_a_name_stands_for_the_one_that_answered_is_told()
    {
        // Its port is that of a listener on one address only, whatever else the name stands for.
        var endpoint = (IPEndPoint)_listener.LocalEndpoint;
        var probe = GatewayProbe.AskAsync("localhost", endpoint.Port, Timeout, _time, Stop);
        using var client = await Accept(Hello.Encode());
        var answered = (await probe).Endpoint!;
        Assert.Equal((endpoint.Address, endpoint.Port), (answered.Address.IsIPv4MappedToIPv6 ? answered.Address.MapToIPv4() : answered.Address, answered.Port));
    }

    [Fact]
    public async Task An_address_from_which_nothing_comes_back_does_not_hide_one_that_answers()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var probe = GatewayProbe.AskAnyAsync([(IPEndPoint)silent.LocalEndpoint, (IPEndPoint)_listener.LocalEndpoint], Timeout, Stop);
        using var client = await Accept(Hello.Encode());
        var answer = await probe;
        Assert.Equal(ProbeResult.Quicksilver, answer.Result);
        Assert.Equal((IPEndPoint)_listener.LocalEndpoint, answer.Endpoint);
    }

    [Fact]
    public async Task Of_addresses_that_all_fail_the_one_that_says_most_is_told()
    {
        var probe = GatewayProbe.AskAnyAsync([new(IPAddress.Loopback, Ports.Free()), (IPEndPoint)_listener.LocalEndpoint], Timeout, Stop);
        using var client = await Accept("-ERR unknown command\r\n"u8.ToArray());
        Assert.Equal(ProbeResult.SomethingElse, (await probe).Result);
        Assert.Equal(ProbeResult.Refused, (await GatewayProbe.AskAnyAsync([], Timeout, Stop)).Result);
    }

    [Fact]
    public async Task A_closed_port_is_refused() => Assert.Equal((ProbeResult.Refused, null), await Ask(Ports.Free()) is var probe ? (probe.Result, probe.Hello) : default);

    [Fact]
    public async Task A_listener_that_says_nothing_is_silent_when_the_time_is_over()
    {
        var probe = Ask();
        using var client = await Accept();
        _time.Advance(Timeout - TimeSpan.FromMilliseconds(1));
        Assert.False(probe.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(ProbeResult.Silent, (await probe).Result);
    }

    [Fact]
    public async Task A_listener_that_stops_in_the_middle_of_its_hello_is_silent_when_the_time_is_over()
    {
        var probe = Ask();
        using var client = await Accept(Hello.Encode()[..20]);
        _time.Advance(Timeout);
        Assert.Equal(ProbeResult.Silent, (await probe).Result);
    }

    [Theory]
    [InlineData("HTTP/1.1 400 Bad Request\r\n\r\n")]
    [InlineData("-ERR unknown command\r\n")]
    [InlineData("QSHELLO2")]
    [InlineData("QSHELLO1\u007f\u007f\u007f\u007f")]
    [InlineData("QSHELLO1\0\0\0\u0001x")]
    public async Task A_listener_that_answers_something_else_is_something_else(string text)
    {
        var probe = Ask();
        using var client = await Accept(Encoding.ASCII.GetBytes(text));
        Assert.Equal((ProbeResult.SomethingElse, null), ((await probe).Result, (await probe).Hello));
    }

    [Fact]
    public async Task A_listener_that_closes_at_once_is_something_else()
    {
        var probe = Ask();
        (await _listener.AcceptTcpClientAsync(Stop)).Dispose();
        Assert.Equal(ProbeResult.SomethingElse, (await probe).Result);
    }

    [Fact]
    public async Task A_listener_that_closes_in_the_middle_of_its_hello_is_something_else()
    {
        var probe = Ask();
        (await Accept(Hello.Encode()[..20])).Dispose();
        Assert.Equal(ProbeResult.SomethingElse, (await probe).Result);
    }

    [Fact]
    public async Task Giving_up_is_not_the_answer_of_a_gateway()
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var probe = Ask(cancellation: patience.Token);
        using var client = await Accept();
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => probe);
    }

    [Fact]
    public void Whatever_orleans_says_of_a_call_that_was_begun_is_unknown()
    {
        foreach (var (said, outcome) in new (Exception, WriteOutcome)[]
        {
            (new ConnectionFailedException("x"), WriteOutcome.Unknown),
            (new GatewayTooBusyException(), WriteOutcome.Unknown),
            (new LimitExceededException("limit", 2, 1, "x"), WriteOutcome.Unknown),
            (new ArgumentException("no such interface"), WriteOutcome.Unknown),
            (new TimeoutException("x"), WriteOutcome.Unknown),
            (new OperationCanceledException(), WriteOutcome.Unknown),
            (new TaskCanceledException(), WriteOutcome.Unknown),
            (new SiloUnavailableException("x"), WriteOutcome.Unknown),
            (new IOException("x"), WriteOutcome.Unknown),
            (new InvalidOperationException("x"), WriteOutcome.Unknown),
            (new OrleansException("x"), WriteOutcome.Unknown),
            (new MalformedDataException("x"), WriteOutcome.Unknown),
            (new ObjectDisposedException("x"), WriteOutcome.Unknown),
            (new QuicksilverException(QuicksilverErrorCode.Unavailable, "x", WriteOutcome.NotCommitted), WriteOutcome.NotCommitted),
            (new QuicksilverException(QuicksilverErrorCode.Unavailable, "x", WriteOutcome.Unknown), WriteOutcome.Unknown),
            (new QuicksilverException(QuicksilverErrorCode.Unavailable, "x", WriteOutcome.Committed), WriteOutcome.Committed),
        })
        {
            Assert.Equal((said.GetType(), outcome), (said.GetType(), OrleansErrors.OutcomeOf(said)));
        }
    }

    public void Dispose() => _listener.Dispose();
}
