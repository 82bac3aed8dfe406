using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;

namespace Quicksilver.Client;

/// <summary>
/// Dials the address that answered for the gateway, whatever address the gateway has for itself. Orleans puts the address of the
/// gateway into messages, and a silo passes on what is not for its own: behind a port mapping, a tunnel or a load balancer nothing
/// would be answered.
/// </summary>
internal sealed class MappedConnectionFactory(IConnectionFactory inner, EndPoint dialed) : IConnectionFactory
{
    public ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        inner.ConnectAsync(dialed, cancellationToken);

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
