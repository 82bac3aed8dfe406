using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>What a replica is doing about its log.</summary>
public enum ProgressState
{
    /// <summary>No link to an upstream.</summary>
    Disconnected = 0,

    /// <summary>Waits a moment before it asks again.</summary>
    Waiting = 1,

    /// <summary>Has asked a source to open a session and waits for the answer. (Probe, in the words of etcd-raft.)</summary>
    Probing = 2,

    /// <summary>Has a session and pulls.</summary>
    Pulling = 3,

    /// <summary>Cannot go on by itself; <see cref="Progress.StopReason"/> says why. Reads go on from the last View.</summary>
    Stopped = 4,

    /// <summary>Receives a copy of the source's state, because it cannot go on from where it stands. Reads go on from the last View.</summary>
    Bootstrapping = 5,
}

/// <summary>Why a replica stopped pulling.</summary>
public enum StopReason
{
    None = 0,

    /// <summary>This replica and its source have different records at the same position.</summary>
    Diverged = 2,

    /// <summary>The source belongs to another cluster.</summary>
    OtherCluster = 3,

    /// <summary>The upstream is this node itself.</summary>
    Self = 4,

    /// <summary>This replica's disk failed.</summary>
    StorageFailed = 5,

    /// <summary>A fault of the program.</summary>
    InternalError = 6,
}

/// <summary>What keeps a replica from pulling at the moment, and is tried again.</summary>
public enum PullProblem
{
    None = 0,

    /// <summary>A call was not answered.</summary>
    CallFailed = 1,

    /// <summary>A page did not pass the checks.</summary>
    PageRefused = 2,

    /// <summary>The source has less than this replica: it lags, or was put back from an older copy.</summary>
    SourceBehind = 3,

    /// <summary>The source has no data yet, is stopping, or is full.</summary>
    SourceUnavailable = 4,

    /// <summary>The source's own log is damaged.</summary>
    SourceDamaged = 5,

    /// <summary>The source knows the session no more.</summary>
    SessionLost = 6,

    /// <summary>No copy of the source's state could be received or put in place.</summary>
    BootstrapFailed = 7,

    /// <summary>The source has other records at this replica's position, and no other source has said yet who is right.</summary>
    Diverged = 8,

    /// <summary>The source belongs to another cluster, is this node, or pulls from it.</summary>
    WrongSource = 9,
}

/// <summary>What happens to a <see cref="Progress"/>. Answers carry the attempt they belong to; those of earlier ones are ignored.</summary>
public abstract record ProgressEvent
{
    /// <param name="Node">Whom the link leads to.</param>
    /// <param name="HasOthers">True where another source could be tried in its place.</param>
    public sealed record LinkUp(NodeId Node = default, bool HasOthers = false) : ProgressEvent;

    public sealed record LinkLost : ProgressEvent;

    /// <summary>A wait that was asked for is over.</summary>
    public sealed record WaitOver(long Attempt) : ProgressEvent;

    public sealed record Opened(long Attempt, OpenPullAnswer Answer) : ProgressEvent;

    /// <param name="At">When it arrived, by the driver's monotonic clock; handed back with the page.</param>
    public sealed record PageArrived(long Attempt, long Number, LogPage Page, long At = 0) : ProgressEvent;

    /// <summary>A call ended in an exception.</summary>
    public sealed record CallFailed(long Attempt, string Why = "no answer") : ProgressEvent;

    /// <summary>A page that was to be applied is in the View.</summary>
    public sealed record Applied(LogPosition Position, ChainHash Chain) : ProgressEvent;

    /// <summary>A page did not pass the checks; nothing of it was applied.</summary>
    public sealed record Refused(string Why) : ProgressEvent;

    /// <summary>The disk failed.</summary>
    public sealed record ApplyFailed(string Why) : ProgressEvent;

    /// <summary>A copy of the source's state is here, whole.</summary>
    public sealed record SnapshotReceived(long Attempt) : ProgressEvent;

    /// <summary>The copy is the replica's state now.</summary>
    public sealed record Installed(StoreProgress Progress) : ProgressEvent;

    /// <summary>The copy did not come, or is no use. What came of it stays, and is gone on with where the source still has that state.</summary>
    public sealed record BootstrapFailed(long Attempt, string Why) : ProgressEvent;
}

/// <summary>What a <see cref="Progress"/> wants done.</summary>
public abstract record ProgressEffect
{
    /// <summary>Ask the source to open a session after this position.</summary>
    public sealed record Open(long Attempt, ClusterUuid Cluster, LogPosition Position, ChainHash Chain) : ProgressEffect;

    /// <summary>Ask for a page.</summary>
    public sealed record Next(long Attempt, NextPageRequest Request) : ProgressEffect;

    /// <summary>
    /// Check and apply the records of a page; for an empty replica, after making it part of this cluster. Must be answered by
    /// Applied, Refused or ApplyFailed before the next event.
    /// </summary>
    public sealed record Apply(LogPage Page, long At) : ProgressEffect;

    /// <summary>A page without records that this replica is level with.</summary>
    public sealed record Level(LogPage Page, long At) : ProgressEffect;

    /// <summary>Receive a copy of the source's state; say SnapshotReceived or BootstrapFailed.</summary>
    public sealed record Bootstrap(long Attempt) : ProgressEffect;

    /// <summary>Put the copy that was received in place. Must be answered by Installed or BootstrapFailed before the next event.</summary>
    /// <param name="Quarantine">Keep what was there aside: two sources agree that it is wrong.</param>
    public sealed record Install(long Attempt, bool Quarantine) : ProgressEffect;

    /// <summary>Give up the link for one to another source. LinkLost follows, and LinkUp.</summary>
    public sealed record LeaveSource(SourceFault Fault, string Why) : ProgressEffect;

    /// <summary>Let this much time pass, then say WaitOver.</summary>
    public sealed record Wait(long Attempt, TimeSpan Duration) : ProgressEffect;
}

/// <summary>How a replica pulls.</summary>
public sealed record PullOptions
{
    /// <summary>Requests kept open at the source. Default 2: one is answered while the other is on its way.</summary>
    public int Window { get; init; } = 2;

    /// <summary>Page size to ask for, bytes. Default 512 KiB.</summary>
    public int PageBytes { get; init; } = Limits.DefaultPageBytes;

    /// <summary>How long a request waits at the source. Default 3 s, the most a source allows.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>
    /// A replica that has nothing takes a copy of the state where the log has more records than this, and else reads the log. Default 10,000.
    /// </summary>
    public long MaxRecordsToBegin { get; init; } = 10_000;

    /// <summary>Failures in a row at one source after which another is tried, where there is one. Default 3.</summary>
    public int FailuresBeforeLeaving { get; init; } = 3;

    /// <summary>First wait after a failure; doubles up to <see cref="MaxBackoff"/>. Default 50 ms.</summary>
    public TimeSpan MinBackoff { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Longest wait after repeated failures. Default 2 s.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(2);
}

/// <summary>
/// How one replica follows one source: a synchronous state machine, an event in, effects out. It owns no clock, socket or disk.
///
/// Disconnected -> Probing -> Pulling; any loss, reorder or doubt leads back to Probing, with a growing wait in between where
/// something failed. Where the source's log begins after the replica's position: Probing -> Bootstrapping -> Probing. What no retry can
/// mend ends in Stopped. The replica's own position is all it ever resumes from.
///
/// A source that fails again and again, or is the wrong one, is left for another where there is one. Where a source has other records at
/// the same position, it is distrusted first. The replica's own state is given up, and kept aside, only when two independent sources agree
/// against it: neither pulls from the other.
///
/// Invariant: pages are applied in the order of their request numbers, and only where a page starts right after the applied
/// position. Everything else about a page is checked where it is applied, against the chains.
/// </summary>
public sealed class Progress(PullOptions options, Random random, NodeId self = default)
{
    /// <summary>Longest way to the hub that a source may name: far beyond any tree.</summary>
    private const int MaxPath = 32;

    // Sources that have other records at the position in _own, and what they have there.
    private readonly Dictionary<NodeId, Contradiction> _against = [];

    private readonly Dictionary<long, (LogPage Page, long At)> _arrived = [];

    // What the store has. A replica that has nothing yet belongs to no cluster, whatever a source has promised it.
    private (ClusterUuid Cluster, LogPosition Position, ChainHash Chain) _own;

    // What this session continues: the store's, or for an empty replica what the source said when it opened.
    private ClusterUuid _cluster;
    private LogPosition _position;
    private long _attempt;
    private long _session;
    private long _nextRequest;
    private long _nextPage;
    private int _failures;
    private int _failuresHere;
    private bool _linked;
    private bool _hasOthers;
    private bool _quarantines;
    private NodeId _node;

    private sealed record Contradiction(LogPosition Own, HistoryId History, ChainHash Chain, NodeId[] Path);

    public ProgressState State { get; private set; }

    public StopReason StopReason { get; private set; }

    /// <summary>For people, where the state is Stopped; else what went wrong last, or null.</summary>
    public string? Trouble { get; private set; }

    /// <summary>What keeps this replica from pulling, until something came through again.</summary>
    public PullProblem Problem { get; private set; }

    /// <summary>Position of the source as it last said; null before it said anything.</summary>
    public LogPosition? Source { get; private set; }

    /// <summary>Sessions opened so far.</summary>
    public long Sessions { get; private set; }

    /// <summary>Pages that did not pass the checks.</summary>
    public long RefusedPages { get; private set; }

    /// <summary>Copies of a source's state that took the place of what was there.</summary>
    public long Bootstraps { get; private set; }

    /// <summary>The source, the node it pulls from, and so on up to the hub; empty where there is no session.</summary>
    public NodeId[] Path { get; private set; } = [];

    /// <summary>Sets where the replica stands. Before the first event, and after its store was filled by other means.</summary>
    public void Reset(StoreProgress progress)
    {
        _own = (progress.Cluster, progress.Position, progress.Chain);
        (_cluster, _position) = (progress.Cluster, progress.Position);
    }

    public void Step(ProgressEvent happened, List<ProgressEffect> effects)
    {
        if (State == ProgressState.Stopped)
        {
            return;
        }

        switch (happened)
        {
            case ProgressEvent.LinkUp up:
                (_linked, _hasOthers) = (true, up.HasOthers);
                _failuresHere = up.Node == _node ? _failuresHere : 0;
                _node = up.Node;
                Probe(effects);
                break;
            case ProgressEvent.LinkLost:
                _linked = false;
                Leave(ProgressState.Disconnected);
                break;
            case ProgressEvent.WaitOver over when over.Attempt == _attempt && State == ProgressState.Waiting:
                Probe(effects);
                break;
            case ProgressEvent.Opened opened when opened.Attempt == _attempt && State == ProgressState.Probing:
                OnOpened(opened.Answer, effects);
                break;
            case ProgressEvent.PageArrived arrived when arrived.Attempt == _attempt && State == ProgressState.Pulling:
                _arrived[arrived.Number] = (arrived.Page, arrived.At);
                TakePages(effects);
                break;
            case ProgressEvent.CallFailed failed when failed.Attempt == _attempt && State is ProgressState.Probing or ProgressState.Pulling:
                BackOff(PullProblem.CallFailed, $"a call to the source failed: {failed.Why}", effects);
                break;
            case ProgressEvent.Applied applied:
                _position = applied.Position;
                _own = (_cluster, applied.Position, applied.Chain);
                Succeed();
                TakePages(effects);
                break;
            case ProgressEvent.Refused refused:
                RefusedPages++;
                BackOff(PullProblem.PageRefused, $"a page was refused: {refused.Why}", effects);
                break;
            case ProgressEvent.ApplyFailed failed:
                Stop(StopReason.StorageFailed, failed.Why);
                break;
            case ProgressEvent.SnapshotReceived received when received.Attempt == _attempt && State == ProgressState.Bootstrapping:
                effects.Add(new ProgressEffect.Install(_attempt, _quarantines));
                break;
            case ProgressEvent.Installed installed:
                Reset(installed.Progress);
                Bootstraps++;
                _failures = _failuresHere = 0;
                _quarantines = false;
                _against.Clear();
                Probe(effects);
                break;
            case ProgressEvent.BootstrapFailed failed when failed.Attempt == _attempt && State == ProgressState.Bootstrapping:
                BackOff(PullProblem.BootstrapFailed, $"no copy of the source's state: {failed.Why}", effects);
                break;
        }
    }

    private void Probe(List<ProgressEffect> effects)
    {
        Leave(ProgressState.Probing);
        effects.Add(new ProgressEffect.Open(_attempt, _own.Cluster, _own.Position, _own.Chain));
    }

    private void OnOpened(OpenPullAnswer answer, List<ProgressEffect> effects)
    {
        switch (answer.Status)
        {
            case OpenPullStatus.Open:
                if (!TakePath(answer.Path, effects))
                {
                    break;
                }

                // It has what this replica has: whoever said otherwise is wrong.
                _against.Clear();
                _quarantines = false;
                if (_own.Cluster.IsNone && answer.Source.Revision.Value > options.MaxRecordsToBegin)
                {
                    Bootstrap(effects);
                    break;
                }

                if (_cluster.IsNone)
                {
                    _cluster = answer.Cluster;
                    _position = answer.Source with { Revision = Revision.None };
                }

                State = ProgressState.Pulling;
                Sessions++;
                Source = answer.Source;
                _session = answer.Session;
                while (_nextRequest < options.Window)
                {
                    Ask(effects);
                }

                break;
            case OpenPullStatus.TooOld:
                Source = answer.Source;
                Bootstrap(effects);
                break;
            case OpenPullStatus.Diverged:
                OnDiverged(answer, effects);
                break;
            case OpenPullStatus.OtherCluster:
                LeaveOrStop(StopReason.OtherCluster, $"the source belongs to cluster {answer.Cluster}, this replica to {_cluster}", effects);
                break;
            case OpenPullStatus.Self:
                LeaveOrStop(StopReason.Self, "the upstream is this node itself; correct Quicksilver:Upstreams", effects);
                break;
            case OpenPullStatus.Cycle:
                LeaveOrWait(PullProblem.WrongSource, "the source pulls from this node", effects);
                break;
            case OpenPullStatus.SourceBehind:
                Source = answer.Source;
                BackOff(PullProblem.SourceBehind, $"the source is at revision {answer.Source.Revision}, behind this replica", effects);
                break;
            default:
                // Not available, or something that only a newer source says.
                BackOff(PullProblem.SourceUnavailable, "the source is not available", effects);
                break;
        }
    }

    /// <summary>Notes the source's way to the hub; false where this node is on it, or it is none, and the source was left.</summary>
    private bool TakePath(NodeId[]? path, List<ProgressEffect> effects)
    {
        if (path is null || path.Length > MaxPath || (self != default && path.Contains(self)))
        {
            LeaveOrWait(PullProblem.WrongSource, path is null || path.Length > MaxPath ? "the source names no way to the hub" : "the source pulls from this node", effects);
            return false;
        }

        Path = path;
        return true;
    }

    /// <summary>
    /// This source has other records at this replica's position. One of the two is wrong, and nothing is given up on the word of one.
    /// </summary>
    private void OnDiverged(OpenPullAnswer answer, List<ProgressEffect> effects)
    {
        var why = $"at revision {_own.Position.Revision} this replica and its source have different histories";
        Source = answer.Source;
        foreach (var stale in _against.Where(said => said.Value.Own != _own.Position).Select(said => said.Key).ToList())
        {
            _against.Remove(stale);
        }

        var now = new Contradiction(_own.Position, answer.Source.History, answer.Chain, answer.Path ?? []);
        _against[_node] = now;
        var agrees = _against.Any(said => said.Key != _node
            && (said.Value.History, said.Value.Chain) == (now.History, now.Chain) && now.Chain != ChainHash.Empty
            && !said.Value.Path.Contains(_node) && !now.Path.Contains(said.Key));
        if (agrees)
        {
            Bootstrap(effects);
            _quarantines = true;
        }
        else if (_hasOthers)
        {
            LeaveSource(PullProblem.Diverged, why, effects);
        }
        else
        {
            Stop(StopReason.Diverged, why);
        }
    }

    private void LeaveOrStop(StopReason reason, string why, List<ProgressEffect> effects)
    {
        if (_hasOthers)
        {
            LeaveSource(PullProblem.WrongSource, why, effects);
        }
        else
        {
            Stop(reason, why);
        }
    }

    private void LeaveOrWait(PullProblem problem, string why, List<ProgressEffect> effects)
    {
        if (_hasOthers)
        {
            LeaveSource(problem, why, effects);
        }
        else
        {
            BackOff(problem, why, effects);
        }
    }

    private void LeaveSource(PullProblem problem, string why, List<ProgressEffect> effects)
    {
        Leave(ProgressState.Disconnected);
        (Problem, Trouble) = (problem, why);
        _failuresHere = 0;
        effects.Add(new ProgressEffect.LeaveSource(FaultOf(problem), why));
    }

    private static SourceFault FaultOf(PullProblem problem) => problem switch
    {
        PullProblem.PageRefused => SourceFault.Refused,
        PullProblem.SourceBehind => SourceFault.Behind,
        PullProblem.SourceUnavailable => SourceFault.Unavailable,
        PullProblem.BootstrapFailed => SourceFault.Unavailable,
        PullProblem.SourceDamaged => SourceFault.Damaged,
        PullProblem.Diverged => SourceFault.Diverged,
        PullProblem.WrongSource => SourceFault.Wrong,
        _ => SourceFault.Failing,
    };

    private void Succeed()
    {
        _failures = _failuresHere = 0;
        (Problem, Trouble) = (PullProblem.None, null);
    }

    /// <summary>Takes what has arrived in its turn, up to the first page with records: the rest waits until those are applied.</summary>
    private void TakePages(List<ProgressEffect> effects)
    {
        while (State == ProgressState.Pulling && _arrived.Remove(_nextPage, out var next))
        {
            var (page, at) = next;
            _nextPage++;
            switch (page.Status)
            {
                case PageStatus.Ok:
                    break;
                case PageStatus.TooOld:
                    Bootstrap(effects);
                    return;
                case PageStatus.SourceDamaged:
                    LeaveOrWait(PullProblem.SourceDamaged, "the source's log is damaged", effects);
                    return;
                default:
                    // Lost, or something that only a newer source says.
                    BackOff(PullProblem.SessionLost, "the source lost the session", effects);
                    return;
            }

            if (page.Cluster != _cluster)
            {
                LeaveOrStop(StopReason.OtherCluster, $"the source belongs to cluster {page.Cluster}, this replica to {_cluster}", effects);
                return;
            }

            if (page.Source.History != _position.History)
            {
                // Asked again, it says what it has at this replica's position.
                RefusedPages++;
                BackOff(PullProblem.PageRefused, $"the source changed to history {page.Source.History}, this replica is in {_position.History}", effects);
                return;
            }

            if (page.Path is not null && !TakePath(page.Path, effects))
            {
                return;
            }

            if (page.From != _position.Revision.Next || page.To < page.From)
            {
                // Lost, repeated or reordered on the way: never applied, asked for again from where this replica stands.
                RefusedPages++;
                BackOff(PullProblem.PageRefused, $"a page starts at revision {page.From}, {_position.Revision.Next} was to come", effects);
                return;
            }

            Source = page.Source;
            Ask(effects);
            if (page.To > page.From)
            {
                effects.Add(new ProgressEffect.Apply(page, at));
                return;
            }

            Succeed();
            effects.Add(new ProgressEffect.Level(page, at));
        }
    }

    private void Bootstrap(List<ProgressEffect> effects)
    {
        Leave(ProgressState.Bootstrapping);
        effects.Add(new ProgressEffect.Bootstrap(_attempt));
    }

    private void Ask(List<ProgressEffect> effects) => effects.Add(new ProgressEffect.Next(
        _attempt, new(_session, _nextRequest++, _position.Revision, options.PageBytes, options.MaxWait)));

    private void BackOff(PullProblem problem, string why, List<ProgressEffect> effects)
    {
        if (++_failuresHere >= options.FailuresBeforeLeaving && _hasOthers && _linked)
        {
            _failures++;
            LeaveSource(problem, why, effects);
            return;
        }

        Leave(_linked ? ProgressState.Waiting : ProgressState.Disconnected);
        (Problem, Trouble) = (problem, why);
        var limit = Math.Min(options.MaxBackoff.TotalMilliseconds, options.MinBackoff.TotalMilliseconds * Math.Pow(2, Math.Min(_failures++, 20)));

        // Half of it at random, so that the children of a source that came back do not all ask at once.
        effects.Add(new ProgressEffect.Wait(_attempt, TimeSpan.FromMilliseconds((limit / 2) + (random.NextDouble() * limit / 2))));
    }

    private void Stop(StopReason reason, string why)
    {
        Leave(ProgressState.Stopped);
        StopReason = reason;
        Trouble = why;
    }

    /// <summary>Ends the current attempt: whatever is still on its way for it is ignored from here on.</summary>
    private void Leave(ProgressState next)
    {
        State = next;
        _attempt++;
        (_cluster, _position) = (_own.Cluster, _own.Position);
        _nextRequest = 0;
        _nextPage = 0;
        _arrived.Clear();
        Path = [];
    }
}
