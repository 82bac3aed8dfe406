using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Quicksilver.Load;

namespace Quicksilver.Peers.Reads;

/// <summary>
/// Three NATS servers with a bucket of JetStream's key-value store on all of them, which is a stream with one message of each subject. None syncs a
/// write before it is acknowledged (its default). Direct gets, which any server answers from its copy: at one that does not lead the stream.
/// </summary>
internal sealed class NatsReader(ReadKeys keys, TimeProvider time) : IReadPeer
{
    private const string Stream = "KV_reads";
    private const string Subjects = "$KV.reads.";

    /// <summary>As the clients of NATS make a bucket.</summary>
    private const string Settings =
        $$"""{"name":"{{Stream}}","subjects":["{{Subjects}}>"],"storage":"file","num_replicas":3,"max_msgs_per_subject":1,"discard":"new","allow_rollup_hdrs":true,"deny_delete":true,"allow_direct":true}""";

    private static readonly byte[] PutSubject = Encoding.ASCII.GetBytes(Subjects);
    private static readonly byte[] GetSubject = Encoding.ASCII.GetBytes($"$JS.API.DIRECT.GET.{Stream}.{Subjects}");

    private readonly List<Process> _servers = [];
    private NatsConnection? _leader;
    private NatsConnection? _follower;

    public string Way => "direct get at one of three servers that does not lead the stream, the bench's own client over one connection";

    public IReadOnlyList<int> Processes => _servers.ConvertAll(server => server.Id);

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        var ports = Servers.FreePorts(6);
        var routes = string.Join(", ", ports.Skip(3).Select(port => Text($"\"nats://127.0.0.1:{port}\"")));
        for (var i = 0; i < 3; i++)
        {
            var file = Path.Combine(directory, Text($"n{i}.conf"));
            var store = Path.Combine(directory, Text($"n{i}"));
            await File.WriteAllTextAsync(
                file,
                Text($"server_name: n{i}\nlisten: \"127.0.0.1:{ports[i]}\"\njetstream {{ store_dir: \"{store}\" }}\ncluster {{ name: reads, listen: \"127.0.0.1:{ports[3 + i]}\", routes: [ {routes} ] }}\n"), stop);
            _servers.Add(Servers.Start("nats-server", "-c", file));
        }

        foreach (var port in ports.Take(3))
        {
            await Servers.ListensAsync(port, stop);
        }

        var leader = await LeaderAsync(ports[0], stop);
        var writer = _leader = await NatsConnection.OpenAsync(ports[leader], time, stop);
        var reader = _follower = await NatsConnection.OpenAsync(ports[(leader + 1) % 3], time, stop);
        await keys.FillAsync(
            callers: 4,
            (first, values, _) => Task.WhenAll(values.Select(async (value, i) =>
            {
                var answer = await writer.RequestAsync(PutSubject, keys.All[first + i], value);
                if (answer.IsError)
                {
                    throw new InvalidOperationException($"nats-server answers to a put: {answer.Status} {answer.Text}");
                }
            })),
            stop);

        // A server applies in order: when it has what was put last, it has everything.
        await writer.AskAsync(Subjects + "filled", "filled"u8.ToArray(), stop);
        while ((await reader.RequestAsync(GetSubject, "filled"u8, default)).Status != 0)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(100), time, stop);
        }
    }

    /// <summary>Makes the stream as soon as the servers have found each other, and says which of them leads it.</summary>
    private async Task<int> LeaderAsync(int port, CancellationToken stop)
    {
        await using var connection = await NatsConnection.OpenAsync(port, time, stop);
        for (var tries = 0; tries < 60; tries++)
        {
            // They may not have chosen yet who decides; and a stream that is there already may be refused, too.
            await TryAskAsync(connection, $"$JS.API.STREAM.CREATE.{Stream}", Settings, stop);
            if (await TryAskAsync(connection, $"$JS.API.STREAM.INFO.{Stream}", "", stop) is { } answer && Leader(answer) is { } leader)
            {
                return leader;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(500), time, stop);
        }

        throw new TimeoutException("The nats-servers have not made a stream that one of them leads.");
    }

    private async Task<string?> TryAskAsync(NatsConnection connection, string subject, string text, CancellationToken stop)
    {
        try
        {
            return await connection.AskAsync(subject, Encoding.ASCII.GetBytes(text), stop).WaitAsync(TimeSpan.FromSeconds(2), time, stop);
        }
        catch (Exception e) when (e is InvalidOperationException or TimeoutException)
        {
            return null;
        }
    }

    private static int? Leader(string answer)
    {
        using var info = JsonDocument.Parse(answer);
        return info.RootElement.TryGetProperty("cluster", out var cluster) && cluster.TryGetProperty("leader", out var leader)
            ? int.Parse(leader.GetString()!.AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture)
            : null;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    public Operation Get(Func<Random, int> choose) => async (random, _) =>
    {
        var answer = await _follower!.RequestAsync(GetSubject, keys.All[choose(random)], default);
        return answer.Status == 0 && answer.Payload.Length == Sizes.ValueBytes
            ? "get"
            : throw ReadKeys.Wrong(answer.Status == 0 ? answer.Payload.Length : null);
    };

    public Operation? GetMany(Func<Random, int> choose) => null;

    public Operation? Put(Func<Random, int> choose) => null;

    public async ValueTask DisposeAsync()
    {
        await (_leader?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (_follower?.DisposeAsync() ?? ValueTask.CompletedTask);
        await Servers.StopAsync(_servers);
    }
}
