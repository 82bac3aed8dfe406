using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>What a replica shows is what the hub had at some revision, at every step, and never less than it showed before.</summary>
internal sealed class PrefixChecker(TrueLog truth, Verdict verdict)
{
    private readonly Dictionary<NodeId, Revision> _shown = [];

    /// <param name="from">The records from here on were not looked at before.</param>
    public void Shown(NodeId node, SimulatedStore store, Revision from)
    {
        if (_shown.TryGetValue(node, out var before) && store.Last < before)
        {
            verdict.Fail("prefix", $"{node} shows revision {store.Last} after {before}");
        }

        _shown[node] = store.Last;
        if (store.Last > truth.Last)
        {
            verdict.Fail("prefix", $"{node} shows revision {store.Last}, the hub is at {truth.Last}");
            return;
        }

        // Which of them are there is looked at by others.
        foreach (var row in store.RowsFrom(from))
        {
            // One that was damaged on its disk is another matter: it must not be sent.
            if (row.Revision != store.Damaged && (row.Revision > truth.Last || !row.Bytes.Span.SequenceEqual(truth[row.Revision].Span)))
            {
                verdict.Fail("prefix", $"{node} has another record at revision {row.Revision} than the hub");
                return;
            }
        }
    }

    public void MayGoBack(NodeId node) => _shown.Remove(node);
}
