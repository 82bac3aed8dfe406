using System.Buffers;
using System.Net;
using System.Net.Sockets;
using Quicksilver.Contracts;

namespace Quicksilver.Client;

/// <summary>What a probe of a gateway found.</summary>
public enum ProbeResult
{
    Unspecified = 0,
    Quicksilver = 1,

    /// <summary>Nothing listens there, or the name does not resolve.</summary>
    Refused = 2,

    /// <summary>Something accepted the connection and did not answer in time.</summary>
    Silent = 3,

    /// <summary>Something answered that is not a Quicksilver gateway.</summary>
    SomethingElse = 4,
}

/// <summary>Answer of a probe.</summary>
/// <param name="Hello">What the gateway says of itself; null unless the result is Quicksilver.</param>
/// <param name="Detail">For people.</param>
/// <param name="Endpoint">The address that answered, one of those the name stands for; null where none did.</param>
public sealed record Probe(ProbeResult Result, GatewayHello? Hello, string Detail, IPEndPoint? Endpoint = null);

/// <summary>
/// Asks a gateway who it is, before any Orleans client is made: only this gives a clear answer for a mistyped port, a wrong
/// cluster, or something that is no gateway at all.
/// </summary>
public static class GatewayProbe
{
    /// <summary>No more addresses of one name are asked.</summary>
    private const int MaxAddresses = 16;

    /// <summary>
    /// Asks what is at a host and port. Where a name stands for several addresses, all are asked at once and the first gateway among them counts:
    /// one after the other, a single address from which nothing comes back would hide those behind it.
    /// </summary>
    public static async Task<Probe> AskAsync(string host, int port, TimeSpan timeout, TimeProvider time, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(timeout, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, limit.Token);
        Probe probe;
        try
        {
            if (!IPAddress.TryParse(host, out var literal))
            {
                // Resolving cannot be stopped everywhere; waiting for it can.
                var addresses = await Dns.GetHostAddressesAsync(host, linked.Token).WaitAsync(linked.Token).ConfigureAwait(false);
                probe = await AskAnyAsync([.. addresses.Take(MaxAddresses).Select(address => new IPEndPoint(address, port))], timeout, linked.Token).ConfigureAwait(false);
            }
            else
            {
                probe = await AskOneAsync(new(literal, port), timeout, linked.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            probe = new(ProbeResult.Refused, null, $"the name was not resolved within {timeout.TotalSeconds:0.#} s");
        }
        catch (SocketException e)
        {
            probe = new(ProbeResult.Refused, null, e.Message);
        }

        cancellation.ThrowIfCancellationRequested();
        return probe;
    }

    /// <summary>The first gateway that answers; where none does, the failure that says most.</summary>
    internal static async Task<Probe> AskAnyAsync(IPEndPoint[] endpoints, TimeSpan timeout, CancellationToken stop)
    {
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var asked = endpoints.Select(endpoint => AskOneAsync(endpoint, timeout, enough.Token)).ToList();
        var found = new Probe(ProbeResult.Refused, null, "the name stands for no address");
        for (var isFirst = true; asked.Count > 0; isFirst = false)
        {
            var ended = await Task.WhenAny(asked).ConfigureAwait(false);
            asked.Remove(ended);
            var probe = await ended.ConfigureAwait(false);
            if (probe.Result == ProbeResult.Quicksilver)
            {
                found = probe;
                break;
            }

            found = isFirst || probe.Result > found.Result ? probe : found;
        }

        await enough.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(asked).ConfigureAwait(false);
        return found;
    }

    /// <summary>Never throws for what the other side does; stopped, it says so as a time-out.</summary>
    private static async Task<Probe> AskOneAsync(IPEndPoint endpoint, TimeSpan timeout, CancellationToken stop)
    {
        var connected = false;
        try
        {
            using var client = new TcpClient(endpoint.AddressFamily) { NoDelay = true };
            await client.ConnectAsync(endpoint, stop).ConfigureAwait(false);
            connected = true;
            var stream = client.GetStream();

            // The line ends make text protocols answer at once instead of waiting for more.
            await stream.WriteAsync((byte[])[.. GatewayHello.Request, .. "\r\n\r\n"u8], stop).ConfigureAwait(false);
            var answer = await ReadAnswerAsync(stream, stop).ConfigureAwait(false);
            return answer with { Endpoint = endpoint };
        }
        catch (OperationCanceledException)
        {
            return new(connected ? ProbeResult.Silent : ProbeResult.Refused, null, $"no answer within {timeout.TotalSeconds:0.#} s");
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            return new(connected ? ProbeResult.SomethingElse : ProbeResult.Refused, null, e.Message);
        }
    }

    private static async Task<Probe> ReadAnswerAsync(NetworkStream stream, CancellationToken cancellation)
    {
        var buffer = new byte[GatewayHello.MaxBytes + 16];
        var length = 0;
        while (true)
        {
            var read = await stream.ReadAsync(buffer.AsMemory(length), cancellation).ConfigureAwait(false);
            length += read;
            switch (GatewayHello.TryDecode(buffer.AsSpan(0, length), out var hello))
            {
                case OperationStatus.Done:
                    return new(ProbeResult.Quicksilver, hello, "");
                case OperationStatus.InvalidData:
                    return new(ProbeResult.SomethingElse, null, "it answers in another protocol");
            }

            if (read == 0)
            {
                return new(ProbeResult.SomethingElse, null, "it closed the connection without an answer");
            }
        }
    }
}
