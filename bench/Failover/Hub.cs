using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Local;
using Quicksilver.Model;

namespace Quicksilver.Failover;

/// <summary>A hub of three processes, and a client of its own process under constant writes.</summary>
internal sealed class Hub : IAsyncDisposable
{
    private const string Keyspace = "failover";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(1);

    private readonly LocalCluster _cluster;
    private readonly QuicksilverClient _client;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _enough = new();
    private readonly Lock _gate = new();
    private List<Task> _callers = [];
    private TaskCompletionSource<long>? _next;
    private long _begunAfter;
    private long _failed;
    private TimeSpan _longest;

    private Hub(LocalCluster cluster, TimeProvider time)
    {
        _cluster = cluster;
        _time = time;
        _client = Connect();
    }

    /// <summary>Calls that ended by an exception.</summary>
    public long Failed => Interlocked.Read(ref _failed);

    public static async Task<Hub> StartAsync(string directory, int basePort, int callers, TimeProvider time, CancellationToken stop)
    {
        var hub = new Hub(LocalCluster.Create(new() { Hubs = 3, Regions = [], Data = directory, BasePort = basePort }, time), time);
        try
        {
            foreach (var node in hub._cluster.Hubs)
            {
                hub._cluster.Start(node);
            }

            await hub._cluster.ReadyAsync(hub._cluster.Hubs, Limit, stop);
            await hub._client.Catalog.CreateAsync(Keyspace, cancellation: stop);
            hub._callers = [.. Enumerable.Range(0, callers).Select(caller => Task.Run(() => hub.WriteAsync(caller), CancellationToken.None))];
            return hub;
        }
        catch
        {
            await hub.DisposeAsync();
            throw;
        }
    }

    /// <summary>Kills the leader (SIGKILL); returns how long it took until a write that began after that was acknowledged. Then all three run again.</summary>
    public async Task<TimeSpan> KillLeaderAsync(CancellationToken stop)
    {
        var leader = await LeaderAsync(stop);
        var acknowledged = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        var killing = _cluster.KillAsync(leader, stop);

        // The signal is on its way: what begins now has no leader, or one that dies before it can answer, or another.
        var killed = _time.GetTimestamp();
        lock (_gate)
        {
            (_next, _begunAfter) = (acknowledged, killed);
        }

        await killing;
        var at = await acknowledged.Task.WaitAsync(Limit, _time, stop);
        await AgainAsync(leader, stop);
        return _time.GetElapsedTime(killed, at);
    }

    /// <summary>Stops the leader in order (SIGTERM); returns the longest call from then until all three run again.</summary>
    public async Task<TimeSpan> StopLeaderAsync(CancellationToken stop)
    {
        var leader = await LeaderAsync(stop);
        lock (_gate)
        {
            _longest = TimeSpan.Zero;
        }

        await _cluster.StopAsync(leader, stop);
        await AgainAsync(leader, stop);
        lock (_gate)
        {
            return _longest;
        }
    }

    private async Task AgainAsync(string node, CancellationToken stop)
    {
        _cluster.Start(node);
        await _cluster.ReadyAsync(_cluster.Hubs, Limit, stop);

        // Level with the others, so that the next kill leaves two members that have everything.
        await UntilAsync(status => status.Count == 3 && status.Max(one => one.Position.Revision.Value) - status.Min(one => one.Position.Revision.Value) < 10_000, stop);
    }

    private async Task<string> LeaderAsync(CancellationToken stop)
    {
        string? leader = null;
        await UntilAsync(status => (leader = status.FirstOrDefault(node => node.RaftRole == RaftRole.Leader)?.Node.Value) is not null, stop);
        return leader!;
    }

    private async Task UntilAsync(Func<IReadOnlyList<NodeStatus>, bool> holds, CancellationToken stop)
    {
        var inspector = new ClusterInspector([.. _cluster.Layout.Nodes.Select(node => node.Gateway)], _time, NullLoggerFactory.Instance);
        for (var begun = _time.GetTimestamp(); ; await Task.Delay(Look, _time, stop))
        {
            try
            {
                if (holds((await inspector.StatusAsync(stop)).Nodes))
                {
                    return;
                }
            }
            catch (QuicksilverException)
            {
                // Nobody answers at this moment.
            }

            if (_time.GetElapsedTime(begun) > Limit)
            {
                throw new TimeoutException($"The hub did not get in order within {Limit.TotalSeconds:0} s.");
            }
        }
    }

    private QuicksilverClient Connect()
    {
        var options = new QuicksilverClientOptions { Deadline = Limit };
        foreach (var node in _cluster.Layout.Nodes)
        {
            options.Gateways.Add(node.Gateway);
        }

        return new(options, _time, NullLoggerFactory.Instance);
    }

    private async Task WriteAsync(int caller)
    {
        var keyspace = _client.Keyspace(Keyspace);
        for (var i = 0; !_enough.IsCancellationRequested; i++)
        {
            var begun = _time.GetTimestamp();
            try
            {
                await keyspace.PutAsync(string.Create(CultureInfo.InvariantCulture, $"{caller}/{i % 1_000}"), "value", cancellation: CancellationToken.None);
                lock (_gate)
                {
                    var ended = _time.GetTimestamp();
                    var took = _time.GetElapsedTime(begun, ended);
                    _longest = took > _longest ? took : _longest;
                    if (_next is { } next && begun >= _begunAfter)
                    {
                        next.TrySetResult(ended);
                        _next = null;
                    }
                }
            }
            catch (QuicksilverException e)
            {
                Interlocked.Increment(ref _failed);
                await Console.Error.WriteLineAsync($"A call failed after {_time.GetElapsedTime(begun).TotalSeconds:0.0} s: {e.Message}");
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _enough.CancelAsync();
        await Task.WhenAll(_callers);
        await _client.DisposeAsync();
        await Task.WhenAll(_cluster.Hubs.ToList().Select(node => _cluster.KillAsync(node, CancellationToken.None)));
        _enough.Dispose();
    }
}
