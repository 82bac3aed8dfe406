using Quicksilver.Sequencing;

namespace Quicksilver.Simulation.Hub;

/// <summary>
/// The consensus log of a simulated hub. It keeps what <see cref="IConsensusLog"/> promises and is as unkind as that allows: leaders lose
/// their leadership with entries on their way and learn of it late; such entries are in the log of the next leader or are not; answers
/// come before, after or without the entry; members apply at a pace of their own.
/// </summary>
internal sealed class SimulatedRaft(Simulator simulator, Plant plant)
{
    private sealed class Proposed(SimulatedMember by, int life, long term, byte[] entry, Action<ProposeResult> done)
    {
        public SimulatedMember By { get; } = by;

        public int Life { get; } = life;

        public long Term { get; } = term;

        public byte[] Entry { get; } = entry;

        /// <summary>Its place in the log; 0 while it has none.</summary>
        public int Index { get; set; }

        private bool _isAnswered;

        public void Answer(ProposeResult result)
        {
            // Nobody waits any more in a process that has ended.
            if (!_isAnswered && By.Life == Life)
            {
                _isAnswered = true;
                done(result);
            }
        }
    }

    // Null: the entry with which a leadership begins. Index 1 is at 0.
    private readonly List<byte[]?> _log = [];
    private readonly List<Proposed> _undecided = [];
    private readonly List<Proposed> _placed = [];

    public List<SimulatedMember> Members { get; } = [];

    public int Last => _log.Count;

    public long Term { get; private set; }

    public SimulatedMember? Leader { get; private set; }

    /// <summary>Entries that outlived their leader, and entries that went with it.</summary>
    public (int Kept, int Lost) Orphans { get; private set; }

    /// <summary>Happens when the next entry is on its way, once.</summary>
    public Action? OnNextProposal { get; set; }

    private bool HasMajority => Members.Count(member => member.IsUp) > Members.Count / 2;

    public byte[]? this[int index] => _log[index - 1];

    /// <summary>An entry that is there from the beginning.</summary>
    public void Begin(byte[] entry) => _log.Add(entry);

    /// <summary>One proposal of a member at a time; <paramref name="done"/> is called once, unless its process ends before.</summary>
    public void Propose(SimulatedMember by, byte[] entry, Action<ProposeResult> done)
    {
        var proposed = new Proposed(by, by.Life, by.LeadingTerm, entry, done);
        if (!by.IsLeading || (by.LeadingTerm != Term && simulator.Chance(0.5)))
        {
            simulator.After(simulator.Between(0, 5), "not proposed", () => proposed.Answer(ProposeResult.NotProposed));
        }
        else
        {
            // One of a leader that is none any more, and does not know it, stays here until it does.
            _undecided.Add(proposed);
            Decide(proposed);
            if (OnNextProposal is { } strike)
            {
                OnNextProposal = null;
                simulator.After(simulator.Between(0, 1), "fault while an entry is on its way", strike);
            }
        }
    }

    private void Decide(Proposed proposed) => simulator.After(simulator.Between(0.2, simulator.Chance(0.02) ? 3_000 : 20), "decided", () =>
    {
        if (!_undecided.Contains(proposed) || proposed.Term != Term || !proposed.By.IsUp || proposed.By.Life != proposed.Life)
        {
            return;
        }

        if (!HasMajority)
        {
            Decide(proposed);
            return;
        }

        _undecided.Remove(proposed);
        Place(proposed);
    });

    private void Place(Proposed proposed)
    {
        _log.Add(proposed.Entry);
        proposed.Index = _log.Count;
        _placed.Add(proposed);
        ApplyEverywhere();
    }

    /// <summary>
    /// Another leader, or the same one again, where a majority is up. What was on its way is in its log, or nowhere.
    /// </summary>
    public void Elect()
    {
        if (!HasMajority)
        {
            return;
        }

        var old = Leader;
        var candidates = Members.Where(member => member.IsUp).ToList();
        var next = candidates[simulator.Random.Next(candidates.Count)];
        Term++;
        if (plant == Plant.LosesCommitted && _log.Count > 10 && _log[^1] is not null && simulator.Chance(0.5))
        {
            _log.RemoveAt(_log.Count - 1);
        }

        foreach (var proposed in _undecided.Where(proposed => proposed.Term < Term).ToList())
        {
            _undecided.Remove(proposed);
            var isKept = proposed.Term == Term - 1 && simulator.Chance(0.5);
            Orphans = isKept ? (Orphans.Kept + 1, Orphans.Lost) : (Orphans.Kept, Orphans.Lost + 1);
            simulator.Note($"entry of {proposed.By.Node} in term {proposed.Term} is {(isKept ? "kept" : "lost")}");
            if (isKept)
            {
                Place(proposed);
            }

            // Its proposer learns of the new leader sooner or later, or never.
            simulator.After(simulator.Between(0, 3_000), "fate is unknown", () => proposed.Answer(ProposeResult.Unknown));
        }

        if (old is not null && old != next)
        {
            var (life, term) = (old.Life, old.LeadingTerm);
            simulator.After(simulator.Between(0, 3_000), $"{old.Node} learns that it does not lead", () =>
            {
                old.StepDown(life, term);
                foreach (var proposed in _undecided.Where(proposed => proposed.By == old && proposed.Life == life && proposed.Term == term).ToList())
                {
                    // It was proposed when there was another leader already: nobody else has it.
                    _undecided.Remove(proposed);
                    proposed.Answer(ProposeResult.Unknown);
                }
            });
        }

        _log.Add(null);
        Leader = next;
        simulator.Note($"{next.Node} leads in term {Term}");
        next.Lead(Term);
        ApplyEverywhere();
    }

    /// <summary>The present leader confirms its leadership: <paramref name="done"/> gets false, or true when all that was committed is applied there.</summary>
    public void Barrier(SimulatedMember by, Action<bool> done)
    {
        var (life, term) = (by.Life, by.LeadingTerm);
        simulator.After(simulator.Between(0.2, 20), "barrier", () =>
        {
            if (by.Life != life || !by.IsLeading || term != Term || !HasMajority)
            {
                done(false);
                return;
            }

            by.WhenApplied(_log.Count, () => done(true));
        });
    }

    /// <summary>A member has applied up to there.</summary>
    public void OnApplied(SimulatedMember member, int index)
    {
        foreach (var proposed in _placed.Where(proposed => proposed.By == member && proposed.Index <= index).ToList())
        {
            _placed.Remove(proposed);
            if (proposed.Term == Term)
            {
                simulator.After(simulator.Between(0, 5), "applied", () => proposed.Answer(ProposeResult.Applied));
            }
        }
    }

    private void ApplyEverywhere()
    {
        foreach (var member in Members)
        {
            member.ApplySoon();
        }
    }
}
