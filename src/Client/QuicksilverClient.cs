using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>How a command reaches the cluster: its bytes, which merger it may share, and the call.</summary>
using Route = (ReadOnlyMemory<byte> Command, uint Merger, Func<INodeCalls, Func<CommitManyRequest, CancellationToken, ValueTask<CommitManyAnswer>>> Call);

/// <summary>The SDK over one link: to a gateway, or to a node in this process.</summary>
public sealed class QuicksilverClient : IQuicksilverClient, IAsyncDisposable
{
    private readonly ILink _link;
    private readonly WriteLink? _writes;
    private readonly ConcurrentDictionary<KeyspaceName, KeyspaceClient> _keyspaces = new();
    private readonly ConcurrentDictionary<(uint Keyspace, LinkSession Session), CommitMerger> _mergers = new();
    private readonly bool _mergesCommits;
    private readonly OperationIds _ids = new();

    /// <summary>
    /// Makes a client and starts its link. Does not wait for the cluster. Throws <see cref="ArgumentException"/> where the options are not usable.
    /// </summary>
    public QuicksilverClient(QuicksilverClientOptions options, TimeProvider time, ILoggerFactory loggers)
        : this(NewSession(options, time, loggers), options, time, loggers)
    {
    }

    private QuicksilverClient(Session session, QuicksilverClientOptions options, TimeProvider time, ILoggerFactory loggers)
        : this(StartLink(session, options, time, loggers), session, options, time, loggers)
    {
    }

    private QuicksilverClient(ILink link, Session session, QuicksilverClientOptions options, TimeProvider time, ILoggerFactory loggers)
        : this(link, options, time, options.FollowLeader ? new WriteLink(link, options.ToLinkOptions(), time, loggers) : null, session)
    {
    }

    /// <summary>Makes a client over links, which it owns from now on.</summary>
    /// <param name="writes">The way of writes; null where they go as reads do.</param>
    /// <param name="session">What its links go by, too; null for one of its own.</param>
    internal QuicksilverClient(ILink link, QuicksilverClientOptions options, TimeProvider time, WriteLink? writes = null, Session? session = null)
    {
        _link = link;
        _writes = writes;
        _mergesCommits = options.MergeCommits;
        MergesReads = options.MergeReads;
        Caller = new(link, writes ?? link, options, time);
        SessionState = session ?? new(time);
        Catalog = new CatalogClient(this);
    }

    /// <inheritdoc/>
    public ICatalog Catalog { get; }

    /// <inheritdoc/>
    public SessionToken? Session
    {
        get => SessionState.Token;
        set
        {
            if (value is { Position.Revision.Value: < 0 } or { Position.Log.Value: < 0 })
            {
                throw new ArgumentException($"The token has the position {value.Value.Position}, and no position is negative.", nameof(value));
            }

            SessionState.Token = value;
        }
    }

    internal Caller Caller { get; }

    internal bool MergesReads { get; }

    internal Session SessionState { get; }

    /// <inheritdoc/>
    public IKeyspace Keyspace(string name) =>
        _keyspaces.GetOrAdd(KeyspaceName.Parse(name), static (name, client) => new(name, client), this);

    internal async ValueTask<KeyspaceInfo?> FindKeyspaceAsync(KeyspaceName name, ReadOptions options, Deadline deadline, CancellationToken cancellation)
    {
        var answer = await Caller.ReadAsync(
            node => node.ResolveAsync(name, SessionState.Require(options)),
            answer => answer.Status is not (ReadStatus.Unavailable or ReadStatus.Overloaded), deadline, cancellation).ConfigureAwait(false);
        switch (answer.Status)
        {
            case ReadStatus.Ok:
                SessionState.Learn(answer.Context, answer.Context.Position);
                return answer.Keyspace;
            case ReadStatus.KeyspaceNotFound:
                SessionState.Learn(answer.Context, answer.Context.Position);
                return null;
            default:
                throw ReadFailures.ToException(answer.Status, answer.Context, answer.Problem, name.Value);
        }
    }

    /// <summary>
    /// Commits what <paramref name="encode"/> makes for an operation id, and turns the outcome into a result.
    /// <paramref name="onKeyspaceGone"/>: forgets what was known of a keyspace that is gone, so that encoding finds the one that
    /// has its name now; null for commands that name keyspaces themselves, which must not be judged twice.
    /// </summary>
    internal async ValueTask<CommitResult> CommitAsync(
        Func<OperationId, ValueTask<Route>> encode, OperationId? givenId, Action? onKeyspaceGone, string keyspace, Deadline deadline, CancellationToken cancellation)
    {
        for (var again = true; ; again = false)
        {
            var (id, route) = await PrepareAsync(encode, givenId, deadline, cancellation).ConfigureAwait(false);
            var (outcome, context) = await Caller.CommitAsync(
                (session, stop) => SendAsync(session, route, stop), id, isKnownId: givenId is not null, deadline, cancellation).ConfigureAwait(false);
            SessionState.Learn(context, outcome.Kind == CommitKind.Committed ? context.Position with { Revision = outcome.Revision } : context.Position);
            switch (outcome.Kind)
            {
                case CommitKind.Committed:
                    return new(CommitStatus.Committed, outcome.Revision, id);
                case CommitKind.Unchanged:
                    return new(CommitStatus.Unchanged, outcome.Revision, id);
                case CommitKind.ConditionFailed:
                    return new(CommitStatus.ConditionFailed, outcome.Revision, id, outcome.Index);
                case CommitKind.KeyspaceNotFound when again && onKeyspaceGone is not null:
                    // Ids of keyspaces are never used again, so what was encoded for the old one can never take effect.
                    onKeyspaceGone();
                    continue;
                case (CommitKind.Expired or CommitKind.FromFuture) when again && givenId is null:
                    // The very first try, and the only one: an id that nobody else knows names a write that never happened. The
                    // answer has taught the hub's time, so the next id fits.
                    continue;
                default:
                    throw Failure(outcome, id, keyspace, givenId is not null);
            }
        }
    }

    private async ValueTask<(OperationId Id, Route Route)> PrepareAsync(
        Func<OperationId, ValueTask<Route>> encode, OperationId? givenId, Deadline deadline, CancellationToken cancellation)
    {
        try
        {
            var id = givenId ?? await NewOperationIdAsync(deadline, cancellation).ConfigureAwait(false);
            return (id, await encode(id).ConfigureAwait(false));
        }
        catch (QuicksilverException e)
        {
            // Nothing was sent by this call; a write that the caller names may have been sent by an earlier one.
            throw new QuicksilverException(e.Code, e.Message, givenId is null ? WriteOutcome.NotCommitted : WriteOutcome.Unknown, e)
            {
                OperationId = givenId, RetryAfter = e.RetryAfter, Position = e.Position,
            };
        }
    }

    private async Task<MergedOutcomes> SendAsync(LinkSession session, Route route, CancellationToken cancellation)
    {
        if (!_mergesCommits)
        {
            return await new CommitMerger(request => SendOnceAsync(session, route, request)).CommitAsync([route.Command], cancellation).ConfigureAwait(false);
        }

        var merger = _mergers.GetOrAdd((route.Merger, session), key =>
        {
            // Mergers of lost sessions go with the first of a new one.
            foreach (var old in _mergers.Keys.Where(other => other.Session.Lost.IsCancellationRequested))
            {
                _mergers.TryRemove(old, out _);
            }

            return new(request => SendOnceAsync(session, route, request));
        });
        return await merger.CommitAsync([route.Command], cancellation).ConfigureAwait(false);
    }

    private async Task<CommitManyAnswer> SendOnceAsync(LinkSession session, Route route, CommitManyRequest request)
    {
        var answer = await route.Call(session.Node)(request with { Cluster = SessionState.Cluster }, CancellationToken.None).AsTask().WaitOrLeaveAsync(session).ConfigureAwait(false);
        _writes?.Learn(session, answer);
        return answer;
    }

    private async ValueTask<OperationId> NewOperationIdAsync(Deadline deadline, CancellationToken cancellation)
    {
        if (SessionState.FreshLogTime is not { } logTime)
        {
            var context = await Caller.ReadAsync(
                static node => node.PingAsync(), static answer => answer.LogTime != LogTime.None, deadline, cancellation).ConfigureAwait(false);
            if (context.LogTime == LogTime.None)
            {
                throw new QuicksilverException(QuicksilverErrorCode.Unavailable, "The region has not heard from the hub since it started, so no write can be named yet. Nothing was changed; try again when the region has its hub, or through a gateway of another region.");
            }

            SessionState.Learn(context, default);
            logTime = context.LogTime;
        }

        return _ids.Next(logTime);
    }

    private static QuicksilverException Failure(CommitOutcome outcome, OperationId id, string keyspace, bool isKnownId) => outcome.Kind switch
    {
        CommitKind.KeyspaceNotFound => new(QuicksilverErrorCode.KeyspaceNotFound, $"There is no keyspace '{keyspace}'. Create it first.", WriteOutcome.NotCommitted) { OperationId = id },
        CommitKind.KeyspaceExists => new(QuicksilverErrorCode.KeyspaceExists, $"The keyspace '{keyspace}' exists with other settings, since revision {outcome.Revision}. Use it as it is, or another name.", WriteOutcome.NotCommitted) { OperationId = id },

        // This request did nothing; the one that used the id before did.
        CommitKind.OperationIdReused => new(QuicksilverErrorCode.OperationIdReused, $"Operation id {id} was used for another request. Nothing was changed by this one. Take a new id: leave WriteOptions.OperationId null.", WriteOutcome.NotCommitted) { OperationId = id },
        CommitKind.Expired when !isKnownId => new(QuicksilverErrorCode.Unavailable, "The hub's clock runs away from this client's: a new operation id was too old at once. Nothing was changed; try again, and look after the clocks of the hub.", WriteOutcome.NotCommitted) { OperationId = id },
        CommitKind.Expired => new(QuicksilverErrorCode.OutcomeUnknown, $"Operation id {id} is older than the hub remembers: the write may have happened. Read what it was to change.", WriteOutcome.Unknown) { OperationId = id },
        CommitKind.FromFuture => new(QuicksilverErrorCode.Unavailable, $"Operation id {id} claims a time that has not come at the node that was asked. Nothing was changed by this call; try again in some seconds, and look after the clocks of the hub.", isKnownId ? WriteOutcome.Unknown : WriteOutcome.NotCommitted) { OperationId = id },
        CommitKind.TooManyRows => new(QuicksilverErrorCode.InvalidRequest, $"The prefix deletes would have removed more than {Limits.MaxPrefixRows} rows at revision {outcome.Revision} (Limits.MaxPrefixRows; one with a large value counts as several). This try changed nothing. Delete longer prefixes, one after the other.", isKnownId ? WriteOutcome.Unknown : WriteOutcome.NotCommitted) { OperationId = id },
        CommitKind.Invalid => new(QuicksilverErrorCode.InvalidRequest, $"{(outcome.Problem ?? "The hub refused the request as invalid").TrimEnd('.')}. Nothing was changed; change the request, asked again it is refused again.", WriteOutcome.NotCommitted) { OperationId = id },
        _ => new(QuicksilverErrorCode.OutcomeUnknown, $"The hub answered with an outcome that this client does not know ({(int)outcome.Kind}): the write may have happened. Read what it was to change, and use a newer version of this package.", WriteOutcome.Unknown) { OperationId = id },
    };

    /// <summary>
    /// Ends the client. What is on its way ends as well: reads and watches in an <see cref="ObjectDisposedException"/>, as everything that is begun
    /// later, and a write that was sent in a <see cref="QuicksilverException"/> with the outcome Unknown. A second time does nothing.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        // Before the links: what loses its session by that must not look for another.
        if (!Caller.Close())
        {
            return;
        }

        if (_writes is not null)
        {
            await _writes.DisposeAsync().ConfigureAwait(false);
        }

        await _link.DisposeAsync().ConfigureAwait(false);
    }

    private static Session NewSession(QuicksilverClientOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(time);
        ArgumentNullException.ThrowIfNull(loggers);
        if (options.Problem() is { } problem)
        {
            throw new ArgumentException($"The options of the client are not usable: {problem}.", nameof(options));
        }

        return new(time);
    }

    private static ILink StartLink(Session session, QuicksilverClientOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        var links = options.ToLinkOptions();
        if (links.Gateways.Count > 1 && links.Problem() is null)
        {
            var preferred = new PreferredLink(links, options.ReturnAfter, () => session.Cluster, new(RandomNumberGenerator.GetInt32(int.MaxValue)), time, loggers);
            preferred.Start();
            return preferred;
        }

        // There is nothing to choose; and where the gateways are not usable, it is the link that says so.
        var link = new GatewayLink(links, time, loggers);
        link.Start();
        return link;
    }
}
