using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>A link that is up: to the node behind one gateway, over one Orleans client, or to a node in this process.</summary>
/// <param name="Node">What can be asked of the node.</param>
/// <param name="Gateway">The gateway's address; for people where there is none.</param>
/// <param name="Lost">
/// Cancelled when the link is known to be lost. Every call must be bound to it: Orleans lets calls in flight hang to their
/// time-out when a gateway dies.
/// </param>
public sealed record LinkSession(INodeCalls Node, GatewayHello Hello, string Gateway, CancellationToken Lost)
{
    /// <summary>The grains behind the gateway, for what is asked of nodes and not by applications. Throws where the node is in this process: it has none.</summary>
    public IGrainFactory Grains => (Node as GrainCalls)?.Grains ?? throw new InvalidOperationException($"There are no grains behind {Gateway}.");

    /// <inheritdoc/>
    public override string ToString() => Gateway;
}

/// <summary>
/// Keeps one link to one of several gateways: asks who they are, connects to the first that answers, watches it by heartbeat,
/// and starts over when it is lost. Each session has an Orleans client of its own, in a nested host, so nothing of a lost one
/// lives on. Owns one loop, from <see cref="Start"/> to <see cref="DisposeAsync"/>.
/// </summary>
public sealed partial class GatewayLink : ILink, IAsyncDisposable
{
    /// <summary>A session that nobody ended and that did not live this long was no good: its gateway would be chosen again at once, and again.</summary>
    private static readonly TimeSpan MinLife = TimeSpan.FromSeconds(2);

    /// <summary>How long the Orleans client of a session may take to stop, and again to be disposed.</summary>
    private static readonly TimeSpan CloseTimeout = TimeSpan.FromSeconds(2);

    private readonly GatewayLinkOptions _options;
    private readonly Func<IReadOnlyList<string>> _order;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private readonly SessionSlot _slot;
    private readonly GatewayChoice _choice;
    private string _trouble = "not started";
    private bool _wrongCounterpart;
    private bool _saidNobody;
    private string? _saidFailed;
    private Task _loop = Task.CompletedTask;
    private Task _closing = Task.CompletedTask;
    private CancellationTokenSource? _held;
    private bool _isDropped;
    private bool _isStarted;

    /// <summary>Makes a link, which does nothing until it is started. Throws <see cref="ArgumentException"/> where the options are not usable.</summary>
    /// <param name="order">The gateways that may be tried now, best first; asked before each try. Null: all of the options.</param>
    public GatewayLink(GatewayLinkOptions options, TimeProvider time, ILoggerFactory loggers, Func<IReadOnlyList<string>>? order = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(time);
        ArgumentNullException.ThrowIfNull(loggers);
        if (options.Problem() is { } problem)
        {
            throw new ArgumentException($"The options of the link are not usable: {problem}.", nameof(options));
        }

        _options = options;
        _order = order ?? (() => options.Gateways);
        _time = time;
        _slot = new(time);
        _choice = new(options.PreferenceGrace, time);
        _loggers = loggers;
        _logger = loggers.CreateLogger<GatewayLink>();
    }

    /// <summary>The session, or null while there is none.</summary>
    public LinkSession? Current => _slot.Current;

    /// <summary>Why there is no session, for people.</summary>
    public string Trouble => Volatile.Read(ref _trouble);

    /// <summary>Begins to look for a gateway. Throws <see cref="InvalidOperationException"/> the second time: there is one loop.</summary>
    public void Start()
    {
        ObjectDisposedException.ThrowIf(_stop.IsCancellationRequested, this);
        if (Interlocked.Exchange(ref _isStarted, true))
        {
            throw new InvalidOperationException("The link was started before.");
        }

        _loop = RunAsync();
    }

    /// <summary>
    /// Waits for a session. Throws <see cref="QuicksilverException"/> when <paramref name="timeout"/> passes first: NotAGateway
    /// where something else answers at every address, else Unavailable. Throws <see cref="ObjectDisposedException"/> once it is closed.
    /// </summary>
    public async ValueTask<LinkSession> ConnectAsync(TimeSpan timeout, CancellationToken cancellation)
    {
        if (Current is { } current)
        {
            return current;
        }

        try
        {
            return await _slot.WaitAsync(timeout, cancellation).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new QuicksilverException(
                Volatile.Read(ref _wrongCounterpart) ? QuicksilverErrorCode.NotAGateway : QuicksilverErrorCode.Unavailable,
                $"No Quicksilver gateway answers: {Trouble}. Check the addresses ({string.Join(", ", _options.Gateways)}) and that the cluster is running.",
                WriteOutcome.NotCommitted);
        }
    }

    /// <summary>Gives up a session, where it is still the one; the next gateway is chosen anew.</summary>
    /// <param name="preferred">A gateway that was just seen to be usable: it is not avoided for what it did before. Null where there is none.</param>
    public void Drop(LinkSession session, string? preferred = null)
    {
        ArgumentNullException.ThrowIfNull(session);
        CancellationTokenSource? held;
        lock (_gate)
        {
            held = Current == session ? _held : null;
            _isDropped |= held is not null;
            if (preferred is not null)
            {
                _choice.OnProven(preferred);
            }
        }

        if (held is not null)
        {
            _ = CancelAsync(held);
        }
    }

    private async Task RunAsync()
    {
        await Task.Yield();
        try
        {
            while (true)
            {
                var began = _time.GetTimestamp();
                try
                {
                    await TryAsync().ConfigureAwait(false);
                }
                catch (Exception e) when (e is not OutOfMemoryException && !_stop.IsCancellationRequested)
                {
                    // Whatever it is: without the loop there would never be a session again.
                    SayFailed("a gateway", e);
                }

                // A gateway that says hello and hangs up at once must not be asked without a pause.
                if (_time.GetElapsedTime(began) < _options.RetryPeriod)
                {
                    await Task.Delay(_options.RetryPeriod, _time, _stop.Token).ConfigureAwait(false);
                }
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException && _stop.IsCancellationRequested)
        {
            // Stopped in order, whatever was on its way.
        }
    }

    private async Task TryAsync()
    {
        if (await ChooseAsync().ConfigureAwait(false) is { } chosen && !await HoldAsync(chosen.Address, chosen.Endpoint, chosen.Hello).ConfigureAwait(false))
        {
            lock (_gate)
            {
                _choice.OnFailed(chosen.Gateway);
            }
        }
    }

    /// <summary>Asks all gateways at once and takes the first in order of preference that is one, as <see cref="GatewayChoice"/> says.</summary>
    private async Task<(string Gateway, GatewayAddress Address, IPEndPoint Endpoint, GatewayHello Hello)?> ChooseAsync()
    {
        // Outside of the lock: it is not ours.
        var usable = _order();
        string[] order;
        lock (_gate)
        {
            order = _choice.Order(usable);
        }

        if (order.Length == 0)
        {
            SetTrouble("none of the gateways may be used now", wrongCounterpart: false);
            return null;
        }

        using var enough = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var addresses = order.Select(GatewayAddress.Parse).ToList();
        var asked = addresses.ConvertAll(address => ProbeAsync(address, enough.Token));
        try
        {
            if (await _choice.FirstAsync(asked, enough.Token).ConfigureAwait(false) is { } first)
            {
                var (_, hello, _, endpoint) = await asked[first].ConfigureAwait(false);
                return (order[first], addresses[first], endpoint!, hello!);
            }

            await SayNobodyAsync(addresses, asked).ConfigureAwait(false);
            return null;
        }
        finally
        {
            await enough.CancelAsync().ConfigureAwait(false);
            await ((Task)Task.WhenAll(asked)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task SayNobodyAsync(List<GatewayAddress> addresses, List<Task<Probe>> asked)
    {
        var troubles = new List<string>();
        var wrong = 0;
        for (var i = 0; i < asked.Count; i++)
        {
            var probe = await asked[i].ConfigureAwait(false);
            var isWrong = probe.Result == ProbeResult.SomethingElse;
            wrong += isWrong ? 1 : 0;
            troubles.Add(isWrong ? $"{addresses[i]} is not a Quicksilver gateway ({probe.Detail})" : $"{addresses[i]} does not answer ({probe.Detail})");
        }

        SetTrouble(string.Join("; ", troubles), wrong == asked.Count);
        if (!_saidNobody)
        {
            // Once, not for every round.
            _saidNobody = true;
            LogNobody(Trouble);
        }
    }

    /// <summary>
    /// Asks a gateway, and asks it again beside while there is no answer: where packets were lost, a question stays lost, and the way
    /// may be open again for the next. The first that is answered by a gateway counts, and a failure where all have failed.
    /// </summary>
    private async Task<Probe> ProbeAsync(GatewayAddress address, CancellationToken enough)
    {
        using var done = CancellationTokenSource.CreateLinkedTokenSource(enough);
        var asked = new List<Task<Probe>>();
        var start = _time.GetTimestamp();
        try
        {
            while (true)
            {
                if (_options.ProbeTimeout - _time.GetElapsedTime(start) is var left && (left > TimeSpan.Zero || asked.Count == 0))
                {
                    asked.Add(AskAsync(address, left > TimeSpan.Zero ? left : TimeSpan.Zero, done.Token));
                }

                var pause = Task.Delay(_options.ProbeAgainPeriod, _time, done.Token);
                await Task.WhenAny([.. asked.Where(probe => !probe.IsCompleted), pause]).ConfigureAwait(false);
                foreach (var ended in asked.Where(probe => probe.IsCompleted))
                {
                    var probe = await ended.ConfigureAwait(false);
                    if (probe.Result == ProbeResult.Quicksilver || asked.TrueForAll(other => other.IsCompleted))
                    {
                        return probe;
                    }
                }

                await pause.ConfigureAwait(false);
            }
        }
        finally
        {
            await done.CancelAsync().ConfigureAwait(false);
            await ((Task)Task.WhenAll(asked)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>A question that fails in a way that nobody thought of is one that was not answered: the other gateways are there still.</summary>
    private async Task<Probe> AskAsync(GatewayAddress address, TimeSpan timeout, CancellationToken stop)
    {
        try
        {
            return await GatewayProbe.AskAsync(address.Host, address.Port, timeout, _time, stop).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException && !stop.IsCancellationRequested)
        {
            return new(ProbeResult.Refused, null, e.Message);
        }
    }

    /// <summary>Connects to a gateway and stays until it is lost. False where it said hello and could not be used, fell silent, or was gone again at once.</summary>
    private async Task<bool> HoldAsync(GatewayAddress address, IPEndPoint endpoint, GatewayHello hello)
    {
        // Not disposed, and so not linked either. Whoever cancels first has the callbacks run when there is a thread for them, which may be after this
        // method; of a source that is disposed by then nobody would ever hear. It holds nothing that has to be given back.
        var lost = new CancellationTokenSource();
        using var stopping = _stop.Token.Register(() => _ = CancelAsync(lost));
        var connections = new ConcurrentDictionary<ConnectionContext, byte>();
        IHost? host = null;
        try
        {
            // Not in line: callbacks of calls must neither run inside nor throw into a handler of Orleans.
            host = GatewayHost.Build(
                endpoint, hello, _options, connections, onLost: () => _ = CancelAsync(lost), onClosed: () => _ = CancelAsync(lost), _time, _loggers);
            await StartAsync(host, lost.Token).ConfigureAwait(false);
            var grains = host.Services.GetRequiredService<IGrainFactory>();
            (_saidNobody, _saidFailed) = (false, null);
            LogUp(address.ToString(), hello.Node.Value, hello.Region.Value);
            var up = _time.GetTimestamp();
            lock (_gate)
            {
                (_held, _isDropped) = (lost, false);
                _slot.Set(new(new GrainCalls(grains), hello, address.ToString(), lost.Token));
            }

            await HeartbeatAsync(grains, lost.Token).ConfigureAwait(false);
            LogLost(address.ToString());
            SetTrouble($"the link to {address} was lost", wrongCounterpart: false);
            return lost.IsCancellationRequested && (WasDropped || _time.GetElapsedTime(up) >= MinLife);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // While stopping, Orleans wraps the cancellation in exceptions of its own; there is nothing to say then.
            if (!_stop.IsCancellationRequested)
            {
                SayFailed(address.ToString(), e);
            }

            return false;
        }
        finally
        {
            // Order matters: first nobody new gets the session, then its calls are let go, then its connections are cut.
            _slot.Clear();
            await CancelAsync(lost).ConfigureAwait(false);
            Cut(connections);
            if (host is not null)
            {
                var before = _closing;
                _closing = Task.WhenAll(before, CloseAsync(host, connections));
            }
        }
    }

    private void SayFailed(string gateway, Exception e)
    {
        if (_saidFailed != e.Message)
        {
            // Once, not for every round.
            _saidFailed = e.Message;
            LogFailed(gateway, e.Message);
        }

        SetTrouble($"the connection to {gateway} failed ({e.Message})", wrongCounterpart: false);
    }

    private bool WasDropped
    {
        get
        {
            lock (_gate)
            {
                return _isDropped;
            }
        }
    }

    /// <summary>
    /// Starts the Orleans client of a session. Once it is connected it waits for the manifest of the cluster, without a token and without end: what
    /// bounds it is the time, and that its connection is still there.
    /// </summary>
    private async Task StartAsync(IHost host, CancellationToken lost)
    {
        // What is done here before it goes to the network, services and their compilation, is not the gateway's time.
        using var late = new CancellationTokenSource(Timeout.InfiniteTimeSpan, _time);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(lost, late.Token);
        var started = host.StartAsync(limit.Token);
        started.LookAtEnd();
        late.CancelAfter(_options.ConnectTimeout);
        try
        {
            await started.WaitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (limit.IsCancellationRequested)
        {
            throw new TimeoutException(
                late.IsCancellationRequested ? $"no call could be made within {_options.ConnectTimeout.TotalSeconds:0.#} s" : "its connection ended before a call could be made", e);
        }
    }

    /// <summary>Returns when the link is lost, by heartbeat or because Orleans noticed.</summary>
    private async Task HeartbeatAsync(IGrainFactory grains, CancellationToken lost)
    {
        var cluster = grains.GetGrain<IClusterGrain>(0);
        for (var misses = 0; misses < _options.MissesBeforeLost;)
        {
            await Task.Delay(_options.HeartbeatPeriod, _time, lost).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (lost.IsCancellationRequested)
            {
                return;
            }

            try
            {
                await cluster.Ping().AsTask().WaitOrLeaveAsync(_options.HeartbeatTimeout, _time, lost).ConfigureAwait(false);
                misses = 0;
            }
            catch (OperationCanceledException) when (lost.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                misses++;
            }
        }
    }

    /// <summary>
    /// Lets go of the calls of a session. A call in flight tells the far side, through a client that may be closed already, and then
    /// its callback throws: that must end neither the loop of the link nor the disposal of its owner.
    /// </summary>
    private async Task CancelAsync(CancellationTokenSource source)
    {
        try
        {
            await source.CancelAsync().ConfigureAwait(false);
        }
        catch (AggregateException e)
        {
            LogClosing(e.GetBaseException().Message);
        }
        catch (ObjectDisposedException)
        {
            // The link was disposed before.
        }
    }

    /// <summary>Ends an Orleans client, in bounded time: one whose start was given up may do neither what it is told, and is left then, without a connection.</summary>
    private async Task CloseAsync(IHost host, ConcurrentDictionary<ConnectionContext, byte> connections)
    {
        using var grace = new CancellationTokenSource(CloseTimeout, _time);
        await EndAsync(() => host.StopAsync(grace.Token)).ConfigureAwait(false);

        // One that was still being made when the link was lost.
        Cut(connections);
        await EndAsync(() => host is IAsyncDisposable disposable ? disposable.DisposeAsync().AsTask() : Task.Run(host.Dispose)).ConfigureAwait(false);
    }

    private async Task EndAsync(Func<Task> end)
    {
        try
        {
            // On a thread of its own: whatever it does before its first wait must not hold the link.
            await Task.Run(end).WaitOrLeaveAsync(CloseTimeout * 2, _time, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            LogClosing(e.Message);
        }
    }

    private static void Cut(ConcurrentDictionary<ConnectionContext, byte> connections)
    {
        foreach (var connection in connections.Keys)
        {
            connection.Abort(new ConnectionAbortedException("The link is lost."));
        }
    }

    private void SetTrouble(string trouble, bool wrongCounterpart)
    {
        lock (_gate)
        {
            _trouble = trouble;
            _wrongCounterpart = wrongCounterpart;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await CancelAsync(_stop).ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        await _closing.ConfigureAwait(false);
        _slot.Close(new ObjectDisposedException(nameof(GatewayLink)));
        _stop.Dispose();
    }
}
