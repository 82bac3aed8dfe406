using System.Net;
using System.Net.Sockets;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Says hello as a gateway does, and takes the connection of an Orleans client just as far as its preamble: what is asked then is never answered.
/// </summary>
internal sealed class HalfOpenGateway : IAsyncDisposable
{
    private static readonly GatewayHello Hello = new("qs-eu", "quicksilver", NodeId.Parse("eu-0"), RegionName.Parse("eu"), NodeRole.Replica, ["127.0.0.1:1"]);

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly bool _resets;
    private readonly Task _accepting;
    private int _hellos;
    private int _connections;

    /// <param name="resets">Whether it ends the connection when it is asked something, or only says nothing.</param>
    public HalfOpenGateway(bool resets)
    {
        _resets = resets;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public string Address => _listener.LocalEndpoint.ToString()!;

    /// <summary>How often it was asked who it is.</summary>
    public int Hellos => Volatile.Read(ref _hellos);

    /// <summary>Connections that got beyond their preamble.</summary>
    public int Connections => Volatile.Read(ref _connections);

    private async Task AcceptAsync()
    {
        var served = new List<Task>();
        try
        {
            while (true)
            {
                served.Add(ServeAsync(await _listener.AcceptSocketAsync(_stop.Token)));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Stopped.
        }

        await Task.WhenAll(served);
    }

    private async Task ServeAsync(Socket socket)
    {
        await Task.Yield();
        using var served = socket;
        try
        {
            var buffer = new byte[64 * 1024];
            var length = await socket.ReceiveAsync(buffer.AsMemory(), _stop.Token);
            if (buffer.AsSpan(0, length).StartsWith(GatewayHello.Request))
            {
                Interlocked.Increment(ref _hellos);
                await socket.SendAsync(Hello.Encode(), _stop.Token);
                return;
            }

            // Its own preamble is as good as ours: it names the same cluster.
            await socket.SendAsync(buffer.AsMemory(0, length), _stop.Token);
            await socket.ReceiveAsync(buffer.AsMemory(), _stop.Token);
            Interlocked.Increment(ref _connections);
            if (_resets)
            {
                socket.LingerState = new(true, 0);
                return;
            }

            while (await socket.ReceiveAsync(buffer.AsMemory(), _stop.Token) > 0)
            {
                // Taken, and never answered.
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Cut.
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting;
        _stop.Dispose();
    }
}
