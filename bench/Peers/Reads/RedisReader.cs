using System.Diagnostics;
using System.Globalization;
using Quicksilver.Load;
using StackExchange.Redis;

namespace Quicksilver.Peers.Reads;

/// <summary>One Redis server that writes nothing to disk. StackExchange.Redis over one multiplexer, which pipelines what callers ask at the same time.</summary>
internal sealed class RedisReader(ReadKeys keys) : IReadPeer
{
    private readonly List<Process> _servers = [];
    private RedisKey[] _keys = [];
    private ConnectionMultiplexer? _connection;

    public string Way => "GET and MGET, one server without a disk, StackExchange.Redis over one multiplexer";

    public IReadOnlyList<int> Processes => _servers.ConvertAll(server => server.Id);

    private IDatabase Database => _connection!.GetDatabase();

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        var port = Servers.FreePort();
        var text = port.ToString(CultureInfo.InvariantCulture);
        _servers.Add(Servers.Start(
            "redis-server", "--port", text, "--bind", "127.0.0.1", "--dir", directory, "--appendonly", "no", "--save", ""));
        await Servers.ListensAsync(port, stop);
        _connection = await ConnectionMultiplexer.ConnectAsync($"127.0.0.1:{text}");
        _keys = Array.ConvertAll(keys.All, key => (RedisKey)key);
        var database = Database;
        await keys.FillAsync(
            callers: 4,
            async (first, values, _) =>
            {
                var pairs = new KeyValuePair<RedisKey, RedisValue>[values.Length];
                for (var i = 0; i < pairs.Length; i++)
                {
                    pairs[i] = new(_keys[first + i], values[i]);
                }

                if (!await database.StringSetAsync(pairs, When.Always, CommandFlags.None))
                {
                    throw new InvalidOperationException("Redis refused an MSET.");
                }
            },
            stop);
    }

    public Operation Get(Func<Random, int> choose)
    {
        var database = Database;
        return async (random, _) =>
        {
            var value = await database.StringGetAsync(_keys[choose(random)]);
            return value.Length() == Sizes.ValueBytes ? "get" : throw ReadKeys.Wrong(value.IsNull ? null : value.Length());
        };
    }

    public Operation? GetMany(Func<Random, int> choose)
    {
        var database = Database;
        return async (random, _) =>
        {
            var wanted = new RedisKey[ReadKeys.PerCall];
            for (var i = 0; i < wanted.Length; i++)
            {
                wanted[i] = _keys[choose(random)];
            }

            var values = await database.StringGetAsync(wanted);
            foreach (var value in values)
            {
                if (value.Length() != Sizes.ValueBytes)
                {
                    throw ReadKeys.Wrong(value.IsNull ? null : value.Length());
                }
            }

            return values.Length == wanted.Length ? "multi-get" : throw new InvalidOperationException($"An MGET ended with {values.Length} values.");
        };
    }

    public Operation? Put(Func<Random, int> choose) => null;

    public async ValueTask DisposeAsync()
    {
        await (_connection?.DisposeAsync() ?? ValueTask.CompletedTask);
        await Servers.StopAsync(_servers);
    }
}
