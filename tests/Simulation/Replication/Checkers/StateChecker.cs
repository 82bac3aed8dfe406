using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>
/// At its revision a node has exactly the hub's state of its keyspaces: the catalog and those of its subscription that were there, each as
/// far, with the same chain and the same rows, and no other.
/// </summary>
internal sealed class StateChecker(TrueLog truth, Verdict verdict)
{
    /// <param name="since">What did not change at this revision or later was looked at before.</param>
    public void Shown(NodeId node, SimulatedStore store, Revision since)
    {
        if (store.Last == Revision.None || store.Last > truth.Last)
        {
            return;
        }

        var hasNewNames = truth.Keyspaces[0].VersionAt(store.Last).Version.At >= since;
        var (held, names) = (0, 0);
        foreach (var keyspace in truth.Keyspaces)
        {
            if (!keyspace.IsThereAt(store.Last))
            {
                continue;
            }

            if (keyspace.Id != KeyspaceId.Catalog)
            {
                names++;
                if (hasNewNames && (!store.Names.TryGetValue(keyspace.Name, out var named) || named != keyspace.Id))
                {
                    verdict.Fail("state", $"{node} at revision {store.Last} does not know keyspace {keyspace.Id} as {keyspace.Name}");
                }
            }

            if (TrueLog.IsHeld(keyspace, store.Progress.Subscription))
            {
                held++;
                Compare(node, store, keyspace, since);
            }
        }

        if (store.Names.Count != names || store.Keyspaces.Count != held)
        {
            verdict.Fail("state", $"{node} at revision {store.Last} knows {store.Names.Count} keyspaces of {names} and has {store.Keyspaces.Count}; {held} are {store.Progress.Subscription}");
        }
    }

    private void Compare(NodeId node, SimulatedStore store, TrueKeyspace keyspace, Revision since)
    {
        var (sequence, version) = keyspace.VersionAt(store.Last);
        if (version.At < since)
        {
            return;
        }

        if (!store.Keyspaces.TryGetValue(keyspace.Id, out var image))
        {
            verdict.Fail("state", $"{node} at revision {store.Last} lacks keyspace {keyspace.Id} ({keyspace.Name})");
        }
        else if ((image.Name, image.Sequence, image.Chain) != (keyspace.Name, sequence, version.Chain))
        {
            verdict.Fail("state", $"{node} at revision {store.Last} has keyspace {keyspace.Id} at sequence {image.Sequence}, the hub at {sequence}, or with another chain");
        }
        else if (!image.Rows.AsSpan().SequenceEqual(version.Rows))
        {
            verdict.Fail("state", $"{node} at revision {store.Last} has other rows of keyspace {keyspace.Id} than the hub");
        }
    }
}
