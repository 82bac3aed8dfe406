using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;
using Quicksilver.Model;

namespace Quicksilver.Hosting.Membership;

/// <summary>Reads the table of a cluster for a node whose own silo does not run yet.</summary>
internal sealed class MembershipReader(MembershipStore store, RegionName region) : IAsyncDisposable
{
    private IHost? _host;

    public async Task<MembershipTableData> ReadAsync()
    {
        if (_host is null)
        {
            // A silo that is never started: the providers are made only by the container of one.
            var builder = new HostBuilder();
            builder.UseOrleans(silo =>
            {
                silo.Configure<ClusterOptions>(o => (o.ServiceId, o.ClusterId) = (NodeHost.ServiceId, region.Value));
                silo.ConfigureEndpoints(System.Net.IPAddress.Loopback, 1, 1);
                silo.Services.AddSingleton(TimeProvider.System);
                MembershipStores.Configure(silo, store);
            });
            var host = builder.Build();
            try
            {
                await host.Services.GetRequiredService<IMembershipTable>().InitializeMembershipTableAsync(tryInitTableVersion: false, CancellationToken.None);
            }
            catch
            {
                await DisposeAsync(host);
                throw;
            }

            _host = host;
        }

        return await _host.Services.GetRequiredService<IMembershipTable>().ReadAllAsync(CancellationToken.None);
    }

    private static ValueTask DisposeAsync(IHost host)
    {
        if (host is IAsyncDisposable disposable)
        {
            return disposable.DisposeAsync();
        }

        host.Dispose();
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => _host is null ? ValueTask.CompletedTask : DisposeAsync(_host);
}
