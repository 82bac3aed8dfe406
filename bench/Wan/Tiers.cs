using System.Globalization;
using System.Text;
using HdrHistogram;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Local;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Wan;

/// <summary>What a run found.</summary>
/// <param name="Visible">By region: microseconds from the acknowledgement at the hub to a read there that shows it.</param>
/// <param name="RawBytes">Records that the hub sent to its one child, as they are stored.</param>
internal sealed record Measured(
    long Puts, TimeSpan Elapsed, int ValueBytes, IReadOnlyList<(string Name, LongHistogram Times)> Visible, long Records, long RawBytes, long SentBytes);

/// <summary>
/// A hub, a region behind a delay, and a region behind that one and another delay: processes of their own. Writer and readers are this process,
/// each right beside its node.
/// </summary>
internal sealed class Tiers : IAsyncDisposable
{
    private const string Keyspace = "config";
    private const int Keys = 10_000;
    private const int SampleEvery = 10;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly string[] _regions;

    private readonly LocalCluster _cluster;
    private readonly List<TcpProxy> _ways = [];
    private readonly TapWay? _packets;
    private readonly Dictionary<string, QuicksilverClient> _clients = [];
    private readonly TimeProvider _time;
    private readonly Random _random = new(1);

    private Tiers(LocalCluster cluster, string[] regions, TapWay? packets, TimeProvider time) => (_cluster, _regions, _packets, _time) = (cluster, regions, packets, time);

    /// <summary>Packets that were lost, of how many; none where there is no way of packets.</summary>
    public (long Lost, long Of) Packets => _packets?.Packets ?? default;

    /// <summary>A hub and a region, with a way of packets between them that loses some.</summary>
    public static async Task<Tiers> StartAsync(string directory, int basePort, TimeSpan delay, double loss, TimeProvider time, CancellationToken stop)
    {
        var way = TapWay.Create(delay, loss, time);
        var tiers = new Tiers(
            LocalCluster.Create(new() { Hubs = 1, Regions = ["eu"], Data = directory, BasePort = basePort, Addresses = [TapWay.Near, TapWay.Far] }, time), ["eu-0"], way, time);
        try
        {
            tiers._cluster.Start("hub-0");
            tiers._cluster.Start("eu-0", way.Under);
            await tiers.ConnectAsync(stop);
            return tiers;
        }
        catch
        {
            await tiers.DisposeAsync();
            throw;
        }
    }

    public static async Task<Tiers> StartAsync(string directory, int basePort, TimeSpan delay, TimeProvider time, CancellationToken stop)
    {
        var tiers = new Tiers(LocalCluster.Create(new() { Hubs = 1, Regions = ["eu", "ap:eu"], Data = directory, BasePort = basePort }, time), ["eu-0", "ap-0"], null, time);
        try
        {
            tiers._cluster.Start("hub-0");
            foreach (var (node, upstream) in new[] { ("eu-0", "hub-0"), ("ap-0", "eu-0") })
            {
                var way = new TcpProxy(ClusterLayout.Port(tiers._cluster[upstream].Gateway));
                way.Set(ProxyMode.Open, ProxyMode.Open, delay);
                tiers._ways.Add(way);
                tiers._cluster.Start(node, ["env", $"Quicksilver__Upstreams__0={way.Address}"]);
            }

            await tiers.ConnectAsync(stop);
            return tiers;
        }
        catch
        {
            await tiers.DisposeAsync();
            throw;
        }
    }

    private async Task ConnectAsync(CancellationToken stop)
    {
        await _cluster.ReadyAsync(["hub-0", .. _regions], Limit, stop);
        foreach (var node in _regions.Append("hub-0"))
        {
            var options = new QuicksilverClientOptions { Deadline = Limit };
            options.Gateways.Add(_cluster[node].Gateway);
            _clients[node] = new(options, _time, NullLoggerFactory.Instance);
        }

        await _clients["hub-0"].Catalog.CreateAsync(Keyspace, cancellation: stop);
    }

    /// <summary>A value as services have them: a small JSON document whose parts are much alike.</summary>
    private byte[] Value()
    {
        lock (_random)
        {
            return Encoding.UTF8.GetBytes(
                $$"""{"service":"checkout-{{_random.Next(40)}}","route":"/shop/{{_random.Next(500)}}/items","upstreams":["http://10.{{_random.Next(4)}}.{{_random.Next(250)}}.{{_random.Next(250)}}:8080","http://10.{{_random.Next(4)}}.{{_random.Next(250)}}.{{_random.Next(250)}}:8080"],"timeoutMs":{{500 + (50 * _random.Next(20))}},"retries":{{_random.Next(5)}},"rateLimit":{"perSecond":{{100 * _random.Next(50)}},"burst":{{10 * _random.Next(50)}}},"features":{"canary":{{(_random.Next(2) == 0 ? "true" : "false")}},"newCart":{{(_random.Next(2) == 0 ? "true" : "false")}},"variant":"{{(char)('A' + _random.Next(4))}}"},"updatedBy":"deploy-{{_random.Next(1_000_000)}}"}""");
        }
    }

    public async Task<Measured> RunAsync(int rate, TimeSpan duration, CancellationToken stop)
    {
        var visible = _regions.Select(region => (Name: region, Times: new LongHistogram(1, 60_000_000, 3))).ToList();
        var reads = new List<Task>();
        var puts = new List<Task>();
        var hub = _clients["hub-0"].Keyspace(Keyspace);
        var before = await SentAsync(stop);
        var first = _clients["hub-0"].Session?.Position.Revision.Value ?? 0;
        var start = _time.GetTimestamp();
        var bytes = 0;
        for (var i = 0L; _time.GetElapsedTime(start) < duration; i++)
        {
            // An open loop: a put begins when its time has come, whatever the others do.
            var due = TimeSpan.FromSeconds(i / (double)rate) - _time.GetElapsedTime(start);
            if (due > TimeSpan.FromMilliseconds(1))
            {
                await Task.Delay(due, _time, stop);
            }

            var (key, value) = (string.Create(CultureInfo.InvariantCulture, $"routes/{i * 7919 % Keys:000000}"), Value());
            bytes = value.Length;
            puts.Add(Task.Run(
                async () =>
                {
                    var put = await hub.PutAsync(key, value, cancellation: stop);
                    if (i % SampleEvery == 0)
                    {
                        var acknowledged = _time.GetTimestamp();
                        var position = _clients["hub-0"].Session!.Value.Position;
                        foreach (var (name, times) in visible)
                        {
                            lock (reads)
                            {
                                reads.Add(ReadAsync(name, key, position with { Revision = put.Revision }, acknowledged, times, stop));
                            }
                        }
                    }
                },
                stop));
        }

        await Task.WhenAll(puts);
        var elapsed = _time.GetElapsedTime(start);
        await Task.WhenAll(reads);
        var after = await SentAsync(stop);
        return new(
            puts.Count, elapsed, bytes, visible, _clients["hub-0"].Session!.Value.Position.Revision.Value - first, after.Raw - before.Raw, after.Sent - before.Sent);
    }

    /// <summary>
    /// Bytes that the hub's machine sends to its child for one change of 100 bytes, everything of the protocol included: what is sent while one
    /// is made now and then, less what is sent in the same time while none is.
    /// </summary>
    public async Task<double> BytesOfOneChangeAsync(int changes, CancellationToken stop)
    {
        var pause = TimeSpan.FromMilliseconds(200);
        var hub = _clients["hub-0"].Keyspace(Keyspace);
        var idle = await CountAsync(() => ValueTask.CompletedTask);
        var busy = await CountAsync(async () =>
        {
            var value = new byte[100];
            lock (_random)
            {
                _random.NextBytes(value);
            }

            await hub.PutAsync("routes/000001", value, cancellation: stop);
        });
        return (busy - idle) / (double)changes;

        async Task<long> CountAsync(Func<ValueTask> change)
        {
            // What is still on its way belongs to before.
            await Task.Delay(TimeSpan.FromSeconds(1), _time, stop);
            var before = _ways[0].BytesToClients;
            for (var i = 0; i < changes; i++)
            {
                await change();
                await Task.Delay(pause, _time, stop);
            }

            await Task.Delay(TimeSpan.FromSeconds(1), _time, stop);
            return _ways[0].BytesToClients - before;
        }
    }

    private async Task ReadAsync(string region, string key, LogPosition position, long since, LongHistogram times, CancellationToken stop)
    {
        await _clients[region].Keyspace(Keyspace).GetAsync(key, ReadOptions.AtLeast(position), stop);
        var elapsed = _time.GetElapsedTime(since);
        lock (times)
        {
            times.RecordValue(Math.Clamp((long)elapsed.TotalMicroseconds, 1, 60_000_000));
        }
    }

    /// <summary>Bytes of records that the hub has sent, by its own metrics.</summary>
    private async Task<(long Raw, long Sent)> SentAsync(CancellationToken stop)
    {
        using var http = new HttpClient();
        var metrics = await http.GetStringAsync(new Uri($"http://{_cluster["hub-0"].Http}/metrics"), stop);
        long Of(string name) => long.Parse(
            metrics.Split('\n').First(line => line.StartsWith(name, StringComparison.Ordinal)).Split('}')[1].Trim().Split(' ')[0], CultureInfo.InvariantCulture);
        return (Of("quicksilver_pages_records_bytes_total"), Of("quicksilver_pages_sent_bytes_total"));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients.Values)
        {
            await client.DisposeAsync();
        }

        foreach (var node in _regions.Append("hub-0"))
        {
            await _cluster.KillAsync(node, CancellationToken.None);
        }

        foreach (var way in _ways)
        {
            await way.DisposeAsync();
        }

        _packets?.Dispose();
    }
}
