using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;

namespace Quicksilver.Peers.Propagation;

/// <summary>
/// Two NATS servers, one a leaf of the other: a stream at the first, a mirror of it at the second, and a consumer of the mirror. Neither
/// syncs a write before it is acknowledged (its default). There is no client for .NET that restores here, so the few lines of the protocol
/// that this needs are written out.
/// </summary>
internal sealed class NatsPropagator(TimeProvider time) : IPropagator
{
    private readonly List<Process> _servers = [];
    private Connection? _hub;
    private Connection? _leaf;

    public string Way => "put at the stream (no fsync), consumer of a mirror";

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        var (hub, leaf, link) = (Servers.FreePort(), Servers.FreePort(), Servers.FreePort());
        await StartServerAsync(directory, "hub", hub, $"leafnodes {{ listen: \"127.0.0.1:{link}\" }}", stop);
        await StartServerAsync(directory, "leaf", leaf, $"leafnodes {{ remotes: [ {{ url: \"nats://127.0.0.1:{link}\" }} ] }}", stop);
        _hub = await Connection.OpenAsync(hub, time, stop);
        _leaf = await Connection.OpenAsync(leaf, time, stop);
        await _hub.RequestAsync("$JS.API.STREAM.CREATE.P", """{"name":"P","subjects":["p.>"],"storage":"file","max_msgs_per_subject":1,"num_replicas":1}""", stop);
        await _leaf.RequestAsync(
            "$JS.API.STREAM.CREATE.M",
            """{"name":"M","storage":"file","num_replicas":1,"mirror":{"name":"P","external":{"api":"$JS.hub.API","deliver":""}}}""", stop);
        await _leaf.SubscribeAsync("seen", stop);
        await _leaf.RequestAsync(
            "$JS.API.CONSUMER.CREATE.M", """{"stream_name":"M","config":{"deliver_subject":"seen","ack_policy":"none","deliver_policy":"all"}}""", stop);
        for (var tries = 0; ; tries++)
        {
            await _hub.RequestAsync("p.begin", "begin", stop);
            using var wait = new CancellationTokenSource(TimeSpan.FromMilliseconds(500), time);
            try
            {
                await _leaf.ReadAsync(wait.Token);
                break;
            }
            catch (OperationCanceledException) when (tries < 60)
            {
                // The mirror is not there yet.
            }
        }

        await Task.Delay(500, stop);
        _leaf.Forget();
    }

    private async Task StartServerAsync(string directory, string name, int port, string more, CancellationToken stop)
    {
        var file = Path.Combine(directory, $"{name}.conf");
        await File.WriteAllTextAsync(
            file,
            $"server_name: {name}\nlisten: \"127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}\"\njetstream {{ store_dir: \"{Path.Combine(directory, name)}\", domain: {name} }}\n{more}\n", stop);
        _servers.Add(Servers.Start("nats-server", "-c", file));
        await Servers.ListensAsync(port, stop);
    }

    public async Task<(TimeSpan Acknowledged, TimeSpan Visible)> PutAsync(string key, byte[] value, CancellationToken stop)
    {
        var sent = time.GetTimestamp();
        await _hub!.RequestAsync($"p.{key}", Convert.ToHexString(value)[..100], stop);
        var acknowledged = time.GetElapsedTime(sent);
        var (_, at) = await _leaf!.ReadAsync(stop);
        return (acknowledged, time.GetElapsedTime(sent, at));
    }

    public async ValueTask DisposeAsync()
    {
        _hub?.Dispose();
        _leaf?.Dispose();
        await Servers.StopAsync(_servers);
    }

    /// <summary>A connection that asks one thing at a time.</summary>
    private sealed class Connection : IDisposable
    {
        private const string Inbox = "_INBOX.bench";

        private readonly TcpClient _socket = new() { NoDelay = true };
        private readonly Channel<string> _answers = Channel.CreateUnbounded<string>();
        private readonly Channel<(string Text, long At)> _messages = Channel.CreateUnbounded<(string, long)>();
        private readonly TimeProvider _time;
        private Stream _stream = Stream.Null;

        private Connection(TimeProvider time) => _time = time;

        public static async Task<Connection> OpenAsync(int port, TimeProvider time, CancellationToken stop)
        {
            var connection = new Connection(time);
            await connection._socket.ConnectAsync(IPAddress.Loopback, port, stop);
            connection._stream = connection._socket.GetStream();
            _ = connection.ReceiveAsync(stop);
            await connection.SendAsync("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n" + $"SUB {Inbox} 1\r\n", stop);
            return connection;
        }

        private async Task SendAsync(string text, CancellationToken stop) => await _stream.WriteAsync(Encoding.ASCII.GetBytes(text), stop);

        public Task SubscribeAsync(string subject, CancellationToken stop) => SendAsync($"SUB {subject} 2\r\n", stop);

        public async Task RequestAsync(string subject, string text, CancellationToken stop)
        {
            await SendAsync($"PUB {subject} {Inbox} {text.Length.ToString(CultureInfo.InvariantCulture)}\r\n{text}\r\n", stop);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
            limit.CancelAfter(TimeSpan.FromSeconds(10));
            var answer = await _answers.Reader.ReadAsync(limit.Token);
            if (answer.Contains("\"error\"", StringComparison.Ordinal))
            {
                throw new InvalidOperationException($"nats-server answers to {subject}: {answer}");
            }
        }

        public ValueTask<(string Text, long At)> ReadAsync(CancellationToken stop) => _messages.Reader.ReadAsync(stop);

        public void Forget()
        {
            while (_messages.Reader.TryRead(out _))
            {
            }
        }

        private async Task ReceiveAsync(CancellationToken stop)
        {
            using var reader = new StreamReader(_stream, Encoding.ASCII, leaveOpen: true);
            while (await reader.ReadLineAsync(stop) is { } line)
            {
                if (line == "PING")
                {
                    await SendAsync("PONG\r\n", stop);
                }
                else if (line.StartsWith("MSG ", StringComparison.Ordinal))
                {
                    // The texts of this bench have no line ends in them.
                    var text = await reader.ReadLineAsync(stop) ?? "";
                    if (line.Split(' ')[2] == "1")
                    {
                        _answers.Writer.TryWrite(text);
                    }
                    else
                    {
                        _messages.Writer.TryWrite((text, _time.GetTimestamp()));
                    }
                }
            }
        }

        public void Dispose() => _socket.Dispose();
    }
}
