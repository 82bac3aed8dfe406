using System.Threading.Channels;
using Etcdserverpb;
using Google.Protobuf;
using Grpc.Core;

namespace Quicksilver.Peers.Propagation;

/// <summary>Three members of etcd, fsync on; put through the leader, a watch on another member.</summary>
internal sealed class EtcdPropagator(TimeProvider time) : IPropagator
{
    private readonly EtcdPeer _peer = new();
    private readonly Channel<(string Key, long At)> _seen = Channel.CreateUnbounded<(string, long)>();
    private AsyncDuplexStreamingCall<WatchRequest, WatchResponse>? _watch;
    private Task _reading = Task.CompletedTask;

    public string Way => "put at the leader, watch on another member";

    public async Task StartAsync(string directory, CancellationToken stop)
    {
        await _peer.StartAsync(directory, stop);
        _watch = new Watch.WatchClient(_peer.Follower()).Watch(cancellationToken: stop);
        await _watch.RequestStream.WriteAsync(
            new() { CreateRequest = new() { Key = ByteString.CopyFromUtf8("p/"), RangeEnd = ByteString.CopyFromUtf8("p0") } }, stop);
        await _watch.ResponseStream.MoveNext(stop);
        _reading = ReadAsync(_watch.ResponseStream, stop);
    }

    private async Task ReadAsync(IAsyncStreamReader<WatchResponse> answers, CancellationToken stop)
    {
        while (await answers.MoveNext(stop))
        {
            var at = time.GetTimestamp();
            foreach (var change in answers.Current.Events)
            {
                _seen.Writer.TryWrite((change.Kv.Key.ToStringUtf8(), at));
            }
        }
    }

    public async Task<(TimeSpan Acknowledged, TimeSpan Visible)> PutAsync(string key, byte[] value, CancellationToken stop)
    {
        var sent = time.GetTimestamp();
        await _peer.Client.PutAsync(new() { Key = ByteString.CopyFromUtf8("p/" + key), Value = ByteString.CopyFrom(value) }, cancellationToken: stop);
        var acknowledged = time.GetElapsedTime(sent);
        var (seen, at) = await _seen.Reader.ReadAsync(stop);
        return seen == "p/" + key ? (acknowledged, time.GetElapsedTime(sent, at)) : throw new InvalidOperationException($"The watch shows {seen}.");
    }

    public async ValueTask DisposeAsync()
    {
        _watch?.Dispose();
        await _reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _peer.DisposeAsync();
    }
}
