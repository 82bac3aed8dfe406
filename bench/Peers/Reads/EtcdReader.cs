using Etcdserverpb;
using Google.Protobuf;
using Grpc.Net.Client;
using Quicksilver.Load;

namespace Quicksilver.Peers.Reads;

/// <summary>Three members of etcd, fsync on; serializable reads, which a member that does not lead answers from what it has.</summary>
internal sealed class EtcdReader(ReadKeys keys, TimeProvider time) : IReadPeer
{
    private readonly EtcdPeer _peer = new();
    private ByteString[] _keys = [];
    private GrpcChannel? _channel;
    private KV.KVClient? _follower;

    public string Way => "serializable range, and transaction of them, at one of three members that does not lead, one channel";

    public IReadOnlyList<int> Processes => _peer.Processes;

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        await _peer.StartAsync(directory, stop);
        _channel = _peer.Follower();
        _follower = new(_channel);
        _keys = Array.ConvertAll(keys.All, key => UnsafeByteOperations.UnsafeWrap(key));
        await keys.FillAsync(
            callers: 32,
            async (first, values, cancellation) =>
            {
                var request = new TxnRequest();
                for (var i = 0; i < values.Length; i++)
                {
                    request.Success.Add(new RequestOp { RequestPut = new() { Key = _keys[first + i], Value = UnsafeByteOperations.UnsafeWrap(values[i]) } });
                }

                if (!(await _peer.Client.TxnAsync(request, cancellationToken: cancellation)).Succeeded)
                {
                    throw new InvalidOperationException("etcd refused a transaction without conditions.");
                }
            },
            stop);

        // A member applies in order: when it has what was put last, it has everything.
        var filled = ByteString.CopyFromUtf8("filled");
        await _peer.Client.PutAsync(new() { Key = filled, Value = filled }, cancellationToken: stop);
        while ((await _follower.RangeAsync(new() { Key = filled, Serializable = true }, cancellationToken: stop)).Kvs.Count == 0)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(100), time, stop);
        }
    }

    public Operation Get(Func<Random, int> choose) => async (random, _) =>
    {
        Check(await _follower!.RangeAsync(new() { Key = _keys[choose(random)], Serializable = true }));
        return "get";
    };

    public Operation? GetMany(Func<Random, int> choose) => async (random, _) =>
    {
        var request = new TxnRequest();
        for (var i = 0; i < ReadKeys.PerCall; i++)
        {
            request.Success.Add(new RequestOp { RequestRange = new() { Key = _keys[choose(random)], Serializable = true } });
        }

        var answer = await _follower!.TxnAsync(request);
        foreach (var response in answer.Responses)
        {
            Check(response.ResponseRange);
        }

        return answer.Responses.Count == ReadKeys.PerCall ? "multi-get" : throw new InvalidOperationException($"A transaction ended with {answer.Responses.Count} answers.");
    };

    private static void Check(RangeResponse answer)
    {
        if (answer.Kvs.Count != 1 || answer.Kvs[0].Value.Length != Sizes.ValueBytes)
        {
            throw ReadKeys.Wrong(answer.Kvs.Count == 0 ? null : answer.Kvs[0].Value.Length);
        }
    }

    public Operation? Put(Func<Random, int> choose) => null;

    public async ValueTask DisposeAsync()
    {
        _channel?.Dispose();
        await _peer.DisposeAsync();
    }
}
