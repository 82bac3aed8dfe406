using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>
/// How one replica follows one source: a synchronous state machine, an event in, effects out. It owns no clock, socket or disk.
///
/// Disconnected -> Probing -> Pulling; any loss, reorder or doubt leads back to Probing, with a growing wait in between where
/// something failed. Where the source's log begins after the replica's position: Probing -> Bootstrapping -> Probing. What no retry can
/// mend ends in Stopped. The replica's own position is all it ever resumes from.
///
/// A source that fails again and again, or is the wrong one, is left for another where there is one. Where a source has other records at
/// the same position, it is distrusted first. The replica's own state is given up, and kept aside, only when two independent sources agree
/// against it: neither pulls from the other, and one of them is a replica. Members of the hub are one word, however many say it: all of them
/// can have been put back from old copies. Where every source has spoken and no two such agree, the replica stops.
///
/// A replica that is to hold more keyspaces than it does takes a copy of those, pulls to the revision that the copy is of, and puts it in place.
/// Where no such copy comes, it pulls what it holds for a while before it tries again.
///
/// Invariant: pages are applied in the order of their request numbers, and only where a page starts right after the applied
/// position. Everything else about a page is checked where it is applied, against the chains.
/// </summary>
public sealed partial class Progress(PullOptions options, Random random, NodeId self = default, Subscription? wanted = null)
{
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
    private int _refusals;
    private bool _linked;
    private int _others;
    private bool _quarantines;
    private NodeId _node;
    private TimeSpan _roundTrip;

    // Keyspaces are missing, and the revision that the copy of them is of, once it is here.
    private bool _adds;
    private bool _replaces;
    private bool _addPaused;
    private int _addFailures;
    private int _addTries;
    private string? _addTrouble;
    private Revision? _addAt;

    // What is on disk is damaged, and to be replaced by a copy; and whom the last copy of everything is from.
    private bool _heals;
    private NodeId _copiedFrom;

    public ProgressState State { get; private set; }

    /// <summary>A copy of keyspaces to add is here, or is being received.</summary>
    public bool IsAdding => _adds;

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
        // One without a record may still follow any cluster, whatever it has taken part in.
        _own = progress.Position.Revision == Revision.None ? default : (progress.Cluster, progress.Position, progress.Chain);
        (_cluster, _position) = (_own.Cluster, _own.Position);
        (_adds, _addAt) = (wanted is not null && !_own.Cluster.IsNone && !progress.Subscription.Equals(wanted), null);
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
                (_linked, _others) = (true, up.Others);
                if (up.Node != _node)
                {
                    // It may have what the last one had not.
                    (_failuresHere, _refusals, _addFailures, _addPaused) = (0, 0, 0, false);
                }

                (_node, _roundTrip) = (up.Node, up.RoundTrip);
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
                Succeed(hasApplied: true);
                if (_addAt == applied.Position.Revision)
                {
                    InstallAdded(effects);
                    break;
                }

                TakePages(effects);
                break;
            case ProgressEvent.Damaged damaged:
                OnDamaged(damaged, effects);
                break;
            case ProgressEvent.AddDue:
                _addPaused = false;
                if (_adds && _addAt is null && State == ProgressState.Pulling)
                {
                    Probe(effects);
                }

                break;
            case ProgressEvent.Refused refused:
                RefusedPages++;
                BackOff(PullProblem.PageRefused, $"a page was refused: {refused.Why}", effects);
                break;
            case ProgressEvent.ApplyFailed failed:
                Stop(StopReason.StorageFailed, failed.Why);
                break;
            case ProgressEvent.SnapshotReceived received when received.Attempt == _attempt && State == ProgressState.Bootstrapping:
                OnReceived(received.At, effects);
                break;
            case ProgressEvent.Installed installed:
                Reset(installed.Progress);
                Bootstraps++;
                _failures = _failuresHere = 0;

                // Keyspaces that were added mend nothing of what was there.
                (_quarantines, _heals) = (false, _heals && !_replaces);
                (_addFailures, _addTries, _addTrouble) = (0, 0, null);
                _against.Clear();
                Probe(effects);
                break;
            case ProgressEvent.BootstrapFailed failed when failed.Attempt == _attempt && State == ProgressState.Bootstrapping:
                OnBootstrapFailed(failed.Why, effects);
                break;
        }
    }

    private void Probe(List<ProgressEffect> effects)
    {
        Leave(ProgressState.Probing);
        effects.Add(new ProgressEffect.Open(
            _attempt, _own.Cluster, _own.Position, _own.Chain, _roundTrip >= options.CompressFrom ? PageEncoding.Zstd : PageEncoding.None));
    }

    private void OnOpened(OpenPullAnswer answer, List<ProgressEffect> effects)
    {
        switch (answer.Status)
        {
            case OpenPullStatus.Open when answer.Cluster.IsNone:
                LeaveOrWait(PullProblem.WrongSource, "the source belongs to no cluster", effects);
                break;
            case OpenPullStatus.Open:
                if (!TakePath(answer.Path, effects))
                {
                    break;
                }

                // It has what this replica has: whoever said otherwise is wrong.
                _against.Clear();
                _quarantines = false;
                if (_heals || (_own.Cluster.IsNone && answer.Source.Revision.Value > options.MaxRecordsToBegin))
                {
                    Bootstrap(effects);
                    break;
                }

                if (_adds && _addAt is null && !_addPaused)
                {
                    Leave(ProgressState.Bootstrapping);
                    _replaces = false;
                    effects.Add(new ProgressEffect.Bootstrap(_attempt, Adds: true));
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
                while (_nextRequest < Window)
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
                LeaveOrWait(PullProblem.Cycle, "the source pulls from this node", effects);
                break;
            case OpenPullStatus.NotHeld:
                LeaveOrWait(PullProblem.NotHeld, "the source does not hold all the keyspaces that this node is to hold (Quicksilver:Keyspaces)", effects);
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

    private void Succeed(bool hasApplied)
    {
        // A page without records proves nothing of those that were refused.
        _refusals = hasApplied ? 0 : _refusals;
        _failures = _failuresHere = _refusals;
        (Problem, Trouble) = (PullProblem.None, _addTrouble);
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

            if (page.To == page.From && page.Records.Length > 0)
            {
                RefusedPages++;
                BackOff(PullProblem.PageRefused, $"a page has records and no revision for them ({page.From} was to come)", effects);
                return;
            }

            if (page.From != _position.Revision.Next || page.To < page.From)
            {
                // Lost, repeated or reordered on the way: never applied, asked for again from where this replica stands.
                RefusedPages++;
                BackOff(PullProblem.PageRefused, $"a page starts at revision {page.From}, {_position.Revision.Next} was to come", effects);
                return;
            }

            if (page.To.Value > page.Source.Revision.Value + 1)
            {
                // Of a part of the log nothing else bounds it: this replica would believe to be where nobody is.
                RefusedPages++;
                BackOff(PullProblem.PageRefused, $"a page says that it goes to revision {page.To}, and its source is at {page.Source.Revision}", effects);
                return;
            }

            Source = page.Source;
            Ask(effects);
            if (page.To > page.From)
            {
                effects.Add(new ProgressEffect.Apply(page, at, _addAt < page.To ? _addAt : null));
                return;
            }

            Succeed(hasApplied: false);
            effects.Add(new ProgressEffect.Level(page, at));
        }
    }

    /// <summary>Requests to keep open: one for each period of a round trip, and one that is being answered.</summary>
    private int Window => (int)Math.Clamp(
        Math.Ceiling(_roundTrip / options.PagePeriod) + 1, options.Window, Math.Max(options.Window, options.MaxWindow));

    private void Ask(List<ProgressEffect> effects)
    {
        // A way of one period needs no pace: the next request is there when the next record is.
        var pace = Window > options.Window ? _roundTrip / Window : TimeSpan.Zero;
        effects.Add(new ProgressEffect.Next(
            _attempt,
            new(_session, _nextRequest++, _position.Revision, Math.Min(options.PageBytes, options.MaxBytesInFlight / Window), options.MaxWait, pace)));
    }

    private void BackOff(PullProblem problem, string why, List<ProgressEffect> effects)
    {
        _refusals += problem == PullProblem.PageRefused ? 1 : 0;
        if (++_failuresHere >= options.FailuresBeforeLeaving && _others > 0 && _linked)
        {
            _failures++;
            LeaveSource(problem, why, effects);
            return;
        }

        Leave(_linked ? ProgressState.Waiting : ProgressState.Disconnected);
        (Problem, Trouble) = (problem, why);
        effects.Add(new ProgressEffect.Wait(_attempt, Pause(options.MinBackoff, options.MaxBackoff, _failures++)));
    }

    /// <summary>Doubles with each failure. Half of it at random, so that the children of a source that came back do not all ask at once.</summary>
    private TimeSpan Pause(TimeSpan first, TimeSpan longest, int failures)
    {
        var limit = Math.Min(longest.TotalMilliseconds, first.TotalMilliseconds * Math.Pow(2, Math.Min(failures, 20)));
        return TimeSpan.FromMilliseconds((limit / 2) + (random.NextDouble() * limit / 2));
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
