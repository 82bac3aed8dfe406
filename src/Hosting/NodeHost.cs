using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;
using Orleans.Configuration;
using Quicksilver.Contracts;
using Quicksilver.Grains;
using Quicksilver.Hosting.Membership;
using Quicksilver.Model;

namespace Quicksilver.Hosting;

/// <summary>
/// One running node: engines below, an Orleans silo and an HTTP port above. Storage and Raft start before the silo joins its
/// cluster and stop after it left.
/// </summary>
public sealed partial class NodeHost : IAsyncDisposable
{
    internal const string ServiceId = "quicksilver";

    private readonly NodeEngines _engines;
    private readonly WebApplication _app;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private bool _stopped;

    private NodeHost(NodeSettings settings, NodeEngines engines, WebApplication app, ILoggerFactory loggers)
    {
        Settings = settings;
        _engines = engines;
        _app = app;
        _loggers = loggers;
        _logger = loggers.CreateLogger<NodeHost>();
    }

    public NodeSettings Settings { get; }

    /// <summary>Completes with the first failure after which this node must stop.</summary>
    public Task<Exception> Fault => _engines.Fault;

    /// <summary>The services of the node's silo.</summary>
    public IServiceProvider Services => _app.Services;

    public NodeStatus Status => _engines.Monitor.Status;

    /// <summary>All ports of a node, with the settings that name them.</summary>
    internal static IEnumerable<(string Setting, IPEndPoint Endpoint)> PortsOf(NodeSettings settings)
    {
        yield return ("Quicksilver:Ports:Gateway", new(settings.Address, settings.Ports.Gateway));
        yield return ("Quicksilver:Ports:Silo", new(settings.Address, settings.Ports.Silo));
        yield return ("Quicksilver:Ports:Http", new(settings.Address, settings.Ports.Http));
        if (settings.HubMembers.FirstOrDefault(member => member.Node == settings.NodeId) is { } self)
        {
            yield return ("Quicksilver:Hub:Members", self.Endpoint);
        }
    }

    /// <summary>
    /// Starts a node. Throws <see cref="PortInUseException"/>, <see cref="Storage.StorageException"/> or what the silo threw;
    /// nothing is left running or locked then.
    /// </summary>
    public static async Task<NodeHost> StartAsync(NodeSettings settings, TimeProvider time, Action<ILoggingBuilder> logging, CancellationToken cancellation)
    {
        PortCheck.Require(PortsOf(settings));
        var loggers = LoggerFactory.Create(logging);
        NodeEngines? engines = null;
        try
        {
            if (settings.Membership is { } membership)
            {
                await MembershipStores.PrepareAsync(membership, cancellation);
            }

            engines = await NodeEngines.OpenAsync(settings, time, loggers, cancellation);
            var app = Build(settings, engines, time, logging);
            try
            {
                await app.StartAsync(cancellation);
                await engines.StartWorkAsync(settings.Membership is null ? null : app.Services.GetRequiredService<IMembershipTable>());
                return new(settings, engines, app, loggers);
            }
            catch
            {
                await app.DisposeAsync();
                throw;
            }
        }
        catch
        {
            if (engines is not null)
            {
                await engines.DisposeAsync();
            }

            loggers.Dispose();
            throw;
        }
    }

    private static WebApplication Build(NodeSettings settings, NodeEngines engines, TimeProvider time, Action<ILoggingBuilder> logging)
    {
        // Empty: no configuration files, no watchers (one over the data directory cost 6 % of the processor), no signal handlers.
        var builder = WebApplication.CreateEmptyBuilder(new()
        {
            ApplicationName = "quicksilver", EnvironmentName = Environments.Production, ContentRootPath = AppContext.BaseDirectory,
        });
        builder.Services.Replace(ServiceDescriptor.Singleton<IHostLifetime, OwnedHostLifetime>());
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromSeconds(20));
        logging(builder.Logging);

        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(settings.Address, settings.Ports.Http);
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton(time);
        engines.AddTo(builder.Services);
        builder.Services.AddOpenTelemetry().WithMetrics(metrics => metrics
            .AddMeter(NodeInstruments.MeterName)
            .AddMeter("Microsoft.Orleans")
            .AddMeter("System.Runtime")
            .AddView(instrument => instrument.Meter.Name != NodeInstruments.MeterName || NodeInstruments.BelongsTo(instrument, settings.NodeId.Value)
                ? null
                : MetricStreamConfiguration.Drop)
            .AddPrometheusExporter());
        builder.UseOrleans(silo => ConfigureSilo(silo, settings, time));

        var app = builder.Build();
        app.MapGet("/healthz/live", () => "live\n");
        app.MapGet("/healthz/ready", () => engines.Monitor.NotReady is { } reason
            ? Results.Text($"not ready: {reason}\n", statusCode: StatusCodes.Status503ServiceUnavailable)
            : Results.Text("ready\n"));
        app.MapPrometheusScrapingEndpoint("/metrics");
        return app;
    }

    private static void ConfigureSilo(ISiloBuilder silo, NodeSettings settings, TimeProvider time)
    {
        // The cluster id is the region: silos of two regions can never take each other for their own.
        silo.Configure<ClusterOptions>(o =>
        {
            o.ServiceId = ServiceId;
            o.ClusterId = settings.Region.Value;
        });
        silo.Configure<SiloOptions>(o => o.SiloName = settings.NodeId.Value);
        silo.ConfigureEndpoints(settings.Address, settings.Ports.Silo, settings.Ports.Gateway, listenOnAnyHostAddress: false);
        if (settings.Membership is { } store)
        {
            MembershipStores.Configure(silo, store);
        }
        else
        {
            silo.UseDevelopmentClustering(new IPEndPoint(settings.Address, settings.Ports.Silo));
        }

        silo.Configure<ClusterMembershipOptions>(o =>
        {
            // A killed silo must be found out, and its row must not hold up its own restart, within seconds.
            o.ProbeTimeout = TimeSpan.FromSeconds(1);
            o.NumMissedProbesLimit = 2;
            o.TableRefreshTimeout = TimeSpan.FromSeconds(5);
            o.IAmAliveTablePublishTimeout = TimeSpan.FromSeconds(2);
            o.NumMissedTableIAmAliveLimit = 3;
        });
        silo.Configure<SiloMessagingOptions>(o =>
        {
            o.ResponseTimeout = TimeSpan.FromSeconds(5);
            o.CancelRequestOnTimeout = true;
            o.MaxMessageBodySize = Limits.MaxMessageBytes;
            o.MaxMessageHeaderSize = Limits.MaxMessageHeaderBytes;
        });
        silo.AddIncomingGrainCallFilter<ExternalCallerFilter>();
        silo.Services.AddSingleton<NodeDirectory>();
        silo.Services.AddPlacementDirector<NodePlacement, NodePlacementDirector>();
        silo.AddGrainService<NodeService>();
        silo.Services.AddSingleton<INodeServiceClient, NodeServiceClient>();
        silo.UseGatewayHello(
            new(settings.Region.Value, ServiceId, settings.NodeId, settings.Region, settings.Role, [settings.GatewayText]), time);
    }

    /// <summary>
    /// Stops in order: writes end first (drained, leadership handed over), then the silo leaves, then storage closes.
    /// </summary>
    public async Task StopAsync()
    {
        if (_stopped)
        {
            return;
        }

        _stopped = true;
        using var grace = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        await TryAsync(() => _engines.StopTakingAsync(grace.Token));

        // A silo that did not get to run cannot leave; the rest must still be closed.
        await TryAsync(() => _app.StopAsync(grace.Token));
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await TryAsync(() => _app.DisposeAsync().AsTask());
        await TryAsync(() => _engines.DisposeAsync().AsTask());
        _loggers.Dispose();
    }

    /// <summary>Whatever one step of stopping meets, the next ones follow: above all the store must be closed and its lock given back.</summary>
    private async Task TryAsync(Func<Task> step)
    {
        try
        {
            await step();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            LogStopFailed(e.Message);
        }
    }

    /// <summary>The process owns the signals, not its hosts.</summary>
    private sealed class OwnedHostLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    [LoggerMessage(1, LogLevel.Warning, "A part of the node did not stop in order: {Why}")]
    private partial void LogStopFailed(string why);
}
