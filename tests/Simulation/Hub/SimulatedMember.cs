using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Hub;

/// <summary>
/// A hub member: pump, apply and clock as they are, on a real store, between simulated clients and a simulated Raft. A crash takes what is
/// in memory; what its process was asked is lost with it.
/// </summary>
internal sealed class SimulatedMember : IDisposable
{
    private readonly Simulator _simulator;
    private readonly SimulatedRaft _raft;
    private readonly SequencerOptions _options;
    private readonly Plant _plant;
    private readonly DataDirectory _directory;
    private readonly NodeStore _store;
    private readonly List<(Submission Submission, Action<CommitOutcome[]?> Answer)> _open = [];
    private readonly List<(int Index, Action Run)> _waiting = [];
    private CopyFilter _copies = new();
    private EntryApplier _applier;
    private SequencerPump _pump;
    private HubLogClock _clock;
    private int _applied;
    private bool _isApplying;
    private bool _isProposing;

    public SimulatedMember(Simulator simulator, SimulatedRaft raft, string node, string path, SequencerOptions options, Plant plant)
    {
        _simulator = simulator;
        _raft = raft;
        _options = options;
        _plant = plant;
        Node = NodeId.Parse(node);
        WallClock = new(simulator);
        _directory = DataDirectory.Take(path);
        _store = NodeStore.Open(_directory, new() { Node = Node });
        (_applier, _pump, _clock) = Begin(options.OperationWindow);
    }

    public NodeId Node { get; }

    public VirtualClock WallClock { get; }

    public bool IsUp { get; private set; } = true;

    /// <summary>Which process of this member it is: another after each crash.</summary>
    public int Life { get; private set; }

    /// <summary>True where it thinks that it leads.</summary>
    public bool IsLeading { get; private set; }

    public long LeadingTerm { get; private set; }

    /// <summary>Applies slowly.</summary>
    public bool IsSlow { get; set; }

    public LogTime LogTime => _clock.Now;

    public int OpenSubmissions => _open.Count;

    public int RememberedOperations => _applier.RememberedOperations;

    public View AcquireView() => _store.AcquireView();

    private (EntryApplier, SequencerPump, HubLogClock) Begin(OperationWindow window) => (
        new(_store, window), new(_options, (ulong)_simulator.Random.NextInt64()), new(_store, () => IsLeading, WallClock));

    /// <summary>What a client asks. The answer is null where the process ended before there was one.</summary>
    public void Commit(CallId call, IReadOnlyList<ReadOnlyMemory<byte>> commands, Action<CommitOutcome[]?> answer)
    {
        var submission = new Submission(commands, commands.Sum(command => command.Length));
        _open.Add((submission, answer));
        if (_plant != Plant.LetsCopiesIn && !_copies.IsFirst(call))
        {
            submission.CompleteAll(CommitOutcome.Unknown);
        }
        else if (!IsLeading)
        {
            submission.CompleteAll(CommitOutcome.Unavailable);
        }
        else if (_pump.Enqueue(submission) is { } refusal)
        {
            submission.CompleteAll(refusal);
        }

        Drive();
    }

    /// <summary>The driver of the pump: one entry on its way at a time.</summary>
    private void Drive()
    {
        if (!IsLeading)
        {
            _pump.RefuseQueued();
        }

        if (!_isProposing && _pump.MakeEntry(_store.Progress, _clock.Now) is { } proposal)
        {
            _isProposing = true;
            _simulator.Note($"{Node} proposes {proposal.Id.Number} with {proposal.Submissions.Count} submissions");
            _raft.Propose(this, proposal.Entry.ToArray(), result =>
            {
                _isProposing = false;
                if (_pump.OnResult(proposal.Id, result))
                {
                    var life = Life;
                    _simulator.After(_options.UnknownGrace, "grace is over", () =>
                    {
                        if (life == Life)
                        {
                            _pump.OnExpired(proposal.Id);
                            AnswerCompleted();
                        }
                    });
                }

                Drive();
            });
        }

        AnswerCompleted();
    }

    private void AnswerCompleted()
    {
        foreach (var done in _open.Where(open => open.Submission.Outcomes.IsCompleted).ToList())
        {
            _open.Remove(done);
            done.Answer(done.Submission.Outcomes.Result);
        }
    }

    public void Lead(long term)
    {
        (IsLeading, LeadingTerm) = (true, term);
        Drive();
    }

    public void StepDown(int life, long term)
    {
        if (life == Life && term == LeadingTerm)
        {
            IsLeading = false;
            Drive();
        }
    }

    /// <summary>Runs something when this process has applied that entry; never where it ends before.</summary>
    public void WhenApplied(int index, Action run)
    {
        if (_applied >= index)
        {
            run();
        }
        else
        {
            _waiting.Add((index, run));
        }
    }

    public void ApplySoon()
    {
        if (_isApplying || !IsUp || _applied >= _raft.Last)
        {
            return;
        }

        _isApplying = true;
        var life = Life;
        _simulator.After(_simulator.Between(0.05, IsSlow ? 4_000 : 4), $"{Node} applies", () =>
        {
            if (life == Life)
            {
                _isApplying = false;
                Apply();
                ApplySoon();
            }
        });
    }

    private void Apply()
    {
        for (var count = 1 + _simulator.Random.Next(8); count > 0 && _applied < _raft.Last; count--)
        {
            _applied++;
            if (_raft[_applied] is { } entry && _applier.Apply(new(_applied), entry) is { } applied)
            {
                _simulator.Note($"{Node} applied {_applied}: {string.Join(' ', applied.Outcomes.Select(outcome => $"{outcome.Kind} {outcome.Revision}"))}");
                _pump.OnApplied(applied.Proposal, applied.Outcomes);
            }
        }

        AnswerCompleted();
        _raft.OnApplied(this, _applied);
        foreach (var reached in _waiting.Where(waiting => waiting.Index <= _applied).ToList())
        {
            _waiting.Remove(reached);
            reached.Run();
        }
    }

    /// <summary>Its process ends, with everything in memory.</summary>
    public void Crash()
    {
        (IsUp, IsLeading, _isApplying, _isProposing) = (false, false, false, false);
        Life++;
        _waiting.Clear();
        _pump.ExpireAll();
        foreach (var (_, answer) in _open.ToList())
        {
            answer(null);
        }

        _open.Clear();
    }

    /// <summary>Starts again, from what the store has; its log may hand it some entries that it has applied.</summary>
    public void Restart()
    {
        IsUp = true;
        _copies = new();
        var window = _options.OperationWindow;
        (_applier, _pump, _clock) = Begin(_plant == Plant.ForgetsAtRestart ? window with { MaxCount = 2 } : window);
        _applied = (int)Math.Max(0, _store.Progress.AppliedIndex.Value - _simulator.Random.Next(4));
        ApplySoon();
    }

    public void Dispose()
    {
        _store.Dispose();
        _directory.Dispose();
    }
}
