using System.Net;
using Microsoft.AspNetCore.Connections;

namespace Quicksilver.Client.Tests;

/// <summary>Goal: a session has one connection, to the address that answered. Method: a factory beneath that notes what is dialed.</summary>
public sealed class MappedConnectionFactoryTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private sealed class Dialed : IConnectionFactory
    {
        public List<EndPoint> Endpoints { get; } = [];

        public ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
        {
            Endpoints.Add(endpoint);
            return new((ConnectionContext)new DefaultConnectionContext());
        }
    }

    [Fact]
    public async Task A_session_dials_once_so_that_nothing_is_sent_again_over_another_connection()
    {
        var dialed = new Dialed();
        var answered = new IPEndPoint(IPAddress.Loopback, 2);
        var factory = new MappedConnectionFactory(dialed, answered);
        await factory.ConnectAsync(new IPEndPoint(IPAddress.Loopback, 1), Stop);
        await Assert.ThrowsAsync<ConnectionAbortedException>(() => factory.ConnectAsync(new IPEndPoint(IPAddress.Loopback, 1), Stop).AsTask());
        Assert.Equal([answered], dialed.Endpoints);
    }
}
