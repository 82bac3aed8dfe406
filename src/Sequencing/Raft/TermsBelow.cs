using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// Terms of entries below the floor, as far as a leader was heard of them: its log begins before this one, and it asks for the entry before
/// each of its requests, also again for one whose answer was lost. One stretch without a gap, as the numbers at which a term begins. Not
/// safe for concurrent use.
/// </summary>
internal sealed class TermsBelow
{
    private readonly List<(long First, Term Term)> _runs = [];
    private long _last = -1;

    /// <summary>The floor of a leader: what it sends next begins behind it. What was known of another stretch is forgotten.</summary>
    public void Begin(RaftFloor floor)
    {
        if (!Covers(floor.Index) || TermOf(floor.Index) != floor.Term)
        {
            _runs.Clear();
            _runs.Add((floor.Index.Value, floor.Term));
            _last = floor.Index.Value;
        }
    }

    public void Note(LogIndex index, Term term)
    {
        if (index.Value != _last + 1 || _runs.Count == 0)
        {
            Begin(new(index, term));
            return;
        }

        _last = index.Value;
        if (_runs[^1].Term != term)
        {
            _runs.Add((index.Value, term));
        }
    }

    /// <summary>The term of an entry; null where no leader was heard of it.</summary>
    public Term? Find(LogIndex index) => Covers(index) ? TermOf(index) : null;

    private bool Covers(LogIndex index) => _runs.Count > 0 && index.Value >= _runs[0].First && index.Value <= _last;

    private Term TermOf(LogIndex index) => _runs.FindLast(run => run.First <= index.Value).Term;
}
