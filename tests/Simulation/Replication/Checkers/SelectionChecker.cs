using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>Of keyspaces that a node does not hold no record is sent to it, and none gets into its log.</summary>
internal sealed class SelectionChecker(TrueLog truth, Verdict verdict)
{
    /// <param name="before">The records after it are new.</param>
    public void Applied(NodeId node, SimulatedStore store, Revision before)
    {
        var subscription = store.Progress.Subscription;
        if (subscription.IsAll)
        {
            return;
        }

        foreach (var row in store.RowsFrom(before.Next))
        {
            if (!truth.IsOf(row.Revision, subscription))
            {
                verdict.Fail("selection", $"{node} holds {subscription} and has applied revision {row.Revision} of keyspace {row.Keyspace}");
                return;
            }
        }
    }

    /// <param name="subscription">What the child has asked for.</param>
    public void Sent(NodeId source, NodeId child, Subscription subscription, LogPage page)
    {
        if (subscription.IsAll)
        {
            return;
        }

        var reader = new ByteReader(page.Records.Span);
        while (reader.Remaining > 0)
        {
            var revision = RecordView.Parse(reader.ReadBytes(RecordFormat.MaxBytes, "the record's length")).Header.Revision;
            if (!truth.IsOf(revision, subscription))
            {
                verdict.Fail("selection", $"{source} sends revision {revision} to {child}, which holds {subscription}");
                return;
            }
        }
    }
}
