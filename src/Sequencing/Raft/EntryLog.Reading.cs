using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <content>What followers and candidates are told.</content>
internal sealed partial class EntryLog
{
    /// <summary>
    /// Term of an entry, and the floor where the entry is not above it. Behind the end it is 0, which fits no entry: candidates look for
    /// the last one without a lock of theirs, and the log may have got shorter.
    /// </summary>
    public (Term Term, RaftFloor? Floor) TermAt(LogIndex index)
    {
        ThrowIfFailed();
        lock (_gate)
        {
            var term = index.Value > _last ? new(0) : index < _tail.Floor.Index && _below.Find(index) is { } below ? below : _tail.TermOf(index);
            return (term, index <= _tail.Floor.Index ? _tail.Floor : null);
        }
    }

    /// <summary>
    /// Entries from one to another, at most about <paramref name="maxBytes"/> of them and at least one; those above the floor, and the
    /// floor with them where they begin at it or before.
    /// </summary>
    public (RaftFloor? Floor, List<StoredEntry> Entries) Read(LogIndex first, LogIndex last, long maxBytes)
    {
        ThrowIfFailed();
        lock (_gate)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(last.Value, _last);
            RaftFloor? floor = first <= _tail.Floor.Index ? _tail.Floor : null;
            var entries = new List<StoredEntry>();
            long bytes = 0;
            for (var index = floor?.Index.Next ?? first; index <= last; index = index.Next)
            {
                bytes += _tail.LengthOf(index);
                if (bytes > maxBytes && (floor is not null || entries.Count > 0))
                {
                    break;
                }

                entries.Add(new(index, _tail));
            }

            return (floor, entries);
        }
    }

    /// <summary>Gets the payloads that are not in memory.</summary>
    public void Load(IEnumerable<StoredEntry> entries)
    {
        foreach (var entry in entries)
        {
            entry.Load(_store);
        }
    }
}
