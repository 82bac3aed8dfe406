using System.Diagnostics;
using System.Globalization;
using System.Threading.Channels;
using StackExchange.Redis;

namespace Quicksilver.Peers.Propagation;

/// <summary>
/// A Redis primary that syncs every write, and a replica that tells of keys as it sets them. The primary does not wait for the replica.
/// </summary>
internal sealed class RedisPropagator(TimeProvider time) : IPropagator
{
    private readonly List<Process> _servers = [];
    private readonly Channel<(string Key, long At)> _seen = Channel.CreateUnbounded<(string, long)>();
    private ConnectionMultiplexer? _primary;
    private ConnectionMultiplexer? _replica;

    public string Way => "put at the primary (fsync always), notification of the replica";

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        var (primary, replica) = (Servers.FreePort(), Servers.FreePort());
        foreach (var (port, more) in new (int, string[])[] { (primary, []), (replica, ["--replicaof", "127.0.0.1", Text(primary), "--notify-keyspace-events", "E$"]) })
        {
            var data = Directory.CreateDirectory(Path.Combine(directory, Text(port))).FullName;
            _servers.Add(Servers.Start(
                "redis-server",
                ["--port", Text(port), "--bind", "127.0.0.1", "--dir", data, "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--repl-diskless-sync-delay", "0", .. more]));
            await Servers.ListensAsync(port, stop);
        }

        _primary = await ConnectionMultiplexer.ConnectAsync($"127.0.0.1:{primary}");
        _replica = await ConnectionMultiplexer.ConnectAsync($"127.0.0.1:{replica}");
        await _replica.GetSubscriber().SubscribeAsync(RedisChannel.Pattern("__keyevent@0__:set"), (_, key) => _seen.Writer.TryWrite((key.ToString(), time.GetTimestamp())));

        // A new replica takes a copy first.
        for (var i = 0; ; i++)
        {
            await _primary.GetDatabase().StringSetAsync("begin", i);
            using var wait = new CancellationTokenSource(TimeSpan.FromMilliseconds(500), time);
            try
            {
                await _seen.Reader.ReadAsync(wait.Token);
                break;
            }
            catch (OperationCanceledException) when (i < 60)
            {
                // Not yet.
            }
        }

        await Task.Delay(500, stop);
        while (_seen.Reader.TryRead(out _))
        {
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    public async Task<(TimeSpan Acknowledged, TimeSpan Visible)> PutAsync(string key, byte[] value, CancellationToken stop)
    {
        var sent = time.GetTimestamp();
        await _primary!.GetDatabase().StringSetAsync(key, value);
        var acknowledged = time.GetElapsedTime(sent);
        var (seen, at) = await _seen.Reader.ReadAsync(stop);
        return seen == key ? (acknowledged, time.GetElapsedTime(sent, at)) : throw new InvalidOperationException($"The replica tells of {seen}.");
    }

    public async ValueTask DisposeAsync()
    {
        await (_primary?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (_replica?.DisposeAsync() ?? ValueTask.CompletedTask);
        await Servers.StopAsync(_servers);
    }
}
