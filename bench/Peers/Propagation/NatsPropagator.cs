using System.Diagnostics;
using System.Globalization;

namespace Quicksilver.Peers.Propagation;

/// <summary>
/// Two NATS servers, one a leaf of the other: a stream at the first, a mirror of it at the second, and a consumer of the mirror. Neither
/// syncs a write before it is acknowledged (its default).
/// </summary>
internal sealed class NatsPropagator(TimeProvider time) : IPropagator
{
    private readonly List<Process> _servers = [];
    private NatsConnection? _hub;
    private NatsConnection? _leaf;

    public string Way => "put at the stream (no fsync), consumer of a mirror";

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        var (hub, leaf, link) = (Servers.FreePort(), Servers.FreePort(), Servers.FreePort());
        await StartServerAsync(directory, "hub", hub, $"leafnodes {{ listen: \"127.0.0.1:{link}\" }}", stop);
        await StartServerAsync(directory, "leaf", leaf, $"leafnodes {{ remotes: [ {{ url: \"nats://127.0.0.1:{link}\" }} ] }}", stop);
        _hub = await NatsConnection.OpenAsync(hub, time, stop);
        _leaf = await NatsConnection.OpenAsync(leaf, time, stop);
        await _hub.AskAsync("$JS.API.STREAM.CREATE.P", """{"name":"P","subjects":["p.>"],"storage":"file","max_msgs_per_subject":1,"num_replicas":1}"""u8.ToArray(), stop);
        await _leaf.AskAsync(
            "$JS.API.STREAM.CREATE.M",
            """{"name":"M","storage":"file","num_replicas":1,"mirror":{"name":"P","external":{"api":"$JS.hub.API","deliver":""}}}"""u8.ToArray(), stop);
        _leaf.Subscribe("seen");
        await _leaf.AskAsync(
            "$JS.API.CONSUMER.CREATE.M",
            """{"stream_name":"M","config":{"deliver_subject":"seen","ack_policy":"none","deliver_policy":"all"}}"""u8.ToArray(), stop);
        for (var tries = 0; ; tries++)
        {
            await _hub.AskAsync("p.begin", "begin"u8.ToArray(), stop);
            using var wait = new CancellationTokenSource(TimeSpan.FromMilliseconds(500), time);
            try
            {
                await _leaf.ReadAsync(wait.Token);
                break;
            }
            catch (OperationCanceledException) when (tries < 60)
            {
                // The mirror is not there yet.
            }
        }

        await Task.Delay(500, stop);
        _leaf.Forget();
    }

    private async Task StartServerAsync(string directory, string name, int port, string more, CancellationToken stop)
    {
        var file = Path.Combine(directory, $"{name}.conf");
        await File.WriteAllTextAsync(
            file,
            $"server_name: {name}\nlisten: \"127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}\"\njetstream {{ store_dir: \"{Path.Combine(directory, name)}\", domain: {name} }}\n{more}\n", stop);
        _servers.Add(Servers.Start("nats-server", "-c", file));
        await Servers.ListensAsync(port, stop);
    }

    public async Task<(TimeSpan Acknowledged, TimeSpan Visible)> PutAsync(string key, byte[] value, CancellationToken stop)
    {
        var sent = time.GetTimestamp();
        await _hub!.AskAsync($"p.{key}", value, stop);
        var acknowledged = time.GetElapsedTime(sent);
        var (_, at) = await _leaf!.ReadAsync(stop);
        return (acknowledged, time.GetElapsedTime(sent, at));
    }

    public async ValueTask DisposeAsync()
    {
        await (_hub?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (_leaf?.DisposeAsync() ?? ValueTask.CompletedTask);
        await Servers.StopAsync(_servers);
    }
}
