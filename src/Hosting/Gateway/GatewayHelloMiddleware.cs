using System.Buffers;
using Microsoft.AspNetCore.Connections;
using Orleans.Configuration;
using Quicksilver.Contracts;

namespace Quicksilver.Hosting;

/// <summary>
/// Answers <see cref="GatewayHello"/> on the gateway port. It looks at the first bytes of a connection without taking them, so
/// everything else reaches Orleans untouched.
/// </summary>
internal static class GatewayHelloMiddleware
{
    /// <summary>How long half a request, or a client that does not close, is waited for.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    public static ISiloBuilder UseGatewayHello(this ISiloBuilder silo, GatewayHello hello, TimeProvider time)
    {
        var answer = hello.Encode();
        return silo.Configure<SiloConnectionOptions>(o => o.ConfigureGatewayInboundConnection(connection =>
            connection.Use(next => async context =>
            {
                if (await IsHelloAsync(context, time).ConfigureAwait(false))
                {
                    await AnswerAsync(context, answer, time).ConfigureAwait(false);
                }
                else
                {
                    await next(context).ConfigureAwait(false);
                }
            })));
    }

    private static async Task<bool> IsHelloAsync(ConnectionContext context, TimeProvider time)
    {
        var input = context.Transport.Input;
        using var patience = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, context.ConnectionClosed);
        while (true)
        {
            var result = await input.ReadAsync(bound.Token).ConfigureAwait(false);
            var buffer = result.Buffer;
            var matches = Matches(buffer);
            if (matches && buffer.Length >= GatewayHello.Request.Length)
            {
                input.AdvanceTo(buffer.GetPosition(GatewayHello.Request.Length));
                return true;
            }

            if (!matches || result.IsCompleted || result.IsCanceled)
            {
                // Examined no further than consumed: the next read returns the same bytes at once.
                input.AdvanceTo(buffer.Start);
                return false;
            }

            input.AdvanceTo(buffer.Start, buffer.End);
            if (!buffer.IsEmpty)
            {
                patience.CancelAfter(Patience);
            }
        }
    }

    /// <summary>True where what has arrived so far could be, or begin with, a request.</summary>
    private static bool Matches(ReadOnlySequence<byte> buffer)
    {
        Span<byte> start = stackalloc byte[GatewayHello.Request.Length];
        var length = (int)Math.Min(buffer.Length, start.Length);
        buffer.Slice(0, length).CopyTo(start);
        return start[..length].SequenceEqual(GatewayHello.Request[..length]);
    }

    /// <summary>
    /// Orleans' listener closes without lingering, which may throw away an answer that is still on its way: so the client closes
    /// first, within limits.
    /// </summary>
    private static async Task AnswerAsync(ConnectionContext context, byte[] answer, TimeProvider time)
    {
        using var patience = new CancellationTokenSource(Patience, time);
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, context.ConnectionClosed);
        try
        {
            await context.Transport.Output.WriteAsync(answer, bound.Token).ConfigureAwait(false);
            while (true)
            {
                var result = await context.Transport.Input.ReadAsync(bound.Token).ConfigureAwait(false);
                context.Transport.Input.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted || result.IsCanceled)
                {
                    return;
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ConnectionResetException or ConnectionAbortedException or IOException)
        {
            // The client is gone, or does not close: the connection ends either way.
        }
    }
}
