using System.Diagnostics;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>Commands that one caller handed over together, and where its outcomes go.</summary>
internal sealed class Submission(IReadOnlyList<ReadOnlyMemory<byte>> commands, long bytes)
{
    private readonly TaskCompletionSource<CommitOutcome[]> _outcomes = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IReadOnlyList<ReadOnlyMemory<byte>> Commands { get; } = commands;

    public long Bytes { get; } = bytes;

    /// <summary>The span of its caller, where it is traced.</summary>
    public Activity? Span { get; init; }

    public Task<CommitOutcome[]> Outcomes => _outcomes.Task;

    public void Complete(CommitOutcome[] outcomes) => _outcomes.TrySetResult(outcomes);

    public void CompleteAll(CommitOutcome outcome)
    {
        var outcomes = new CommitOutcome[Commands.Count];
        Array.Fill(outcomes, outcome);
        _outcomes.TrySetResult(outcomes);
    }
}

/// <summary>One entry made of submissions, on its way through Raft.</summary>
internal sealed record Proposal(ProposalId Id, IReadOnlyList<Submission> Submissions, ReadOnlyMemory<byte> Entry)
{
    /// <summary>The span of its way through Raft, where it is traced.</summary>
    public Activity? Span { get; set; }
}

/// <summary>
/// Group commit as a state machine: submissions and applied entries go in, proposals and outcomes come out; time is an argument.
/// What is queued when an entry may be made goes into it, so there is no timer: a lone command waits for nobody, and under load
/// an entry grows while the one before it is on its way.
/// Invariant: every submission is completed exactly once: by its applied entry, by expiry, or by a refusal.
/// </summary>
internal sealed class SequencerPump(SequencerOptions options, ulong incarnation)
{
    private readonly Lock _gate = new();
    private readonly Queue<Submission> _queue = new();

    // Proposals whose fate is open, by id. More than one only after a leadership was lost with an entry on its way.
    private readonly Dictionary<ProposalId, Proposal> _open = [];
    private readonly ByteWriter _entry = new(64 * 1024);
    private int _queuedCommands;
    private long _refused;
    private long _queuedBytes;
    private ulong _number;
    private LogTime _lastStamp;
    private bool _closed;

    /// <summary>Commands refused because the queue was full, since the start.</summary>
    public long Refused => Volatile.Read(ref _refused);

    public int QueuedCommands => Volatile.Read(ref _queuedCommands);

    public long QueuedBytes => Volatile.Read(ref _queuedBytes);

    /// <summary>
    /// Queues a submission. Null: it will be completed. Else the outcome to refuse it with, and nothing was kept.
    /// </summary>
    public CommitOutcome? Enqueue(Submission submission)
    {
        lock (_gate)
        {
            if (_closed)
            {
                return CommitOutcome.Unavailable;
            }

            // A lone submission is let in whatever its size: a limit that refuses it for ever would be a dead end.
            if (_queue.Count > 0
                && (_queuedCommands + submission.Commands.Count > options.MaxQueuedCommands
                    || _queuedBytes + submission.Bytes > options.MaxQueuedBytes))
            {
                _refused += submission.Commands.Count;
                return CommitOutcome.Overloaded(options.RetryAfter);
            }

            _queue.Enqueue(submission);
            _queuedCommands += submission.Commands.Count;
            _queuedBytes += submission.Bytes;
            return null;
        }
    }

    /// <summary>
    /// Makes the next entry from what is queued, or null where nothing is. One at a time: the entry's buffer is used again by
    /// the next call. <paramref name="progress"/> is the state of this leader, <paramref name="now"/> its clock.
    /// </summary>
    public Proposal? MakeEntry(StoreProgress progress, LogTime now)
    {
        lock (_gate)
        {
            if (_queue.Count == 0)
            {
                return null;
            }

            var submissions = new List<Submission>();
            var commands = 0;
            long bytes = 0;
            while (_queue.TryPeek(out var next)
                && (submissions.Count == 0
                    || (commands + next.Commands.Count <= options.MaxEntryCommands && bytes + next.Bytes <= options.MaxEntryBytes)))
            {
                submissions.Add(_queue.Dequeue());
                commands += next.Commands.Count;
                bytes += next.Bytes;
            }

            _queuedCommands -= commands;
            _queuedBytes -= bytes;

            // Log time never goes back: not when the clock does, and not when this leader has not applied its last entry yet.
            var stamp = now > progress.LogTime ? now : progress.LogTime;
            _lastStamp = stamp > _lastStamp ? stamp : _lastStamp;
            var id = new ProposalId(incarnation, ++_number);
            _entry.Clear();
            EntryFormat.WriteHeader(_entry, new(id, _lastStamp, progress.Position.Revision, progress.Chain), commands);
            foreach (var submission in submissions)
            {
                foreach (var command in submission.Commands)
                {
                    EntryFormat.WriteCommand(_entry, default, command.Span);
                }
            }

            var proposal = new Proposal(id, submissions, _entry.WrittenMemory);
            _open.Add(id, proposal);
            return proposal;
        }
    }

    /// <summary>The span of an entry that is on its way from here and is traced, or null.</summary>
    public Activity? SpanOf(ProposalId id)
    {
        lock (_gate)
        {
            return _open.TryGetValue(id, out var proposal) ? proposal.Span : null;
        }
    }

    /// <summary>An entry was applied here, made by this process or another: completes the callers of one that was ours.</summary>
    public void OnApplied(ProposalId id, CommitOutcome[] outcomes)
    {
        if (Take(id) is not { } proposal)
        {
            return;
        }

        var start = 0;
        foreach (var submission in proposal.Submissions)
        {
            var count = submission.Commands.Count;
            submission.Complete(outcomes[start..(start + count)]);
            start += count;
        }
    }

    /// <summary>
    /// The consensus log answered for an entry. True where its fate is open: the next leader gets <see cref="SequencerOptions.UnknownGrace"/>
    /// to commit it after all, then <see cref="OnExpired"/> is due.
    /// </summary>
    public bool OnResult(ProposalId id, ProposeResult result)
    {
        switch (result)
        {
            case ProposeResult.Applied:
                // Normally its callers have been completed by apply. One that is still open was taken for an entry that the
                // store had already: whatever that means, its fate is not known.
                OnExpired(id);
                return false;
            case ProposeResult.NotProposed:
                // Its callers hear that nothing happened.
                CompleteAll(id, CommitOutcome.Unavailable);
                return false;
            case ProposeResult.Unknown or ProposeResult.Unspecified:
            default:
                return true;
        }
    }

    /// <summary>Nobody learned the fate of the entry in time.</summary>
    public void OnExpired(ProposalId id) => CompleteAll(id, CommitOutcome.Unknown);

    /// <summary>This member does not lead, or stops: what is queued was never proposed.</summary>
    public void RefuseQueued()
    {
        lock (_gate)
        {
            while (_queue.TryDequeue(out var submission))
            {
                submission.CompleteAll(CommitOutcome.Unavailable);
            }

            _queuedCommands = 0;
            _queuedBytes = 0;
        }
    }

    /// <summary>Takes nothing more, and refuses what is queued.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
            RefuseQueued();
        }
    }

    /// <summary>This process stops: the fate of what is on its way will not be learned here.</summary>
    public void ExpireAll()
    {
        lock (_gate)
        {
            Close();
            foreach (var proposal in _open.Values)
            {
                foreach (var submission in proposal.Submissions)
                {
                    submission.CompleteAll(CommitOutcome.Unknown);
                }
            }

            _open.Clear();
        }
    }

    private void CompleteAll(ProposalId id, CommitOutcome outcome)
    {
        if (Take(id) is { } proposal)
        {
            foreach (var submission in proposal.Submissions)
            {
                submission.CompleteAll(outcome);
            }
        }
    }

    private Proposal? Take(ProposalId id)
    {
        lock (_gate)
        {
            return _open.Remove(id, out var proposal) ? proposal : null;
        }
    }
}
