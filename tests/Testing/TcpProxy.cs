using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace Quicksilver.Testing;

/// <summary>What a <see cref="TcpProxy"/> does with bytes of one direction.</summary>
public enum ProxyMode
{
    /// <summary>Passes them on.</summary>
    Open = 0,

    /// <summary>Takes them and holds them, without a word to either side, as a network does that drops packets.</summary>
    Hole = 1,

    /// <summary>Passes them on one at a time, with a pause after each.</summary>
    Drip = 2,
}

/// <summary>
/// A network between a client and a server on this machine, with the faults of one: delay, connections cut by reset, packets that
/// vanish without a reset in one direction or both, bytes that drip. All connections share the settings. A connection that was made
/// while its direction was a hole stays dead: its first packets are lost.
/// </summary>
public sealed class TcpProxy : IAsyncDisposable
{
    private static readonly TimeSpan DripPause = TimeSpan.FromMilliseconds(50);

    private readonly TcpListener _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Pair, Task> _pairs = new();
    private readonly Task _accepting;
    private volatile Settings _settings = new(ProxyMode.Open, ProxyMode.Open, TimeSpan.Zero, new());
    private int _accepted;
    private long _toClients;

    public TcpProxy(int target)
    {
        Target = target;
        _listener = new(IPAddress.Loopback, Ports.Free());
        _listener.Start();
        _accepting = AcceptAsync();
    }

    private sealed record Settings(ProxyMode ToServer, ProxyMode ToClient, TimeSpan Delay, TaskCompletionSource Changed);

    private sealed record Pair(Socket Client, Socket Server);

    /// <summary>Port of the server, for connections made from now on.</summary>
    public int Target { get; set; }

    public string Address => _listener.LocalEndpoint.ToString()!;

    /// <summary>Connections accepted so far.</summary>
    public int Accepted => Volatile.Read(ref _accepted);

    /// <summary>Bytes that servers sent to clients so far.</summary>
    public long BytesToClients => Interlocked.Read(ref _toClients);

    /// <param name="delay">Of every byte, one way.</param>
    public void Set(ProxyMode toServer, ProxyMode toClient, TimeSpan delay = default)
    {
        var before = _settings;
        _settings = new(toServer, toClient, delay, new(TaskCreationOptions.RunContinuationsAsynchronously));
        before.Changed.TrySetResult();
    }

    public void Heal() => Set(ProxyMode.Open, ProxyMode.Open);

    /// <summary>Nothing gets through, and nobody is told.</summary>
    public void BlackHole() => Set(ProxyMode.Hole, ProxyMode.Hole);

    /// <summary>Ends all connections with a reset. New ones are taken.</summary>
    public void Cut()
    {
        foreach (var pair in _pairs.Keys)
        {
            Reset(pair);
        }
    }

    private static void Reset(Pair pair)
    {
        foreach (var socket in new[] { pair.Client, pair.Server })
        {
            try
            {
                socket.LingerState = new(true, 0);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // Gone already.
            }

            socket.Dispose();
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptSocketAsync(_stop.Token);
                Interlocked.Increment(ref _accepted);
                var settings = _settings;
                var pair = new Pair(client, new(SocketType.Stream, ProtocolType.Tcp));
                _pairs[pair] = RunAsync(pair, isDead: settings.ToServer == ProxyMode.Hole || settings.ToClient == ProxyMode.Hole);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
    }

    private async Task RunAsync(Pair pair, bool isDead)
    {
        await Task.Yield();
        try
        {
            if (isDead)
            {
                await Task.Delay(Timeout.Infinite, _stop.Token);
            }

            pair.Client.NoDelay = true;
            pair.Server.NoDelay = true;
            await pair.Server.ConnectAsync(IPAddress.Loopback, Target, _stop.Token);
            Task[] pumps =
            [
                PumpAsync(pair.Client, pair.Server, settings => settings.ToServer, _ => { }),
                PumpAsync(pair.Server, pair.Client, settings => settings.ToClient, length => Interlocked.Add(ref _toClients, length)),
            ];
            if ((await Task.WhenAny(pumps)).IsFaulted)
            {
                // One side hung up hard: the other is told the same way, now. One that has only ended its own direction may go on listening.
                Reset(pair);
            }

            await Task.WhenAll(pumps);
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException or IOException or ChannelClosedException)
        {
            // Cut, by one side or by a test.
        }
        finally
        {
            Reset(pair);
            _pairs.TryRemove(pair, out _);
        }
    }

    private async Task PumpAsync(Socket from, Socket to, Func<Settings, ProxyMode> modeOf, Action<int> onBytes)
    {
        // On the way: each piece with the time at which it is due at the other end.
        var wire = Channel.CreateBounded<(byte[] Bytes, long Due)>(new BoundedChannelOptions(256) { SingleReader = true, SingleWriter = true });
        var delivering = DeliverAsync(wire, to, modeOf);
        var buffer = new byte[64 * 1024];
        try
        {
            while (!delivering.IsCompleted && await from.ReceiveAsync(buffer.AsMemory(), _stop.Token) is var length and > 0)
            {
                onBytes(length);
                var due = TimeProvider.System.GetTimestamp() + (long)(_settings.Delay.TotalSeconds * TimeProvider.System.TimestampFrequency);
                await wire.Writer.WriteAsync((buffer[..length], due), _stop.Token);
            }
        }
        finally
        {
            wire.Writer.TryComplete();
            await delivering;
        }

        to.Shutdown(SocketShutdown.Send);
    }

    private async Task DeliverAsync(Channel<(byte[] Bytes, long Due)> wire, Socket to, Func<Settings, ProxyMode> modeOf)
    {
        try
        {
            await foreach (var (bytes, due) in wire.Reader.ReadAllAsync(_stop.Token))
            {
                await DeliverAsync(bytes, due, to, modeOf);
            }
        }
        finally
        {
            // Whoever still puts pieces on the wire must not wait for room on it.
            wire.Writer.TryComplete();
        }
    }

    private async Task DeliverAsync(byte[] bytes, long due, Socket to, Func<Settings, ProxyMode> modeOf)
    {
        var left = TimeProvider.System.GetElapsedTime(TimeProvider.System.GetTimestamp(), due);
        if (left > TimeSpan.Zero)
        {
            await Task.Delay(left, _stop.Token);
        }

        for (var sent = 0; sent < bytes.Length;)
        {
            var settings = _settings;
            switch (modeOf(settings))
            {
                case ProxyMode.Hole:
                    await settings.Changed.Task.WaitAsync(_stop.Token);
                    break;
                case ProxyMode.Drip:
                    await to.SendAsync(bytes.AsMemory(sent++, 1), _stop.Token);
                    await Task.WhenAny(settings.Changed.Task, Task.Delay(DripPause, _stop.Token));
                    break;
                default:
                    sent += await to.SendAsync(bytes.AsMemory(sent), _stop.Token);
                    break;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting;
        Cut();
        await Task.WhenAll(_pairs.Values);
        _stop.Dispose();
    }
}
