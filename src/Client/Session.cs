using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// What a client has seen: the position no read may fall behind, and the log time from which new operation ids are made.
/// Thread-safe. Invariant: within one history the position only grows.
/// </summary>
internal sealed class Session(TimeProvider time)
{
    /// <summary>Log time older than this is asked for again: an id made from it could already be too old to be remembered.</summary>
    private static readonly TimeSpan MaxLogTimeAge = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private ClusterUuid _cluster;
    private LogPosition _position;
    private LogTime _logTime;
    private long _logTimeAt;
    private bool _hasLogTime;

    /// <summary>The cluster that this session is of; none before it has heard of one.</summary>
    public ClusterUuid Cluster
    {
        get
        {
            lock (_gate)
            {
                return _cluster;
            }
        }
    }

    public SessionToken? Token
    {
        get
        {
            lock (_gate)
            {
                return _cluster.IsNone ? null : new(_cluster, _position);
            }
        }

        set
        {
            lock (_gate)
            {
                (_cluster, _position) = value is { } token ? (token.Cluster, token.Position) : default;
            }
        }
    }

    /// <summary>What a read of this session must ask for.</summary>
    public ReadRequirement Require(ReadOptions options)
    {
        lock (_gate)
        {
            var least = _position;
            if (options.Position is { } position && !least.Covers(position))
            {
                least = position;
            }

            return new(options.Consistency, _cluster, least, options.AllowStaleWhenCutOff);
        }
    }

    /// <summary>Learns from an answer. <paramref name="seen"/> is what the caller has thereby seen.</summary>
    public void Learn(AnswerContext context, LogPosition seen)
    {
        lock (_gate)
        {
            // What another cluster says is not for this session, its clock included.
            if (!_cluster.IsNone && !context.Cluster.IsNone && _cluster != context.Cluster)
            {
                return;
            }

            if (context.LogTime != LogTime.None)
            {
                _logTime = context.LogTime;
                _logTimeAt = time.GetTimestamp();
                _hasLogTime = true;
            }

            if (context.Cluster.IsNone)
            {
                return;
            }

            _cluster = context.Cluster;
            if (_position.Revision == Revision.None || (seen.History == _position.History && seen.Revision > _position.Revision))
            {
                _position = seen;
            }
        }
    }

    /// <summary>Log time for a new operation id, where it is fresh enough.</summary>
    public LogTime? FreshLogTime
    {
        get
        {
            lock (_gate)
            {
                return _hasLogTime && time.GetElapsedTime(_logTimeAt) < MaxLogTimeAge ? _logTime : null;
            }
        }
    }
}
