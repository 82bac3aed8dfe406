using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>
/// The log of a replica has every revision from its oldest to its position, each once and in its place; of a part every one of the keyspaces
/// that are held.
/// </summary>
internal sealed class DenseChecker(TrueLog truth, Verdict verdict)
{
    /// <param name="from">The records from here on were not looked at before.</param>
    public void Shown(NodeId node, SimulatedStore store, Revision from)
    {
        var subscription = store.Progress.Subscription;
        var expected = store.Last.Value - store.Oldest.Value + 1;
        if (subscription.IsAll ? store.Records != expected : store.Records > expected)
        {
            verdict.Fail("dense", $"{node} has {store.Records} records for revisions {store.Oldest} to {store.Last}");
        }

        for (var revision = from < store.Oldest ? store.Oldest : from; revision <= store.Last; revision = revision.Next)
        {
            if (!truth.IsOf(revision, subscription))
            {
                continue;
            }

            var named = store.FindRecord(revision) is { } record ? RecordView.Parse(record.Span).Header.Revision : Revision.None;
            if (named != revision)
            {
                verdict.Fail("dense", $"{node} has revision {named} in the place of {revision}");
                return;
            }
        }
    }
}
