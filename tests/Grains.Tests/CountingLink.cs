using System.Collections.Concurrent;
using System.Text;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains.Tests;

/// <summary>A link as it is, how often a get of each key was sent over its sessions, and how many of these were lost.</summary>
internal sealed class CountingLink(ILink inner) : ILink
{
    private readonly ConcurrentDictionary<string, int> _sent = new();
    private readonly Lock _gate = new();
    private readonly HashSet<CancellationToken> _seen = [];
    private LinkSession? _latest;
    private int _losses;

    public LinkSession? Current => inner.Current is { } session ? Count(session) : null;

    /// <summary>How often a get of the key was sent since the last call of this for it.</summary>
    public int TakeSent(string key) => _sent.TryRemove(key, out var sent) ? sent : 0;

    /// <summary>How many sessions were lost since the last call of this, and not left for a better one while they worked. One counts when the next is there.</summary>
    public int TakeLosses() => Interlocked.Exchange(ref _losses, 0);

    public async ValueTask<LinkSession> ConnectAsync(TimeSpan timeout, CancellationToken cancellation) => Count(await inner.ConnectAsync(timeout, cancellation));

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private LinkSession Count(LinkSession session)
    {
        lock (_gate)
        {
            if (_seen.Add(session.Lost))
            {
                if (_latest is { Lost.IsCancellationRequested: true })
                {
                    Interlocked.Increment(ref _losses);
                }

                _latest = session;
            }
        }

        return session with { Node = new Calls(session.Node, this) };
    }

    private void Note(Payload keys)
    {
        var reader = new ByteReader(keys.Span);
        for (var left = ReadBlocks.ReadKeyCount(ref reader); left > 0; left--)
        {
            _sent.AddOrUpdate(Encoding.UTF8.GetString(ReadBlocks.ReadKey(ref reader)), 1, static (_, sent) => sent + 1);
        }
    }

    private sealed class Calls(INodeCalls node, CountingLink link) : INodeCalls
    {
        public ValueTask<GetManyAnswer> GetManyAsync(ShardId shard, GetManyRequest request, CancellationToken cancellation)
        {
            link.Note(request.Keys);
            return node.GetManyAsync(shard, request, cancellation);
        }

        public ValueTask<AnswerContext> PingAsync() => node.PingAsync();

        public ValueTask<ResolveAnswer> ResolveAsync(KeyspaceName name, ReadRequirement requirement, CancellationToken cancellation) =>
            node.ResolveAsync(name, requirement, cancellation);

        public ValueTask<ListKeyspacesAnswer> ListKeyspacesAsync(ListKeyspacesRequest request, CancellationToken cancellation) =>
            node.ListKeyspacesAsync(request, cancellation);

        public ValueTask<ScanAnswer> ScanAsync(KeyspaceId keyspace, ScanRequest request, CancellationToken cancellation) => node.ScanAsync(keyspace, request, cancellation);

        public ValueTask<WatchAnswer> WatchAsync(KeyspaceId keyspace, WatchRequest request, CancellationToken cancellation) =>
            node.WatchAsync(keyspace, request, cancellation);

        public ValueTask<CommitManyAnswer> CommitAsync(ShardId shard, CommitManyRequest request, CancellationToken cancellation) =>
            node.CommitAsync(shard, request, cancellation);

        public ValueTask<CommitManyAnswer> CommitKeyspacesAsync(CommitManyRequest request, CancellationToken cancellation) =>
            node.CommitKeyspacesAsync(request, cancellation);
    }
}
