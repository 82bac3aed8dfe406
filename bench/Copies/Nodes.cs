using System.Diagnostics;
using System.Globalization;
using HdrHistogram;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Local;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Copies;

/// <summary>A hub of one and regions, processes of their own; the regions reach the hub by a way that this process opens and closes.</summary>
internal sealed class Nodes : IAsyncDisposable
{
    public const string Keyspace = "bench";
    private const int ValueBytes = 100;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    private readonly LocalCluster _cluster;
    private readonly TcpProxy? _way;
    private readonly QuicksilverClient _client;
    private readonly TimeProvider _time;
    private readonly HttpClient _http = new();

    private Nodes(LocalCluster cluster, TcpProxy? way, QuicksilverClient client, TimeProvider time) => (_cluster, _way, _client, _time) = (cluster, way, client, time);

    /// <param name="behindWay">Regions that reach the hub by the way, which is closed at first; the others go straight.</param>
    public static async Task<Nodes> StartAsync(string directory, int basePort, IReadOnlyList<string> regions, bool behindWay, TimeProvider time, CancellationToken stop)
    {
        var cluster = LocalCluster.Create(new() { Hubs = 1, Regions = regions, Data = directory, BasePort = basePort }, time);
        cluster.Start("hub-0");
        await cluster.ReadyAsync(["hub-0"], Limit, stop);
        TcpProxy? way = null;
        if (behindWay)
        {
            way = new(ClusterLayout.Port(cluster["hub-0"].Gateway));
            way.BlackHole();
        }

        var options = new QuicksilverClientOptions { Deadline = TimeSpan.FromSeconds(60) };
        options.Gateways.Add(cluster["hub-0"].Gateway);
        var client = new QuicksilverClient(options, time, NullLoggerFactory.Instance);
        await client.Catalog.CreateAsync(Keyspace, cancellation: stop);
        return new(cluster, way, client, time);
    }

    public void Start(string node, params string[] under) =>
        _cluster.Start(node, [.. _way is null ? [] : new[] { "env", $"Quicksilver__Upstreams__0={_way.Address}" }, .. under]);

    /// <summary>Starts the process of the light leaves, which gets only what others leave of the processors; they would have machines of their own.</summary>
    public Process StartLeaves(int count, string directory) => Process.Start(
        new ProcessStartInfo(
            "chrt", ["-i", "0", Environment.ProcessPath!, "leaves", _cluster["hub-0"].Gateway, count.ToString(CultureInfo.InvariantCulture), directory])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;

    public Task StopAsync(string node, CancellationToken stop) => _cluster.StopAsync(node, stop);

    /// <summary>Puts a running node on one processor.</summary>
    public void Pin(string node, int processor)
    {
        using var taskset = Process.Start(new ProcessStartInfo("taskset", ["-a", "-cp", $"{processor}", $"{_cluster[node].Pid}"]) { RedirectStandardOutput = true })!;
        taskset.WaitForExit();
    }

    public void Open() => _way!.Heal();

    /// <summary>Writes so many rows, a number of them in each transaction.</summary>
    public async Task WriteAsync(long rows, int each, CancellationToken stop)
    {
        var keyspace = _client.Keyspace(Keyspace);
        var next = 0L;
        await Task.WhenAll(Enumerable.Range(0, each == 1 ? 512 : 16).Select(writer => Task.Run(
            async () =>
            {
                var random = new Random(writer);
                for (long i; (i = Interlocked.Add(ref next, each) - each) < rows;)
                {
                    var mutations = new Mutation[each];
                    for (var k = 0; k < each; k++)
                    {
                        var value = new byte[ValueBytes];
                        random.NextBytes(value);
                        mutations[k] = Mutation.Put(KeyOf(i + k), value);
                    }

                    await keyspace.CommitAsync([], mutations, cancellation: stop);
                }
            },
            stop)));
    }

    private static string KeyOf(long number) => string.Create(CultureInfo.InvariantCulture, $"key-{number:00000000000000000000}");

    public long Revision => _client.Session!.Value.Position.Revision.Value;

    /// <summary>Latencies in ms of reads at the hub at a fixed rate, each from its intended start, until a time or something is over.</summary>
    public async Task<(double P50, double P99)> ReadsAsync(int rate, long rows, Task until, CancellationToken stop)
    {
        var keyspace = _client.Keyspace(Keyspace);
        var random = new Random(1);
        var times = new LongHistogram(1, 60_000_000, 3);
        var reads = new List<Task>();
        async Task ReadAsync(string key, TimeSpan intended, long start)
        {
            await keyspace.GetAsync(key, ReadOptions.Eventual, stop);
            lock (times)
            {
                times.RecordValue(Math.Clamp((long)(_time.GetElapsedTime(start) - intended).TotalMicroseconds, 1, 60_000_000));
            }
        }

        var begin = _time.GetTimestamp();
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(1), _time);
        for (long i = 0; !until.IsCompleted; await timer.WaitForNextTickAsync(stop))
        {
            for (; i <= _time.GetElapsedTime(begin).TotalSeconds * rate; i++)
            {
                reads.Add(ReadAsync(KeyOf(random.NextInt64(rows)), TimeSpan.FromSeconds(i / (double)rate), begin));
            }
        }

        await Task.WhenAll(reads);
        return (times.GetValueAtPercentile(50) / 1e3, times.GetValueAtPercentile(99) / 1e3);
    }

    public async Task<double?> MetricAsync(string node, string name, CancellationToken stop)
    {
        try
        {
            var metrics = await _http.GetStringAsync(new Uri($"http://{_cluster[node].Http}/metrics"), stop);
            var line = metrics.Split('\n').FirstOrDefault(line => line.StartsWith(name + "{", StringComparison.Ordinal));
            return line is null ? null : double.Parse(line.Split('}')[1].Trim().Split(' ')[0], CultureInfo.InvariantCulture);
        }
        catch (HttpRequestException)
        {
            // Not there yet.
            return null;
        }
    }

    /// <summary>Waits until a metric has a value, looking each so many milliseconds.</summary>
    public async Task<long> WaitAsync(string node, string metric, double atLeast, CancellationToken stop, int interval = 100)
    {
        while (!(await MetricAsync(node, metric, stop) >= atLeast))
        {
            // Each look costs the node the making of all its metrics.
            await Task.Delay(interval, stop);
        }

        return _time.GetTimestamp();
    }

    /// <summary>Processor time of a node's process so far.</summary>
    public TimeSpan Cpu(string node)
    {
        using var process = Process.GetProcessById(_cluster[node].Pid);
        return process.TotalProcessorTime;
    }

    /// <summary>MiB that a node has received of a snapshot, as its log says.</summary>
    public long ReceivedMiB(string node)
    {
        var line = _cluster.LogEnd(node, 1_000).Split('\n').Last(line => line.Contains("is whole (", StringComparison.Ordinal));
        return long.Parse(line.Split("is whole (")[1].Split(' ')[0], CultureInfo.InvariantCulture);
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        _http.Dispose();
        foreach (var node in _cluster.Layout.Nodes.Where(node => _cluster.IsRunning(node.Node)))
        {
            await _cluster.KillAsync(node.Node, CancellationToken.None);
        }

        if (_way is not null)
        {
            await _way.DisposeAsync();
        }
    }
}
