using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;

namespace Quicksilver.Client;

/// <summary>
/// Dials the address that answered for the gateway, whatever address the gateway has for itself. Orleans puts the address of the
/// gateway into messages, and a silo passes on what is not for its own: behind a port mapping, a tunnel or a load balancer nothing
/// would be answered.
/// It dials once: when a connection dies, Orleans would send what was on it again over another one, and what is answered to the second
/// copy of a write (refused, say) need not be true of the first. So a session ends with its connection.
/// </summary>
internal sealed class MappedConnectionFactory(IConnectionFactory inner, EndPoint dialed) : IConnectionFactory
{
    private int _dialed;

    public ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        Interlocked.Exchange(ref _dialed, 1) == 0
            ? inner.ConnectAsync(dialed, cancellationToken)
            : throw new ConnectionAbortedException("The connection of this session is gone; the link makes another session.");

    /// <summary>Puts itself around the connection factory of an Orleans client, which has one gateway.</summary>
    public static void Wrap(IServiceCollection services, EndPoint dialed)
    {
        // Its key is internal to Orleans, so it is found by its type. One that is not found is an incompatible Orleans.
        var original = services.Single(service => service.ServiceType == typeof(IConnectionFactory) && service.KeyedImplementationFactory is not null);
        services.Remove(original);
        services.Add(ServiceDescriptor.KeyedSingleton<IConnectionFactory>(
            original.ServiceKey,
            (provider, key) => new MappedConnectionFactory((IConnectionFactory)original.KeyedImplementationFactory!(provider, key), dialed)));
    }
}
