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
    public static async Task<Probe> AskAsync(string host, int port, TimeSpan timeout, TimeProvider time, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(timeout, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, limit.Token);
        var connected = false;
        try
        {
            using var client = new TcpClient { NoDelay = true };
            await client.ConnectAsync(host, port, linked.Token).ConfigureAwait(false);
            connected = true;
            var stream = client.GetStream();

            // The line ends make text protocols answer at once instead of waiting for more.
            await stream.WriteAsync((byte[])[.. GatewayHello.Request, .. "\r\n\r\n"u8], linked.Token).ConfigureAwait(false);
            var answer = await ReadAnswerAsync(stream, linked.Token).ConfigureAwait(false);

            // As it is: a socket for both families names an IPv4 address in the form of IPv6, which one for IPv6 cannot dial.
            return answer with
            {
                Endpoint = client.Client.RemoteEndPoint is IPEndPoint { Address.IsIPv4MappedToIPv6: true } mapped
                    ? new(mapped.Address.MapToIPv4(), mapped.Port)
                    : (IPEndPoint?)client.Client.RemoteEndPoint,
            };
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
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
