using Microsoft.Extensions.Logging;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// The way of writes. It begins as the link that reads take. Where an answer names another gateway, which needs not forward a write, writes
/// go there: measured twice the rate through the leader of a hub. Where a gateway has nobody to hand a write to, another of the configured
/// ones is tried. Whatever becomes of that, reads stay where they are, and writes come back to their link.
/// Invariant: a gateway is written through only after it said that it belongs to the cluster that named it. An address may mean another
/// process here than there.
/// Safe for concurrent use.
/// </summary>
public sealed partial class WriteLink : ILink
{
    /// <summary>How long a gateway may take to be there, and to say which cluster it is of.</summary>
    private static readonly TimeSpan OpenTimeout = TimeSpan.FromSeconds(5);

    /// <summary>A gateway that could not be used is not tried again for this long.</summary>
    private static readonly TimeSpan AvoidFor = TimeSpan.FromSeconds(30);

    /// <summary>A link that is not used any more is kept for this long: longer than any call that is on it may take.</summary>
    private static readonly TimeSpan KeepFor = TimeSpan.FromSeconds(15);

    private readonly ILink _reads;
    private readonly IReadOnlyList<string> _gateways;
    private readonly Func<string, ILink> _open;
    private readonly Func<LinkSession, Task<AnswerContext>> _ask;
    private readonly Func<ClusterUuid>? _own;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private readonly RetiredLinks _retired;
    private Followed? _followed;
    private (string Gateway, long At)? _avoided;
    private string? _named;
    private int _next;

    /// <summary>A gateway for writes. Its session is null until it is there and known to be of the cluster.</summary>
    private sealed class Followed(string gateway, ILink link)
    {
        private LinkSession? _session;

        public string Gateway { get; } = gateway;

        public ILink Link { get; } = link;

        public LinkSession? Session
        {
            get => Volatile.Read(ref _session);
            set => Volatile.Write(ref _session, value);
        }
    }

    /// <param name="reads">Where reads go; not disposed with this.</param>
    /// <param name="options">Those of <paramref name="reads"/>.</param>
    /// <param name="own">The cluster that writes are for, none where it is not known yet; null where the first to answer says it.</param>
    public WriteLink(ILink reads, GatewayLinkOptions options, TimeProvider time, ILoggerFactory loggers, Func<ClusterUuid>? own = null)
        : this(
            reads, options.Gateways,
            gateway =>
            {
                var link = new GatewayLink(options with { Gateways = [gateway] }, time, loggers);
                link.Start();
                return link;
            },
            session => session.Grains.GetGrain<IClusterGrain>(0).Ping().AsTask(), time, loggers.CreateLogger<WriteLink>(), own)
    {
    }

    /// <param name="reads">Where reads go; not disposed with this.</param>
    /// <param name="gateways">All that are configured.</param>
    /// <param name="open">Makes and starts a link to one gateway, which this owns.</param>
    /// <param name="ask">Asks a session whose it is.</param>
    internal WriteLink(
        ILink reads, IReadOnlyList<string> gateways, Func<string, ILink> open, Func<LinkSession, Task<AnswerContext>> ask, TimeProvider time, ILogger logger,
        Func<ClusterUuid>? own = null)
    {
        _own = own;
        _reads = reads;
        _gateways = gateways;
        _open = open;
        _ask = ask;
        _time = time;
        _logger = logger;
        _retired = new(KeepFor, time);
    }

    /// <inheritdoc/>
    public LinkSession? Current =>
        Volatile.Read(ref _followed)?.Session is { } session && !session.Lost.IsCancellationRequested ? session : _reads.Current;

    /// <inheritdoc/>
    public ValueTask<LinkSession> ConnectAsync(TimeSpan timeout, CancellationToken cancellation) =>
        Current is { } session ? new(session) : _reads.ConnectAsync(timeout, cancellation);

    /// <summary>To be told every answer to a write, and whose it was.</summary>
    public void Learn(LinkSession from, CommitManyAnswer answer)
    {
        if (_own?.Invoke() is { IsNone: false } own && !answer.Context.Cluster.IsNone && answer.Context.Cluster != own)
        {
            // An address that leads to another cluster by now: what it says of gateways is not for these writes.
            if (Volatile.Read(ref _followed) is { } foreign && foreign.Session == from)
            {
                Leave();
            }

            return;
        }

        if (Array.Exists(answer.Outcomes, outcome => outcome.Kind == CommitKind.Unavailable))
        {
            OnNobody(from, answer.Context.Cluster);
        }
        else if (answer.Context.WriteGateway is { } gateway)
        {
            OnNamed(from, gateway, answer.Context.Cluster);
        }
    }

    private void OnNamed(LinkSession from, string gateway, ClusterUuid cluster)
    {
        if (!GatewayAddress.TryParse(gateway, out _))
        {
            // Whatever it means there, here it is nowhere to go; and the answer that came with it must be heard.
            return;
        }

        if (!Is(from, gateway))
        {
            // Whoever writes once needs no second link.
            if (Interlocked.Exchange(ref _named, gateway) == gateway)
            {
                Follow(gateway, cluster);
            }
        }
        else if (Volatile.Read(ref _followed) is { Session: var followed } && followed != from)
        {
            // The gateway of reads is the one itself.
            Leave();
        }
    }

    private void OnNobody(LinkSession from, ClusterUuid cluster)
    {
        if (Volatile.Read(ref _followed) is { Session: not { Lost.IsCancellationRequested: true } } followed)
        {
            if (followed.Session == from)
            {
                Leave();
            }

            return;
        }

        for (var i = 0; i < _gateways.Count; i++)
        {
            var gateway = _gateways[(int)((uint)Interlocked.Increment(ref _next) % (uint)_gateways.Count)];
            if (!Is(from, gateway))
            {
                Follow(gateway, cluster);
                return;
            }
        }
    }

    private static bool Is(LinkSession session, string gateway) => session.Gateway == gateway || (session.Hello.Gateways is [var own, ..] && own == gateway);

    private void Follow(string gateway, ClusterUuid cluster)
    {
        Followed next;
        lock (_gate)
        {
            if (_stop.IsCancellationRequested || cluster.IsNone || IsAvoided(gateway)
                || (_followed is { } followed && followed.Gateway == gateway && followed.Session is null or { Lost.IsCancellationRequested: false }))
            {
                return;
            }

            Retire(_followed);
            next = new(gateway, _open(gateway));
            Volatile.Write(ref _followed, next);
        }

        _ = OpenAsync(next, cluster);
    }

    private bool IsAvoided(string gateway) => _avoided is { } avoided && avoided.Gateway == gateway && _time.GetElapsedTime(avoided.At) < AvoidFor;

    private async Task OpenAsync(Followed followed, ClusterUuid cluster)
    {
        string why;
        try
        {
            var session = await followed.Link.ConnectAsync(OpenTimeout, _stop.Token).ConfigureAwait(false);
            var context = await _ask(session).WaitOrLeaveAsync(OpenTimeout, _time, _stop.Token).ConfigureAwait(false);
            if (context.Cluster == cluster)
            {
                followed.Session = session;
                LogFollowing(followed.Gateway);
                return;
            }

            why = $"it belongs to cluster {context.Cluster}, not {cluster}";
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            why = e.Message;
        }

        lock (_gate)
        {
            _avoided = (followed.Gateway, _time.GetTimestamp());
            if (_followed == followed)
            {
                Leave();
            }
        }

        if (!_stop.IsCancellationRequested)
        {
            LogNotFollowing(followed.Gateway, why);
        }
    }

    private void Leave()
    {
        lock (_gate)
        {
            Retire(_followed);
            Volatile.Write(ref _followed, null);
        }
    }

    private void Retire(Followed? followed)
    {
        if (followed is not null)
        {
            _retired.Add(followed.Link);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        Leave();
        await _retired.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    [LoggerMessage(1, LogLevel.Debug, "Writes go through {Gateway}.")]
    private partial void LogFollowing(string gateway);

    [LoggerMessage(2, LogLevel.Information, "Writes do not go through {Gateway}, which was named for them: {Why}")]
    private partial void LogNotFollowing(string gateway, string why);
}
