using System.Diagnostics;
using Etcdserverpb;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Quicksilver.Load;

namespace Quicksilver.Peers;

/// <summary>Three members of etcd on loopback, as they come: every write is synced by a majority. Asked through their leader.</summary>
internal sealed class EtcdPeer : IPeer
{
    private readonly List<Process> _servers = [];
    private List<int> _ports = [];
    private GrpcChannel? _channel;
    private KV.KVClient? _client;

    public IReadOnlyList<string> Ways { get; } = ["leader"];

    /// <summary>Asks the leader.</summary>
    public KV.KVClient Client => _client!;

    /// <summary>Ids of the members' processes.</summary>
    public List<int> Processes => _servers.ConvertAll(server => server.Id);

    /// <summary>A way to a member that does not lead.</summary>
    public GrpcChannel Follower() => GrpcChannel.ForAddress($"http://127.0.0.1:{_ports.First(port => $"127.0.0.1:{port}" != _channel!.Target)}");

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        var ports = Servers.FreePorts(6);
        var cluster = string.Join(',', Enumerable.Range(0, 3).Select(i => $"e{i}=http://127.0.0.1:{ports[i]}"));
        for (var i = 0; i < 3; i++)
        {
            _servers.Add(Servers.Start(
                "etcd",
                "--name", $"e{i}", "--data-dir", Path.Combine(directory, $"e{i}"), "--log-level", "error", "--quota-backend-bytes", "4294967296",
                "--listen-peer-urls", $"http://127.0.0.1:{ports[i]}", "--initial-advertise-peer-urls", $"http://127.0.0.1:{ports[i]}",
                "--listen-client-urls", $"http://127.0.0.1:{ports[3 + i]}", "--advertise-client-urls", $"http://127.0.0.1:{ports[3 + i]}",
                "--initial-cluster", cluster, "--initial-cluster-state", "new"));
        }

        _ports = [.. ports.Skip(3)];
        _channel = await LeaderAsync(_ports, stop);
        _client = new(_channel);
    }

    private static async Task<GrpcChannel> LeaderAsync(IReadOnlyList<int> ports, CancellationToken stop)
    {
        for (var tries = 0; ; tries++)
        {
            foreach (var port in ports)
            {
                var channel = GrpcChannel.ForAddress($"http://127.0.0.1:{port}", new()
                {
                    HttpHandler = new SocketsHttpHandler { EnableMultipleHttp2Connections = true },
                });
                try
                {
                    var status = await new Maintenance.MaintenanceClient(channel).StatusAsync(new(), cancellationToken: stop);
                    if (status.Leader == status.Header.MemberId)
                    {
                        return channel;
                    }
                }
                catch (RpcException) when (tries < 200)
                {
                    // Not there yet.
                }

                channel.Dispose();
            }

            await Task.Delay(100, stop);
        }
    }

    public Operation Put(string way) => async (random, _) =>
    {
        await _client!.PutAsync(new() { Key = ByteString.CopyFrom(Sizes.Key(random)), Value = ByteString.CopyFrom(Sizes.Value(random)) });
        return "put";
    };

    public Operation Transaction(string way) => async (random, _) =>
    {
        var request = new TxnRequest();
        foreach (var key in Sizes.DistinctKeys(random))
        {
            request.Success.Add(new RequestOp { RequestPut = new() { Key = ByteString.CopyFrom(key), Value = ByteString.CopyFrom(Sizes.Value(random)) } });
        }

        var answer = await _client!.TxnAsync(request);
        return answer.Succeeded ? "transaction" : throw new InvalidOperationException("etcd refused a transaction without conditions.");
    };

    public long LargestResidentBytes() => _servers.Max(server => Sizes.ResidentBytes(server.Id));

    public async ValueTask DisposeAsync()
    {
        _channel?.Dispose();
        await Servers.StopAsync(_servers);
    }
}
