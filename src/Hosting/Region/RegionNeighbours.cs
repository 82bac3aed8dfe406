using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Hosting;

/// <summary>The other nodes of this region that run, as its membership table says. Read from time to time, from <see cref="StartAsync"/> on.</summary>
internal sealed partial class RegionNeighbours(NodeId self, TimeProvider time, ILogger<RegionNeighbours> logger) : IAsyncDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _stop = new();
    private readonly ILogger _logger = logger;
    private Task _loop = Task.CompletedTask;
    private IReadOnlyList<Neighbour> _current = [];
    private bool _failed;

    public IReadOnlyList<Neighbour> Current => Volatile.Read(ref _current);

    /// <summary>Returns when the table was read once, or could not be.</summary>
    public async Task StartAsync(IMembershipTable table)
    {
        await ReadAsync(table);
        _loop = FollowAsync(table);
    }

    private async Task FollowAsync(IMembershipTable table)
    {
        using var timer = new PeriodicTimer(Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                await ReadAsync(table);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in order.
        }
    }

    private async Task ReadAsync(IMembershipTable table)
    {
        try
        {
            var rows = await table.ReadAllAsync(_stop.Token);
            Volatile.Write(ref _current,
            [
                .. from row in rows.Members
                   let entry = row.Item1
                   where entry.Status == SiloStatus.Active && entry.ProxyPort > 0 && entry.SiloName != self.Value && NodeId.TryParse(entry.SiloName, out _)

                   // One that was started again may be there twice; the newer one counts.
                   group entry by entry.SiloName into silos
                   let newest = silos.MaxBy(entry => entry.SiloAddress.Generation)
                   select new Neighbour(NodeId.Parse(newest.SiloName), new System.Net.IPEndPoint(newest.SiloAddress.Endpoint.Address, newest.ProxyPort).ToString()),
            ]);
            _failed = false;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // What was known counts on: the table may be away for long, and the nodes are there all the same.
            if (!_failed)
            {
                _failed = true;
                LogNotRead(e.Message);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        _stop.Dispose();
    }

    [LoggerMessage(1, LogLevel.Warning, "The membership table could not be read; the neighbours that were known count on: {Why}")]
    private partial void LogNotRead(string why);
}
