using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>
/// A source serves nobody who asks for more than it holds, and refuses for that reason nobody who surely asks for less. Judged by the names that
/// keyspaces can have, and not by patterns.
/// </summary>
internal sealed class SubsetChecker(Verdict verdict)
{
    public void Asked(NodeId source, Subscription holds, Subscription wanted, bool isServed, bool isNotHeld)
    {
        var isMore = (wanted.IsAll && !holds.IsAll) || SimulatedWriter.Names.Exists(name => wanted.Includes(name) && !holds.Includes(name));
        if (isServed && isMore)
        {
            verdict.Fail("subset", $"{source} holds {holds} and serves {wanted}");
        }

        if (isNotHeld && (holds.IsAll || holds.Equals(wanted)))
        {
            verdict.Fail("subset", $"{source} holds {holds} and does not serve {wanted}");
        }
    }
}
