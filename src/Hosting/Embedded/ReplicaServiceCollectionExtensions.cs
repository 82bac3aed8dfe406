using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Quicksilver.Client;

namespace Quicksilver.Hosting;

/// <summary>Puts a replica into an application.</summary>
public static class ReplicaServiceCollectionExtensions
{
    /// <summary>
    /// Adds a replica that starts and stops with the host: <see cref="IQuicksilverReplica"/> and <see cref="IQuicksilverClient"/>, the same singleton.
    /// What is registered after it starts when the replica has data (<see cref="QuicksilverReplicaOptions.StartTimeout"/>), and stops before it. Wrong
    /// options keep the host from starting, with a <see cref="ConfigurationException"/>; a data directory that cannot be used does so with a
    /// <see cref="Storage.StorageException"/>. Throws <see cref="InvalidOperationException"/> where there is a replica already.
    /// </summary>
    public static IServiceCollection AddQuicksilverReplica(this IServiceCollection services, Action<QuicksilverReplicaOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        if (services.Any(service => service.ServiceType == typeof(QuicksilverReplica)))
        {
            throw new InvalidOperationException("AddQuicksilverReplica was called before: a container has one replica.");
        }

        services.TryAddSingleton(TimeProvider.System);
        services.AddLogging();
        services.AddSingleton(provider =>
        {
            var options = new QuicksilverReplicaOptions();
            configure(options);
            return new QuicksilverReplica(options, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILoggerFactory>());
        });
        services.AddSingleton<IQuicksilverReplica>(provider => provider.GetRequiredService<QuicksilverReplica>());
        services.AddSingleton<IQuicksilverClient>(provider => provider.GetRequiredService<QuicksilverReplica>());
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<QuicksilverReplica>());
        return services;
    }

    /// <summary>Adds a health check that fails while the replica is not ready (<see cref="IQuicksilverReplica.NotReady"/>).</summary>
    public static IHealthChecksBuilder AddQuicksilverReplica(this IHealthChecksBuilder checks, string name = "quicksilver")
    {
        ArgumentNullException.ThrowIfNull(checks);
        return checks.AddCheck<ReplicaHealthCheck>(name);
    }
}
