using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>
/// The cursor of one child at its source. Requests are numbered and take their turns in that order, whatever order they arrive
/// in. Invariant: the answers 0 to n-1 together are exactly the records from the first cursor to the current one.
/// </summary>
internal sealed class PullSession(
    long id, PullChild child, Revision cursor, ChainHash? chain, Subscription subscription, long far, NodeId[] path, PageEncoding accepts, long now)
{
    /// <summary>How far ahead of its turn a request may be.</summary>
    private const int MaxAhead = 64;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, TaskCompletionSource> _early = [];
    private Subscription? _covering;
    private NodeId[] _toldPath = path;
    private long _turn;
    private bool _busy;
    private bool _broken;

    public long Id { get; } = id;

    public PullChild Child { get; private set; } = child;

    /// <summary>The next revision to send.</summary>
    public Revision Cursor { get; private set; } = cursor;

    /// <summary>Chain hash before <see cref="Cursor"/>; null where this source holds some keyspaces only, and does not know.</summary>
    public ChainHash? Chain { get; private set; } = chain;

    /// <summary>What of the log the child gets; null for all of it.</summary>
    public LogSelection? Selection { get; } = subscription.IsAll ? null : new(subscription, far);

    /// <summary>The last page had nothing for the child. For the one whose turn it is.</summary>
    public bool WasEmpty { get; set; }

    public long LastSeen { get; private set; } = now;

    /// <summary>When the last page was made. For the one whose turn it is.</summary>
    public long SentAt { get; set; }

    /// <summary>Null where the child takes pages only as they are.</summary>
    public PageCompression? Compression { get; } = accepts == PageEncoding.Zstd ? new() : null;

    /// <summary>Whether a store that holds this has all that the child wants: it may have let something go. For the one whose turn it is.</summary>
    public bool IsCoveredBy(Subscription held)
    {
        if (ReferenceEquals(held, _covering))
        {
            return true;
        }

        _covering = held.Covers(subscription) ? held : null;
        return _covering is not null;
    }

    /// <summary>
    /// Waits for the turn of a request. False where its number was answered already or is far ahead, where the session broke, or
    /// where the requests before it do not come: then the child must open again.
    /// </summary>
    public async ValueTask<bool> EnterAsync(long number, TimeSpan timeout, TimeProvider time, CancellationToken cancellation)
    {
        TaskCompletionSource waiting;
        lock (_gate)
        {
            if (_broken || number < _turn || number - _turn > MaxAhead || (number == _turn && _busy))
            {
                return false;
            }

            if (number == _turn)
            {
                _busy = true;
                return true;
            }

            waiting = new(TaskCreationOptions.RunContinuationsAsynchronously);
            if (!_early.TryAdd(number, waiting))
            {
                return false;
            }
        }

        try
        {
            await waiting.Task.WaitAsync(timeout, time, cancellation).ConfigureAwait(false);
            return !Volatile.Read(ref _broken);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            // The one before it may have handed over the turn at this very moment; nobody would take it then.
            Break();
            return false;
        }
    }

    /// <summary>The path where the child does not know it yet, else null. For the one whose turn it is.</summary>
    public NodeId[]? TellPath(NodeId[] path)
    {
        var changed = ReferenceEquals(_toldPath, path) ? null : path;
        _toldPath = path;
        return changed;
    }

    public void Touch(Revision applied, long now)
    {
        LastSeen = now;
        Child = Child with { Applied = applied };
    }

    public void Move(Revision next, ChainHash? chain)
    {
        Cursor = next;
        Chain = chain;
    }

    /// <summary>Ends a turn: the next request may go, or, where this one was not answered, none.</summary>
    public void Leave(bool answered)
    {
        if (!answered)
        {
            Break();
            return;
        }

        TaskCompletionSource? next;
        lock (_gate)
        {
            _turn++;
            _busy = _early.Remove(_turn, out next);
        }

        next?.TrySetResult();
    }

    private void Break()
    {
        List<TaskCompletionSource> early;
        lock (_gate)
        {
            _broken = true;
            early = [.. _early.Values];
            _early.Clear();
        }

        early.ForEach(waiting => waiting.TrySetResult());
    }
}
