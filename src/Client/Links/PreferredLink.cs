using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// The way of a client that has several gateways: to the first of them, in order of preference, whose node answers and is ready. It hands out no
/// session before its node was asked how it is, and asks again from time to time. From a gateway that is not the best it goes back as soon as a
/// better one is there again, and it leaves a node that is not ready any more: over a second link, which is up before the first one is left, so that
/// no call ends by it.
/// Invariant: it never leaves a session that works unless it has another one, of the same cluster, whose node says that it is ready. Where none is
/// ready, or none was found in a short time, the first that answers is better than nothing.
/// Safe for concurrent use. Owns one loop, from <see cref="Start"/> to <see cref="DisposeAsync"/>.
/// </summary>
internal sealed partial class PreferredLink : ILink
{
    /// <summary>How often the node is asked how it is.</summary>
    private static readonly TimeSpan AskPeriod = TimeSpan.FromSeconds(5);

    /// <summary>How long it may take to say so.</summary>
    private static readonly TimeSpan AskTimeout = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How long a session is held back whose node has not said that it is ready, while others are tried. Beyond it, it is handed out, and the search goes
    /// on: shorter than the deadline of a call, or calls would fail that could be answered.
    /// </summary>
    private static readonly TimeSpan HoldBackFor = TimeSpan.FromSeconds(3);

    /// <summary>
    /// As <see cref="HoldBackFor"/>, where the node has said that it is not ready: it may have nothing yet, and to say so would be a wrong answer, so there
    /// is more time for another. Shorter than the default deadline still.
    /// </summary>
    private static readonly TimeSpan HoldBackUnreadyFor = TimeSpan.FromSeconds(6);

    /// <summary>How long a gateway that says hello may take to be there.</summary>
    private static readonly TimeSpan OpenTimeout = TimeSpan.FromSeconds(5);

    /// <summary>A gateway whose node was not ready, or of another cluster, is not looked at again for this long, and comes last until then.</summary>
    private static readonly TimeSpan AvoidFor = TimeSpan.FromSeconds(30);

    /// <summary>A link that was left is kept for this long: longer than any call that is on it may take.</summary>
    private static readonly TimeSpan KeepFor = TimeSpan.FromSeconds(15);

    /// <summary>Pause after what must not happen.</summary>
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(1);

    private readonly string[] _gateways;
    private readonly ReturnTimes _returns;
    private readonly TimeSpan _askPeriod;
    private readonly Func<Func<IReadOnlyList<string>>, ILink> _open;
    private readonly Func<string, CancellationToken, Task<bool>> _answers;
    private readonly Func<LinkSession, Task<NodeHealth>> _ask;
    private readonly Func<ClusterUuid> _own;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly SessionSlot _slot;
    private readonly RetiredLinks _retired;
    private readonly ConcurrentDictionary<string, long> _avoided = new();
    private Held? _held;
    private string? _saidNotReady;
    private Task _loop = Task.CompletedTask;

    /// <param name="options">Its gateways, in order of preference.</param>
    /// <param name="returnAfter">How long it stays with a gateway before it looks whether a better one is there, and between two looks: about.</param>
    /// <param name="own">The cluster that the client is of; none where it does not know yet.</param>
    /// <param name="random">For when it looks; owned by this.</param>
    public PreferredLink(GatewayLinkOptions options, TimeSpan returnAfter, Func<ClusterUuid> own, Random random, TimeProvider time, ILoggerFactory loggers)
        : this(
            options.Gateways, returnAfter,
            order =>
            {
                var link = new GatewayLink(options, time, loggers, order);
                link.Start();
                return link;
            },
            async (gateway, stop) =>
            {
                var address = GatewayAddress.Parse(gateway);
                return (await GatewayProbe.AskAsync(address.Host, address.Port, options.ProbeTimeout, time, stop).ConfigureAwait(false)).Result == ProbeResult.Quicksilver;
            },
            new HealthQuestion(
                static session => session.Grains.GetGrain<IClusterGrain>(0).Health().AsTask(), static session => session.Node.PingAsync().AsTask(), time).AskAsync,
            own, random, time, loggers.CreateLogger<PreferredLink>())
    {
    }

    /// <param name="open">Makes and starts a link, which this owns, over the gateways that it is told of before each try, best first.</param>
    /// <param name="answers">Whether a gateway says hello.</param>
    /// <param name="ask">Asks the node of a session how it is.</param>
    internal PreferredLink(
        IReadOnlyList<string> gateways, TimeSpan returnAfter, Func<Func<IReadOnlyList<string>>, ILink> open, Func<string, CancellationToken, Task<bool>> answers,
        Func<LinkSession, Task<NodeHealth>> ask, Func<ClusterUuid> own, Random random, TimeProvider time, ILogger logger)
    {
        // As a link names them.
        _gateways = [.. gateways.Select(gateway => GatewayAddress.Parse(gateway).ToString()).Distinct()];
        _returns = new(returnAfter, random, time);
        _askPeriod = returnAfter < AskPeriod ? returnAfter : AskPeriod;
        _open = open;
        _answers = answers;
        _ask = ask;
        _own = own;
        _time = time;
        _logger = logger;
        _slot = new(time);
        _retired = new(KeepFor, time);
    }

    /// <summary>A link and the gateways that it may go to.</summary>
    private sealed class Held
    {
        private string? _only;
        private bool _isRetired;
        private ILink? _link;

        /// <summary>Set before anybody asks for it.</summary>
        public ILink Link
        {
            get => _link!;
            set => _link = value;
        }

        /// <summary>True once it is kept for the calls that are on it only: it goes to no gateway any more.</summary>
        public bool IsRetired
        {
            get => Volatile.Read(ref _isRetired);
            set => Volatile.Write(ref _isRetired, value);
        }

        /// <summary>The one gateway that it is to go to; null: all.</summary>
        public string? Only
        {
            get => Volatile.Read(ref _only);
            set => Volatile.Write(ref _only, value);
        }
    }

    /// <summary>A link that is up, and its session, whose node has said that it is ready.</summary>
    private sealed record Better(Held Held, LinkSession Session);

    /// <inheritdoc/>
    public LinkSession? Current => _slot.Current;

    /// <summary>Begins to look for a gateway; once.</summary>
    public void Start()
    {
        _held = Open(null);
        _loop = RunAsync(_held);
    }

    private Held Open(string? only)
    {
        var held = new Held { Only = only };
        held.Link = _open(() => OrderOf(held));
        return held;
    }

    private string[] OrderOf(Held held)
    {
        if (held.IsRetired)
        {
            return [];
        }

        return held.Only is { } one ? [one] : Order();
    }

    private string[] Order() => [.. _gateways.Where(gateway => !IsAvoided(gateway)), .. _gateways.Where(IsAvoided)];

    private bool IsAvoided(string gateway) => _avoided.TryGetValue(gateway, out var at) && _time.GetElapsedTime(at) < AvoidFor;

    /// <inheritdoc/>
    public ValueTask<LinkSession> ConnectAsync(TimeSpan timeout, CancellationToken cancellation) =>
        Current is { } session ? new(session) : WaitAsync(timeout, cancellation);

    private async ValueTask<LinkSession> WaitAsync(TimeSpan timeout, CancellationToken cancellation)
    {
        try
        {
            return await _slot.WaitAsync(timeout, cancellation).ConfigureAwait(false);
        }
        catch (TimeoutException e)
        {
            if (Volatile.Read(ref _held) is not { } held)
            {
                throw new QuicksilverException(QuicksilverErrorCode.Unavailable, "The client has not begun to look for a gateway.", WriteOutcome.NotCommitted, e);
            }

            if (held.Link.Current is null)
            {
                // It says what is wrong.
                await held.Link.ConnectAsync(TimeSpan.Zero, cancellation).ConfigureAwait(false);
            }

            // Not the session that is held back: the time is over, and a write that is sent now could only end as unknown.
            throw new QuicksilverException(
                QuicksilverErrorCode.Unavailable, "A gateway answers, but no node has said in time that it is ready. Try again, with a longer deadline where this one is short.",
                WriteOutcome.NotCommitted, e);
        }
    }

    private async Task RunAsync(Held held)
    {
        await Task.Yield();
        try
        {
            Better? better = null;
            while (true)
            {
                better = await TryAsync(held, better).ConfigureAwait(false);
                if (better is not null)
                {
                    // Order matters: nobody new gets the old session when its link begins to go.
                    _slot.Set(better.Session);
                    _returns.OnReturned(better.Session.Gateway);
                    held.IsRetired = true;
                    _retired.Add(held.Link);
                    held = better.Held;
                    Volatile.Write(ref _held, held);
                }
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException && _stop.IsCancellationRequested)
        {
            // Stopped in order, whatever was on its way.
        }
    }

    private async Task<Better?> TryAsync(Held held, Better? before)
    {
        try
        {
            var session = before?.Session ?? await NextAsync(held).ConfigureAwait(false);
            return await StayAsync(session, isKnown: before is not null).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException && !_stop.IsCancellationRequested)
        {
            // Whatever it is: without the loop there would never be another session. It begins with that of the link again.
            LogFailed(e);
            await Task.Delay(AfterFailure, _time, _stop.Token).ConfigureAwait(false);
            return null;
        }
    }

    private async Task<LinkSession> NextAsync(Held held)
    {
        while (true)
        {
            try
            {
                return await held.Link.ConnectAsync(TimeSpan.FromMinutes(1), _stop.Token).ConfigureAwait(false);
            }
            catch (QuicksilverException)
            {
                // Nobody answers yet; the link says why in the log.
            }
        }
    }

    /// <summary>Hands out a session until it is lost, which is null, or there is a better one.</summary>
    /// <param name="isKnown">Whether it is handed out already, and was asked just now.</param>
    private async Task<Better?> StayAsync(LinkSession session, bool isKnown)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(session.Lost, _stop.Token);
        var came = _time.GetTimestamp();
        var lookAfter = _returns.NextLook();
        if (isKnown)
        {
            await Task.Delay(_askPeriod, _time, ended.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        for (var looked = came; !ended.IsCancellationRequested && !session.Lost.IsCancellationRequested;)
        {
            var health = await HealthOfAsync(session, AskTimeout, ended.Token).ConfigureAwait(false);
            if (health is null && _slot.Current != session)
            {
                // The first question to a node may be a slow one, and what is handed out unseen may be an empty region.
                health = await HealthOfAsync(session, HoldBackFor - AskTimeout, ended.Token).ConfigureAwait(false);
            }

            var problem = health is null ? null : Heed(session, health);
            if (problem is not null || _time.GetElapsedTime(looked) >= lookAfter)
            {
                (looked, lookAfter) = (_time.GetTimestamp(), _returns.NextLook());
                var search = FindBetterAsync(session, problem is null, ended.Token);
                await HoldBackAsync(session, came, problem is null ? HoldBackFor : HoldBackUnreadyFor, search, ended.Token).ConfigureAwait(false);
                if (await search.ConfigureAwait(false) is { } better)
                {
                    return better;
                }
            }

            HandOut(session, ended.Token);
            var untilLook = lookAfter - _time.GetElapsedTime(looked);
            await Task.Delay(untilLook > TimeSpan.Zero && untilLook < _askPeriod ? untilLook : _askPeriod, _time, ended.Token)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        _stop.Token.ThrowIfCancellationRequested();
        _returns.OnLost(session.Gateway);
        return null;
    }

    /// <summary>Waits for a search, as long as it is worth it to hand out nothing meanwhile.</summary>
    private async Task HoldBackAsync(LinkSession session, long came, TimeSpan longest, Task search, CancellationToken stop)
    {
        if (_slot.Current == session)
        {
            return;
        }

        var left = longest - _time.GetElapsedTime(came);
        await Task.WhenAny(search, Task.Delay(left > TimeSpan.Zero ? left : TimeSpan.Zero, _time, stop)).ConfigureAwait(false);
        if (!search.IsCompleted)
        {
            HandOut(session, stop);
        }
    }

    private void HandOut(LinkSession session, CancellationToken ended)
    {
        if (_slot.Current != session && !ended.IsCancellationRequested)
        {
            _slot.Set(session);
        }
    }

    /// <summary>How the node of the session says that it is; null where it did not say.</summary>
    private async Task<NodeHealth?> HealthOfAsync(LinkSession session, TimeSpan limit, CancellationToken stop)
    {
        try
        {
            return await _ask(session).WaitOrLeaveAsync(limit, _time, stop).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Whether it is lost the heartbeat finds out.
            return null;
        }
    }

    /// <summary>Why the node of the session that is used should not be; null where it may.</summary>
    private string? Heed(LinkSession session, NodeHealth health)
    {
        var problem = ProblemOf(health);
        if (problem is null)
        {
            _avoided.TryRemove(session.Gateway, out _);
            _saidNotReady = null;
            return null;
        }

        Avoid(session.Gateway);
        if (_saidNotReady != problem)
        {
            // Once, not each time that it is asked.
            _saidNotReady = problem;
            LogNotReady(session.Gateway, problem);
        }

        return problem;
    }

    private string? ProblemOf(NodeHealth health) => _own() is { IsNone: false } own && !health.Context.Cluster.IsNone && health.Context.Cluster != own
        ? $"it belongs to cluster {health.Context.Cluster}, and this client to {own}"
        : health.NotReady;

    private void Avoid(string gateway) => _avoided[gateway] = _time.GetTimestamp();

    /// <summary>A link to a gateway that is better than that of the session: one before it, or any where its node is not ready. Null where there is none.</summary>
    private async Task<Better?> FindBetterAsync(LinkSession session, bool isReady, CancellationToken stop)
    {
        var rank = _gateways.TakeWhile(gateway => gateway != session.Gateway).Count();
        var candidates = _gateways.Where((gateway, i) => i != rank && !IsAvoided(gateway) && (!isReady || (i < rank && _returns.MayReturn(gateway)))).ToList();
        var answers = await Task.WhenAll(candidates.Select(gateway => AnswersAsync(gateway, stop))).ConfigureAwait(false);
        for (var i = 0; i < candidates.Count && !stop.IsCancellationRequested; i++)
        {
            if (answers[i] && await TryOpenAsync(candidates[i], stop).ConfigureAwait(false) is { } better)
            {
                LogBetter(candidates[i], session.Gateway);
                return better;
            }
        }

        return null;
    }

    private async Task<bool> AnswersAsync(string gateway, CancellationToken stop)
    {
        try
        {
            return await _answers(gateway, stop).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>A link to one gateway, up, and from then on free to go to any; null where its node is not ready or cannot be asked.</summary>
    private async Task<Better?> TryOpenAsync(string gateway, CancellationToken stop)
    {
        var held = Open(gateway);
        string why;
        try
        {
            var session = await held.Link.ConnectAsync(OpenTimeout, stop).ConfigureAwait(false);
            if (ProblemOf(await _ask(session).WaitOrLeaveAsync(AskTimeout, _time, stop).ConfigureAwait(false)) is not { } problem)
            {
                _avoided.TryRemove(gateway, out _);
                held.Only = null;
                return new(held, session);
            }

            why = problem;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            why = e.Message;
        }

        if (!stop.IsCancellationRequested)
        {
            Avoid(gateway);
            LogNotBetter(gateway, why);
        }

        // Not waited for: it takes seconds, and the current session may be lost.
        held.IsRetired = true;
        _retired.AddUnused(held.Link);
        return null;
    }

    public async ValueTask DisposeAsync()
    {
        if (_stop.IsCancellationRequested)
        {
            return;
        }

        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        if (_held is { } held)
        {
            await held.Link.DisposeAsync().ConfigureAwait(false);
        }

        await _retired.DisposeAsync().ConfigureAwait(false);
        _slot.Close(new ObjectDisposedException(nameof(PreferredLink)));
        _stop.Dispose();
    }
}
