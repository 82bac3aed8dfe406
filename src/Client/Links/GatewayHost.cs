using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>The Orleans client of one session, in a host of its own: a second one cannot live in the services of a silo, nor beside one of another gateway.</summary>
internal static class GatewayHost
{
    /// <param name="endpoint">Where the gateway answered.</param>
    /// <param name="connections">Those that are open; kept by the host.</param>
    /// <param name="onLost">Told, perhaps more than once, when Orleans notices that the gateway is gone.</param>
    /// <param name="onClosed">Told, perhaps more than once, when a connection ends: a call that is made then is refused by Orleans at once, and must not be.</param>
    public static IHost Build(
        IPEndPoint endpoint, GatewayHello hello, GatewayLinkOptions options, ConcurrentDictionary<ConnectionContext, byte> connections,
        Action onLost, Action onClosed, TimeProvider time, ILoggerFactory loggers)
    {
        // Empty: no configuration files, no watchers, no signal handlers beside those of the process.
        var builder = Host.CreateEmptyApplicationBuilder(new() { DisableDefaults = true });
        builder.Services.Replace(ServiceDescriptor.Singleton<IHostLifetime, NestedHostLifetime>());
        builder.Services.AddSingleton(loggers);
        builder.Services.TryAddSingleton(time);

        // What the gateway calls itself, where it says so; the connection goes where the answer came from.
        var name = hello.Gateways is [var own, ..] && IPEndPoint.TryParse(own, out var parsed) ? parsed : endpoint;
        builder.UseOrleansClient(client => client
            .Configure<ClusterOptions>(o =>
            {
                o.ClusterId = hello.OrleansClusterId;
                o.ServiceId = hello.OrleansServiceId;
            })
            .UseStaticClustering(name)
            .UseConnectionRetryFilter((_, _) => Task.FromResult(false))
            .Configure<ConnectionOptions>(o => o.OpenConnectionTimeout = options.ProbeTimeout)
            .Configure<ClientMessagingOptions>(o =>
            {
                o.ResponseTimeout = options.ResponseTimeout;
                o.CancelRequestOnTimeout = true;
                o.MaxMessageBodySize = Limits.MaxMessageBytes;
                o.MaxMessageHeaderSize = Limits.MaxMessageHeaderBytes;
            })
            .Configure<ClientConnectionOptions>(o => o.ConfigureConnection(connection => connection.Use(next => async context =>
            {
                connections.TryAdd(context, 0);
                try
                {
                    // Orleans hears of it at the same time, and tells the calls that were on it later.
                    using var closed = context.ConnectionClosed.Register(onClosed);
                    await next(context).ConfigureAwait(false);
                }
                finally
                {
                    connections.TryRemove(context, out _);
                    onClosed();
                }
            })))
            .AddClusterConnectionLostHandler((_, _) => onLost()));
        MappedConnectionFactory.Wrap(builder.Services, endpoint);
        return builder.Build();
    }

    /// <summary>A nested host lives as long as its owner says; signals are for the process.</summary>
    private sealed class NestedHostLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
