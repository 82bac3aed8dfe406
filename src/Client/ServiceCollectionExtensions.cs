using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Quicksilver.Client;

/// <summary>Puts the client into an application.</summary>
public static class ServiceCollectionExtensions
{
    /// <summary>
    /// Adds <see cref="IQuicksilverClient"/>, a singleton. It connects when it is first asked for, in the background, and never
    /// keeps the application from starting.
    /// </summary>
    public static IServiceCollection AddQuicksilverClient(this IServiceCollection services, Action<QuicksilverClientOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddSingleton(TimeProvider.System);
        services.AddLogging();
        services.TryAddSingleton<IQuicksilverClient>(provider =>
        {
            var options = new QuicksilverClientOptions();
            configure?.Invoke(options);
            return new QuicksilverClient(options, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILoggerFactory>());
        });
        return services;
    }
}
