using Microsoft.Extensions.Logging;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Hosting;

/// <summary>
/// A region's link to its upstream: where it pulls the log from and sends writes to. Everything of one link session ends
/// together when it is lost.
/// </summary>
internal sealed class UpstreamLink : IUpstream, IAsyncDisposable
{
    private readonly GatewayLink _link;
    private readonly WriteLink _writes;
    private SessionMerger? _merger;

    public UpstreamLink(GatewayLinkOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        _link = new(options, time, loggers);
        _writes = new(_link, options, time, loggers);
    }

    private sealed record SessionMerger(LinkSession Session, CommitMerger Merger);

    /// <summary>The session, or null while the link is down.</summary>
    public LinkSession? Session => _link.Current;

    /// <summary>Why the link is down, for people.</summary>
    public string Trouble => _link.Trouble;

    /// <summary>Merges commits of this region into calls to the upstream; null while the link is down.</summary>
    public CommitMerger? Merger
    {
        get
        {
            if (_writes.Current is not { } session)
            {
                return null;
            }

            var merger = Volatile.Read(ref _merger);
            if (merger is null || !ReferenceEquals(merger.Session, session))
            {
                merger = new(session, new(request => SendAsync(session, request)));
                Volatile.Write(ref _merger, merger);
            }

            return merger.Merger;
        }
    }

    private async Task<CommitManyAnswer> SendAsync(LinkSession session, CommitManyRequest request)
    {
        var answer = await session.Grains.GetGrain<ICommitGrain>(0).CommitMany(request).AsTask().WaitAsync(session.Lost);
        _writes.Learn(session, answer);
        return answer;
    }

    public void Start() => _link.Start();

    /// <inheritdoc/>
    public async ValueTask<UpstreamConnection> ConnectAsync(CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                var session = await _link.ConnectAsync(TimeSpan.FromMinutes(1), cancellation);
                return new(new GrainLogSource(session), new GrainSnapshotSource(session), session.Hello.Node, session.Gateway, session.Lost);
            }
            catch (QuicksilverException)
            {
                // Nobody answers yet; the link says why in the log.
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _writes.DisposeAsync();
        await _link.DisposeAsync();
    }
}
