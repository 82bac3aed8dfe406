using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// The log of one member between its leader, its disk and its state. Knows Raft's rules for a log, and nothing of the library that
/// elects leaders; <see cref="RaftLog"/> is what that library sees.
///
/// Promises: what a leader sent is on this disk when <see cref="Append"/> returns; a commit waits for this disk; entries are applied in
/// order, once, after they are committed; the first failure ends all of it.
/// </summary>
/// <remarks>
/// Locks: <c>_gate</c> guards what is in memory and is held for moments; <c>_writing</c> is held while the store writes and flushes
/// entries, <c>_voting</c> while it does so with votes, and both are taken first.
/// </remarks>
internal sealed partial class EntryLog : IAsyncDisposable
{
    /// <summary>Payloads of applied entries kept for followers that are a little behind, bytes.</summary>
    private const long KeptPayloadBytes = 16L << 20;

    /// <summary>Committed and not yet applied, bytes: a follower that is above takes nothing more until it has applied some.</summary>
    private const long MaxUnappliedBytes = 64L << 20;

    private readonly IRaftLogStore _store;
    private readonly NodeStore _state;
    private readonly HubStateMachine _machine;
    private readonly Func<RaftLogEntry, CancellationToken, ValueTask> _saveMembers;
    private readonly Lock _gate = new();
    private readonly Lock _writing = new();
    private readonly Lock _voting = new();
    private readonly RaftTail _tail = new(KeptPayloadBytes);
    private readonly List<RaftLogEntry> _unwritten = [];
    private readonly IndexWaiters _flushed = new();
    private readonly IndexWaiters _applied = new();
    private readonly SemaphoreSlim _flushSignal = new(0);
    private readonly SemaphoreSlim _applySignal = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _flusher;
    private Task _applier = Task.CompletedTask;
    private volatile RaftVotes _votes;
    private volatile Exception? _failure;
    private long _last;
    private long _committed;
    private long _unappliedBytes;
    private long _leadingTerm;
    private long _begunTerm = -1;
    private long _agreed;
    private bool _isStarted;
    private volatile bool _hasHeard = true;

    private readonly TermsBelow _below = new();
    private int _flushSignalled;

    // Of the thread that flushes: how many it began, and which one it is at work on; 0 for none.
    private long _flushes;
    private long _flushUnderWay;

    /// <param name="store">The disk; disposed with this.</param>
    /// <param name="state">What entries are applied to.</param>
    /// <param name="machine">Applies entries, and hears of the first failure.</param>
    /// <param name="saveMembers">Saves an entry that holds the members of the hub, before the next one is applied.</param>
    public EntryLog(IRaftLogStore store, NodeStore state, HubStateMachine machine, Func<RaftLogEntry, CancellationToken, ValueTask> saveMembers)
    {
        _store = store;
        _state = state;
        _machine = machine;
        _saveMembers = saveMembers;
        _votes = store.Votes;
        _flusher = new(FlushLoop) { IsBackground = true, Name = "raft-flush" };
    }

    /// <summary>Term in which this member last began to lead; 0 for never. Whether it still does is another matter.</summary>
    public Term LeadingTerm => new(Volatile.Read(ref _leadingTerm));

    public RaftVotes Votes => _votes;

    public LogIndex Last => new(Volatile.Read(ref _last));

    /// <summary>
    /// Up to where the member knows that entries are committed. One whose log is nothing but a floor came by a snapshot, and says that it
    /// knows of none until it has heard of a leader: the leader may begin with its own floor, which is before this one, and the library
    /// refuses a floor that it knows to be committed, each time anew.
    /// </summary>
    public LogIndex Committed => new(_hasHeard ? Volatile.Read(ref _committed) : 0);

    /// <inheritdoc cref="IRaftLog.FlushUnderWay"/>
    public long? FlushUnderWay => Volatile.Read(ref _flushUnderWay) is var flush and not 0 ? flush : null;

    /// <summary>Reads and checks all of the log; once, before anything else. Throws <see cref="StorageException"/> (Corrupt).</summary>
    public void Load()
    {
        _tail.Reset(_state.ReadRaftFloor() ?? default);
        foreach (var entry in _store.ReadAll())
        {
            _tail.Add(entry);
            _tail.Unload(_state.Progress.AppliedIndex);
        }

        _last = _tail.LastIndex.Value;
        if (_last > 0)
        {
            // What was there after a crash may have been in the memory of the system only.
            _store.Sync(_tail.Last);
        }

        _flushed.Reach(_tail.LastIndex);

        // What was applied was committed. A member that joins has state, and no log yet.
        _committed = Math.Max(_tail.Floor.Index.Value, Math.Min(_last, _state.Progress.AppliedIndex.Value));
        _applied.Reach(new(_tail.Floor.Index.Value));
        _hasHeard = _last == 0 || _last > _tail.Floor.Index.Value;
    }

    /// <summary>Begins to write and to apply; completes when what is known to be committed has been applied.</summary>
    public ValueTask StartAsync(CancellationToken cancellation)
    {
        // A hub of one leads from its start, in the term it has, without an entry that says so, and commits what is there. In a larger
        // one nobody leads a term that began before its start, and the first request of a leader says how far its log is the leader's.
        _leadingTerm = _votes.Term.Value;
        _agreed = _last;
        _isStarted = true;
        _flusher.Start();
        _applier = ApplyLoopAsync();
        _applySignal.Release();
        return _applied.WaitAsync(new(_committed), cancellation);
    }

    /// <summary>Changes what the member has promised; on disk on return.</summary>
    public RaftVotes Vote(Func<RaftVotes, RaftVotes> change)
    {
        ThrowIfFailed();
        try
        {
            lock (_voting)
            {
                var votes = change(_votes);
                _store.SaveVotes(votes);
                lock (_gate)
                {
                    _votes = votes;
                }

                return votes;
            }
        }
        catch (Exception e)
        {
            Fail(e);
            throw;
        }
    }

    /// <summary>
    /// Leader: the next entry. In memory on return; it gets to the disk beside its way to the followers. Throws
    /// <see cref="StaleLeadershipException"/> where the leadership is over; nothing was appended then.
    /// </summary>
    /// <param name="begins">The first entry of a leadership.</param>
    public LogIndex AppendNext(Term term, int? commandId, bool isConfiguration, bool begins, ReadOnlyMemory<byte> payload)
    {
        ThrowIfFailed();
        RaftLogEntry next;
        lock (_gate)
        {
            // The same index and term must mean the same entry everywhere, and one that was deposed a moment ago may not know it yet:
            // the term is on disk before a request of its leader is appended.
            if (term != _votes.Term || (!begins && term.Value != _leadingTerm))
            {
                throw new StaleLeadershipException(term);
            }

            next = new(new(_last + 1), term, commandId, isConfiguration, payload);
            _tail.Add(next);
            _unwritten.Add(next);
            _begunTerm = term.Value;
            _hasHeard = true;
            _agreed = next.Index.Value;
            Volatile.Write(ref _leadingTerm, term.Value);
            Volatile.Write(ref _last, next.Index.Value);
        }

        if (Interlocked.Exchange(ref _flushSignalled, 1) == 0)
        {
            _flushSignal.Release();
        }

        return next.Index;
    }

    /// <summary>
    /// Follower: the entries of a request, at their places. On disk on return, and everything before them: the answer acknowledges the
    /// whole prefix. Entries that are there with the same terms stay, because a late, shorter copy of a request must not cut off what
    /// was acknowledged since. Throws <see cref="ArgumentException"/> where they do not fit the log; nothing was changed then.
    /// </summary>
    public void Append(List<RaftLogEntry> request, LogIndex start, bool skipCommitted) => Guarded(() => AppendRequest(request, start.Value, skipCommitted));

    /// <summary>
    /// A leader that has cut its log sends the floor in place of what is before it. A member whose state, or log, is that far takes it;
    /// one that is behind cannot go on by the log and throws <see cref="NeedsRepairException"/>.
    /// </summary>
    public void Install(RaftFloor floor) => Guarded(() => InstallFloor(floor));

    private void AppendRequest(List<RaftLogEntry> request, long startIndex, bool skipCommitted)
    {
        lock (_writing)
        {
            ThrowIfFailed();

            // What this member appended while it led comes first.
            WriteUnwritten();
            var count = request.Count;
            int known;
            RaftFloor before;
            LogIndex? replacedTo;
            lock (_gate)
            {
                ArgumentOutOfRangeException.ThrowIfGreaterThan(startIndex, _last + 1);
                known = CountKnown(request, skipCommitted);
                if (known == request.Count)
                {
                    request = [];
                }

                var first = startIndex + known;
                before = new(new(first - 1), _tail.TermOf(new(first - 1)));
                replacedTo = request.Count > 0 && first <= _last ? new(_last) : null;
            }

            if (request.Count > 0)
            {
                var fresh = known == 0 ? request : request[known..];
                _store.Append(fresh, before, replacedTo);
                lock (_gate)
                {
                    if (replacedTo is not null)
                    {
                        _tail.CutOffBehind(before.Index);
                        _flushed.FallBackTo(before.Index);
                    }

                    fresh.ForEach(_tail.Add);
                    Volatile.Write(ref _last, _tail.LastIndex.Value);
                }
            }

            lock (_gate)
            {
                _agreed = startIndex + count - 1;
                _hasHeard = true;
            }

            Flush();
        }
    }

    /// <summary>How many of the first entries the log has at their places, with the same terms.</summary>
    private int CountKnown(List<RaftLogEntry> request, bool skipCommitted)
    {
        var known = 0;
        foreach (var entry in request)
        {
            // Committed ones are what they are: no leader can have others.
            var isCommitted = entry.Index.Value <= _committed;
            if (isCommitted && !skipCommitted)
            {
                throw new ArgumentException($"Entry {entry.Index} is committed and cannot be replaced.", nameof(request));
            }

            if (entry.Index < _tail.Floor.Index)
            {
                _below.Note(entry.Index, entry.Term);
            }

            if (!isCommitted && (entry.Index.Value > _last || _tail.TermOf(entry.Index) != entry.Term))
            {
                break;
            }

            known++;
        }

        return known;
    }

    private void InstallFloor(RaftFloor floor)
    {
        lock (_writing)
        {
            ThrowIfFailed();
            WriteUnwritten();
            bool isKnown;
            RaftFloor end;
            LogIndex last;
            lock (_gate)
            {
                if (floor.Index <= _tail.Floor.Index)
                {
                    // All of it is in the snapshot that this log begins with. What the leader sends next begins behind its floor.
                    _below.Begin(floor);
                    _agreed = Math.Max(_agreed, _tail.Floor.Index.Value);
                    _hasHeard = true;
                    return;
                }

                if (floor.Index.Value <= _committed)
                {
                    throw new ArgumentException($"Entry {floor.Index} is committed already.", nameof(floor));
                }

                isKnown = floor.Index.Value <= _last && _tail.TermOf(floor.Index) == floor.Term;
                end = new(new(_committed), _tail.TermOf(new(_committed)));
                last = _tail.LastIndex;
            }

            if (isKnown)
            {
                // All of it is here, up to the same entry, and the leader could cut only what is committed.
                Flush();
                lock (_gate)
                {
                    _agreed = floor.Index.Value;
                    SetCommitted(floor.Index.Value);
                }

                _applySignal.Release();
                return;
            }

            _machine.RequireReaches(floor);
            if (last > end.Index)
            {
                // Of a leader before, and never committed. What of it is committed after all comes again.
                _store.CutOff(end, last);
            }

            _machine.InstallFloor(floor);
            lock (_gate)
            {
                _tail.Reset(floor);
                _flushed.FallBackTo(end.Index);
                _agreed = floor.Index.Value;
                _unappliedBytes = 0;
                Volatile.Write(ref _last, floor.Index.Value);
                Volatile.Write(ref _committed, floor.Index.Value);

                // Under the lock: the loop that applies must never look for an entry below the floor.
                _applied.Reach(floor.Index);
            }

            Flush();
        }
    }

    private void FlushLoop()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                _flushSignal.Wait(_stop.Token);
                Volatile.Write(ref _flushSignalled, 0);
                Volatile.Write(ref _flushUnderWay, ++_flushes);
                lock (_writing)
                {
                    ThrowIfFailed();
                    if (WriteUnwritten())
                    {
                        Flush();
                    }
                }

                Volatile.Write(ref _flushUnderWay, 0);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException && _stop.IsCancellationRequested)
        {
            // Stopped in order.
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }

    /// <summary>Under <c>_writing</c>. False where there was nothing.</summary>
    private bool WriteUnwritten()
    {
        List<RaftLogEntry> some;
        RaftFloor before;
        lock (_gate)
        {
            if (_unwritten.Count == 0)
            {
                return false;
            }

            some = [.. _unwritten];
            _unwritten.Clear();
            before = new(new(some[0].Index.Value - 1), _tail.TermOf(new(some[0].Index.Value - 1)));
        }

        _store.Append(some, before, replacedTo: null);
        return true;
    }

    /// <summary>Under <c>_writing</c>: everything that was written is durable on return.</summary>
    private void Flush()
    {
        RaftFloor last;
        lock (_gate)
        {
            var end = _unwritten.Count > 0 ? new LogIndex(_unwritten[0].Index.Value - 1) : _tail.LastIndex;
            last = new(end, _tail.TermOf(end));
        }

        if (last.Index > _flushed.Reached)
        {
            _store.Sync(last);
            _flushed.Reach(last.Index);
        }
    }

    private void ThrowIfFailed()
    {
        ObjectDisposedException.ThrowIf(_stop.IsCancellationRequested, this);
        if (_failure is { } failure)
        {
            throw new InvalidOperationException($"The Raft log failed: {failure.Message}", failure);
        }
    }

    /// <summary>
    /// A request that does not fit the log is refused and changes nothing. Whatever else goes wrong leaves memory and disk apart, or may,
    /// and ends this log.
    /// </summary>
    private void Guarded(Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is not (ArgumentException or ObjectDisposedException))
        {
            Fail(e);
            throw;
        }
    }

    /// <summary>The first failure counts: nothing is written, committed or applied after it.</summary>
    private void Fail(Exception e)
    {
        if (Interlocked.CompareExchange(ref _failure, e, null) is null)
        {
            _flushed.Fail(e);
            _applied.Fail(e);
            _machine.Fail(e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        if (_isStarted)
        {
            await Task.Run(_flusher.Join).ConfigureAwait(false);
        }

        await _applier.ConfigureAwait(false);
        var ended = new ObjectDisposedException(nameof(EntryLog));
        _flushed.Fail(ended);
        _applied.Fail(ended);
        _store.Dispose();
    }
}
