using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>No record is applied to a state that has it already.</summary>
internal sealed class OnceChecker(Verdict verdict)
{
    private readonly Dictionary<NodeId, Revision> _applied = [];

    public void Applied(NodeId node, List<Revision> revisions)
    {
        foreach (var revision in revisions)
        {
            if (revision <= _applied.GetValueOrDefault(node))
            {
                verdict.Fail("once", $"{node} applies revision {revision} again, it has applied {_applied[node]}");
                return;
            }

            _applied[node] = revision;
        }
    }

    /// <summary>It goes on from a state that it did not come to by applying.</summary>
    public void Begins(NodeId node, Revision at) => _applied[node] = at;
}
