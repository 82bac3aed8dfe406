using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>A link whose sessions come and go as a test says. They carry no grains: what is sent over them, the test answers.</summary>
internal sealed class TestLink : ILink
{
    private static readonly GatewayHello Hello = new("qs-eu", "quicksilver", NodeId.Parse("eu-0"), RegionName.Parse("eu"), NodeRole.Replica, ["a:1"]);

    private readonly TimeProvider _time;
    private readonly string? _gateway;
    private readonly INodeCalls? _node;
    private readonly CancellationTokenSource _closed = new();
    private CancellationTokenSource _lost = new();
    private LinkSession? _current;
    private int _sessions;

    /// <param name="gateway">What its sessions, and their node, call the gateway; null for another name each.</param>
    /// <param name="node">What its sessions are to; null where the test answers.</param>
    public TestLink(TimeProvider time, string? gateway = null, INodeCalls? node = null)
    {
        _time = time;
        _gateway = gateway;
        _node = node;
        _current = NewSession();
    }

    public LinkSession? Current => _current is { Lost.IsCancellationRequested: false } session ? session : null;

    public bool IsDisposed { get; private set; }

    public void GoDown() => _current = null;

    /// <summary>Ends the session, with the calls that are bound to it; the next try gets a new one.</summary>
    public Task ReplaceSessionAsync()
    {
        var lost = _lost;
        _lost = new();
        _current = NewSession();
        return lost.CancelAsync();
    }

    public async ValueTask<LinkSession> ConnectAsync(TimeSpan timeout, CancellationToken cancellation)
    {
        if (_current is { } session)
        {
            return session;
        }

        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closed.Token);
        try
        {
            await Task.Delay(timeout, _time, either.Token);
        }
        catch (OperationCanceledException) when (_closed.IsCancellationRequested)
        {
            throw new ObjectDisposedException(nameof(TestLink));
        }

        throw new QuicksilverException(QuicksilverErrorCode.Unavailable, "No Quicksilver gateway answers.", WriteOutcome.NotCommitted);
    }

    public async ValueTask DisposeAsync()
    {
        IsDisposed = true;
        await _closed.CancelAsync();
        _lost.Dispose();
    }

    private LinkSession NewSession()
    {
        var gateway = _gateway ?? $"gateway-{++_sessions}:1";
        return new(_node!, _gateway is null ? Hello : Hello with { Gateways = [gateway] }, gateway, _lost.Token);
    }
}
