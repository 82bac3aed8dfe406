using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;

namespace Quicksilver.Peers;

/// <summary>
/// A connection to a nats-server that any number of callers share. There is no client for .NET that restores here, so the part of the protocol that
/// this program needs is written out. What callers send while the socket is busy goes in one write, as in the clients of NATS.
/// </summary>
internal sealed class NatsConnection : IAsyncDisposable
{
    /// <summary>An answer that was lost is an error, not a caller that stands still: NATS delivers at most once.</summary>
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(10);

    private readonly TcpClient _socket = new() { NoDelay = true };
    private readonly TimeProvider _time;
    private readonly byte[] _inbox;
    private readonly CancellationTokenSource _closed = new();
    private readonly Channel<(NatsMessage Message, long At)> _messages = Channel.CreateUnbounded<(NatsMessage, long)>();
    private Stream _stream = Stream.Null;
    private Task _running = Task.CompletedTask;

    // Below: under the gate, except that whoever flushes owns _flushing.
    private readonly Lock _gate = new();
    private readonly Dictionary<long, Request> _requests = [];
    private ArrayBufferWriter<byte> _filling = new(64 * 1024);
    private ArrayBufferWriter<byte> _flushing = new(64 * 1024);
    private bool _isFlushing;
    private long _lastRequest;
    private Exception? _failure;

    private sealed class Request(long sentAt) : TaskCompletionSource<NatsMessage>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public long SentAt { get; } = sentAt;
    }

    private NatsConnection(string inbox, TimeProvider time) => (_inbox, _time) = (Encoding.ASCII.GetBytes(inbox), time);

    public static async Task<NatsConnection> OpenAsync(int port, TimeProvider time, CancellationToken stop)
    {
        // Of this connection alone: servers hand messages on to each other, and there may be one connection to each of them.
        var inbox = string.Create(CultureInfo.InvariantCulture, $"_INBOX.{port}.");
        var connection = new NatsConnection(inbox, time);
        await connection._socket.ConnectAsync(IPAddress.Loopback, port, stop);
        connection._stream = connection._socket.GetStream();
        connection._running = Task.WhenAll(connection.ReceiveAsync(), connection.ExpireAsync());
        connection.Send("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}\r\n"u8);
        connection.Send(Encoding.ASCII.GetBytes($"SUB {inbox}* 1\r\n"));
        return connection;
    }

    /// <summary>What comes at a subject is read with <see cref="ReadAsync"/>.</summary>
    public void Subscribe(string subject) => Send(Encoding.ASCII.GetBytes($"SUB {subject} 2\r\n"));

    /// <summary>
    /// Sends a request to the subject that <paramref name="subject"/> and <paramref name="key"/> make together. Throws
    /// <see cref="TimeoutException"/> where no answer comes, and what ended the connection.
    /// </summary>
    public Task<NatsMessage> RequestAsync(ReadOnlySpan<byte> subject, ReadOnlySpan<byte> key, ReadOnlySpan<byte> payload)
    {
        var request = new Request(_time.GetTimestamp());
        bool isToFlush;
        lock (_gate)
        {
            if (_failure is not null)
            {
                return Task.FromException<NatsMessage>(_failure);
            }

            _requests.Add(++_lastRequest, request);
            _filling.Write("PUB "u8);
            _filling.Write(subject);
            _filling.Write(key);
            _filling.Write(" "u8);
            _filling.Write(_inbox);
            NeedsLockWrite(_lastRequest);
            _filling.Write(" "u8);
            NeedsLockWrite(payload.Length);
            _filling.Write("\r\n"u8);
            _filling.Write(payload);
            _filling.Write("\r\n"u8);
            isToFlush = !_isFlushing;
            _isFlushing = true;
        }

        if (isToFlush)
        {
            _ = FlushAsync();
        }

        return request.Task;
    }

    /// <summary>A request whose answer is text. Throws where it says that something went wrong.</summary>
    public async Task<string> AskAsync(string subject, ReadOnlyMemory<byte> payload, CancellationToken stop)
    {
        var answer = await RequestAsync(Encoding.ASCII.GetBytes(subject), default, payload.Span).WaitAsync(stop);
        return answer.IsError ? throw new InvalidOperationException($"nats-server answers to {subject}: {answer.Status} {answer.Text}") : answer.Text;
    }

    /// <summary>The next message of the subject that was subscribed to, and when it came.</summary>
    public ValueTask<(NatsMessage Message, long At)> ReadAsync(CancellationToken stop) => _messages.Reader.ReadAsync(stop);

    /// <summary>Drops what came and was not read.</summary>
    public void Forget()
    {
        while (_messages.Reader.TryRead(out _))
        {
        }
    }

    private void Send(ReadOnlySpan<byte> bytes)
    {
        bool isToFlush;
        lock (_gate)
        {
            _filling.Write(bytes);
            isToFlush = !_isFlushing;
            _isFlushing = true;
        }

        if (isToFlush)
        {
            _ = FlushAsync();
        }
    }

    private void NeedsLockWrite(long number)
    {
        Utf8Formatter.TryFormat(number, _filling.GetSpan(20), out var length);
        _filling.Advance(length);
    }

    /// <summary>Writes until nothing is left. The first write is the caller's own; it must not go on with those of all others.</summary>
    private async Task FlushAsync()
    {
        try
        {
            while (true)
            {
                lock (_gate)
                {
                    (_filling, _flushing) = (_flushing, _filling);
                }

                await _stream.WriteAsync(_flushing.WrittenMemory, _closed.Token);
                _flushing.ResetWrittenCount();
                lock (_gate)
                {
                    if (_filling.WrittenCount == 0)
                    {
                        _isFlushing = false;
                        return;
                    }
                }

                await Task.Yield();
            }
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }

    private async Task ReceiveAsync()
    {
        try
        {
            var buffer = new byte[64 * 1024];
            for (var filled = 0; ;)
            {
                if (filled == buffer.Length)
                {
                    Array.Resize(ref buffer, 2 * buffer.Length);
                }

                var read = await _stream.ReadAsync(buffer.AsMemory(filled), _closed.Token);
                if (read == 0)
                {
                    throw new EndOfStreamException("nats-server closed the connection.");
                }

                filled += read;
                var taken = 0;
                while (Take(buffer.AsSpan(taken, filled - taken)) is var length and > 0)
                {
                    taken += length;
                }

                buffer.AsSpan(taken, filled - taken).CopyTo(buffer);
                filled -= taken;
            }
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }

    /// <summary>Takes what the server said first; returns its length, and 0 where it is not there whole.</summary>
    private int Take(ReadOnlySpan<byte> bytes)
    {
        var end = bytes.IndexOf("\r\n"u8);
        if (end < 0)
        {
            return 0;
        }

        var line = bytes[..end];
        if (line.StartsWith("-ERR"u8))
        {
            throw new InvalidOperationException($"nats-server says {Encoding.ASCII.GetString(line)}.");
        }

        if (line.SequenceEqual("PING"u8))
        {
            Send("PONG\r\n"u8);
        }

        var hasHeaders = line.StartsWith("HMSG "u8);
        if (!hasHeaders && !line.StartsWith("MSG "u8))
        {
            return end + 2;
        }

        // MSG subject id [inbox] bytes; with headers: HMSG subject id [inbox] bytes-of-headers bytes-of-all.
        var total = TakeNumber(ref line);
        var headers = hasHeaders ? TakeNumber(ref line) : 0;
        var length = end + 2 + total + 2;
        if (bytes.Length < length)
        {
            return 0;
        }

        var subject = line[(line.IndexOf((byte)' ') + 1)..];
        subject = subject[..subject.IndexOf((byte)' ')];
        var body = bytes.Slice(end + 2, total);

        // The headers begin with NATS/1.0, and with a number behind it where there is something to say.
        var status = headers > 12 && body[8] == ' ' ? Number(body.Slice(9, 3)) : 0;
        var message = new NatsMessage(status, body[headers..].ToArray());
        if (!subject.StartsWith(_inbox))
        {
            _messages.Writer.TryWrite((message, _time.GetTimestamp()));
            return length;
        }

        Request? request;
        lock (_gate)
        {
            _requests.Remove(Number(subject[_inbox.Length..]), out request);
        }

        request?.TrySetResult(message);
        return length;
    }

    /// <summary>The number that a line ends with, which is cut off.</summary>
    private static int TakeNumber(ref ReadOnlySpan<byte> line)
    {
        var space = line.LastIndexOf((byte)' ');
        var number = Number(line[(space + 1)..]);
        line = line[..space];
        return number;
    }

    private static int Number(ReadOnlySpan<byte> digits) => int.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);

    private async Task ExpireAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1), _time);
        while (await timer.WaitForNextTickAsync(_closed.Token))
        {
            List<Request> late = [];
            lock (_gate)
            {
                foreach (var (number, request) in _requests.Where(request => _time.GetElapsedTime(request.Value.SentAt) > AnswerTimeout).ToList())
                {
                    _requests.Remove(number);
                    late.Add(request);
                }
            }

            late.ForEach(request => request.TrySetException(new TimeoutException($"No answer of nats-server for {AnswerTimeout.TotalSeconds:0} s.")));
        }
    }

    private void Fail(Exception e)
    {
        List<Request> open;
        lock (_gate)
        {
            _failure ??= e;
            open = [.. _requests.Values];
            _requests.Clear();
        }

        open.ForEach(request => request.TrySetException(e));
        _messages.Writer.TryComplete(e);
    }

    public async ValueTask DisposeAsync()
    {
        await _closed.CancelAsync();
        _socket.Dispose();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _closed.Dispose();
    }
}
