using Microsoft.Extensions.Logging;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Hosting;

/// <summary>
/// A replica's link to its upstream: where it pulls the log from and sends writes to. Which of several it is <see cref="SourceChoice"/> says;
/// this does it. Everything of one link session ends together when it is lost.
/// </summary>
internal sealed partial class UpstreamLink : IUpstream, IAsyncDisposable
{
    private static readonly TimeSpan WatchPeriod = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LookTimeout = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly NodeId _self;
    private readonly Func<ClusterUuid> _cluster;
    private readonly Func<IReadOnlyList<string>> _candidates;
    private readonly SourceChoice _choice;
    private readonly GatewayLinkOptions _options;
    private readonly GatewayLink _link;
    private readonly WriteLink _writes;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private Task _watching = Task.CompletedTask;
    private SessionMerger? _merger;

    /// <param name="candidates">The gateways of all sources as they are known now, best first.</param>
    /// <param name="cluster">The cluster that this node's data belongs to.</param>
    public UpstreamLink(
        NodeId self, GatewayLinkOptions options, Func<IReadOnlyList<string>> candidates, Func<ClusterUuid> cluster, SourceOptions sources, Random random,
        TimeProvider time, ILoggerFactory loggers)
    {
        _self = self;
        _cluster = cluster;

        // As a link names them.
        _candidates = () => [.. candidates().Select(gateway => GatewayAddress.Parse(gateway).ToString())];
        _choice = new(sources, random);
        _choice.SetCandidates(_candidates());
        _options = options;
        _time = time;
        _loggers = loggers;
        _logger = loggers.CreateLogger<UpstreamLink>();
        _link = new(options, time, loggers, Order);
        _writes = new(_link, options, time, loggers, cluster);
    }

    private sealed record SessionMerger(LinkSession Session, CommitMerger Merger);

    /// <summary>The session, or null while the link is down.</summary>
    public LinkSession? Session => _link.Current;

    /// <summary>Why the link is down, for people.</summary>
    public string Trouble => _link.Trouble;

    /// <inheritdoc/>
    public int Others
    {
        get
        {
            lock (_gate)
            {
                return _choice.Others;
            }
        }
    }

    private TimeSpan Now => _time.GetElapsedTime(0);

    private IReadOnlyList<string> Order()
    {
        lock (_gate)
        {
            _choice.SetCandidates(_candidates());
            return _choice.Order(Now);
        }
    }

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
                merger = new(session, new(request => SendAsync(session, request), Traces.Forward));
                Volatile.Write(ref _merger, merger);
            }

            return merger.Merger;
        }
    }

    private async Task<CommitManyAnswer> SendAsync(LinkSession session, CommitManyRequest request)
    {
        var answer = await session.Grains.GetGrain<ICommitGrain>(0).CommitMany(request with { Cluster = _cluster() }).AsTask().WaitOrLeaveAsync(session);
        _writes.Learn(session, answer);
        return answer;
    }

    public void Start()
    {
        _link.Start();
        _watching = WatchAsync();
    }

    /// <inheritdoc/>
    public async ValueTask<UpstreamConnection> ConnectAsync(CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                var session = await _link.ConnectAsync(TimeSpan.FromMinutes(1), cancellation);
                lock (_gate)
                {
                    _choice.OnUp(session.Gateway, Now);
                }

                return new(new GrainLogSource(session), new GrainSnapshotSource(session), session.Hello.Node, session.Gateway, session.Lost);
            }
            catch (QuicksilverException)
            {
                // Nobody answers yet; the link says why in the log.
            }
        }
    }

    /// <inheritdoc/>
    public void Leave(UpstreamConnection connection, SourceFault fault, string why)
    {
        lock (_gate)
        {
            _choice.OnLeft(connection.Gateway, fault, Now);
        }

        Drop(connection.Lost);
    }

    private void Drop(CancellationToken lost)
    {
        if (_link.Current is { } session && session.Lost == lost)
        {
            _link.Drop(session);
        }
    }

    /// <inheritdoc/>
    public void Heard(UpstreamConnection connection, TimeSpan? age, Revision revision)
    {
        lock (_gate)
        {
            if (_choice.Current == connection.Gateway)
            {
                _choice.OnHeard(age, revision, Now);
            }
        }
    }

    /// <summary>Looks at others from time to time, and leaves the current source for one that was seen to be better.</summary>
    private async Task WatchAsync()
    {
        await Task.Yield();
        using var timer = new PeriodicTimer(WatchPeriod, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                LinkSession? session;
                string? look;
                lock (_gate)
                {
                    // In here: a link that came up in between has been told of by now, and must not be taken for lost.
                    session = _link.Current;
                    _choice.SetCandidates(_candidates());
                    if (session is null)
                    {
                        _choice.OnLost();
                    }

                    look = _choice.NextLook(Now);
                }

                if (look is not null && session is not null && await LookAsync(look, session))
                {
                    LogBetter(look, session.Gateway);

                    // The look is the proof: what that gateway did before must not send the link back to where it comes from.
                    _link.Drop(session, look);
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in order.
        }
    }

    private async Task<bool> LookAsync(string gateway, LinkSession current)
    {
        SourceDescription? seen = null;
        try
        {
            await using var link = new GatewayLink(_options with { Gateways = [gateway] }, _time, _loggers);
            link.Start();
            var session = await link.ConnectAsync(LookTimeout, _stop.Token);
            seen = await session.Grains.GetGrain<ILogSourceGrain>(session.Hello.Node.Value).Describe().AsTask().WaitOrLeaveAsync(LookTimeout, _time, _stop.Token);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Not a better one, or none to look at any more.
            LogNoLook(gateway, e.Message);
        }

        lock (_gate)
        {
            return _choice.Current == current.Gateway && _choice.OnDescribed(gateway, seen, _self, _cluster(), Now);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _watching;
        await _writes.DisposeAsync();
        await _link.DisposeAsync();
        _stop.Dispose();
    }

    [LoggerMessage(1, LogLevel.Information, "{Better} is a better source than {Current}.")]
    private partial void LogBetter(string better, string current);

    [LoggerMessage(2, LogLevel.Debug, "{Gateway} was looked at as a source and did not answer: {Why}")]
    private partial void LogNoLook(string gateway, string why);
}
