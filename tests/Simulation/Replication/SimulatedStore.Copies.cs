using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <content>Other keyspaces than before, and copies that are taken and put in place.</content>
internal sealed partial class SimulatedStore
{
    /// <summary>As <see cref="NodeStore.Subscribe"/>: lets go of what is not wanted, and returns whether there is something to add.</summary>
    public bool Subscribe(Subscription wanted)
    {
        var progress = Progress;
        if (progress.Subscription.Equals(wanted))
        {
            return false;
        }

        if (progress.Position.Revision == Revision.None)
        {
            Push(Current with { Progress = progress with { Subscription = wanted } });
            return false;
        }

        var stays = progress.Subscription.Common(wanted);
        if (!stays.Equals(progress.Subscription))
        {
            var keyspaces = new Dictionary<KeyspaceId, KeyspaceImage>(Keyspaces);
            foreach (var keyspace in Keyspaces.Values)
            {
                if (keyspace.Id != KeyspaceId.Catalog && !stays.Includes(keyspace.Name) && plant != Plant.KeepsWhatItLetGo)
                {
                    keyspaces.Remove(keyspace.Id);
                }
            }

            Push(Current with { Progress = progress with { Subscription = stays }, Keyspaces = keyspaces });
        }

        return !stays.Equals(wanted);
    }

    /// <summary>As <see cref="NodeStore.Add"/>: keyspaces that the store does not hold, of exactly its position. The log begins anew.</summary>
    public void Add(SimulatedSnapshot snapshot)
    {
        var (own, theirs) = (Progress, snapshot.Progress);
        if ((own.Cluster, own.Position, own.Chain) != (theirs.Cluster, theirs.Position, theirs.Chain) || !own.Subscription.Equals(snapshot.Except))
        {
            throw new ArgumentException($"The snapshot is of revision {theirs.Position.Revision} for a store that holds {snapshot.Except}; the store is at {own.Position.Revision} and holds {own.Subscription}.", nameof(snapshot));
        }

        var keyspaces = new Dictionary<KeyspaceId, KeyspaceImage>(snapshot.Keyspaces);
        foreach (var keyspace in Keyspaces.Values)
        {
            keyspaces.Add(keyspace.Id, keyspace with { CutSequence = keyspace.Sequence, CutChain = keyspace.Chain });
        }

        Push(Current with
        {
            Progress = own with { Subscription = theirs.Subscription, Oldest = own.Position.Revision.Next, OldestChain = own.Chain },
            Keyspaces = keyspaces,
        });
        Published();
    }

    /// <summary>All there is, with the log.</summary>
    public SimulatedSnapshot TakeSnapshot(NodeId self) => new(self, Progress, Keyspaces, Names, [.. RowsFrom(Oldest)], Damaged >= Oldest);

    /// <summary>As <see cref="SnapshotSource"/> describes it and <see cref="SnapshotSelection"/> picks from it.</summary>
    /// <param name="held">What the receiver keeps; null where this takes the place of everything.</param>
    public SimulatedSnapshot TakeSnapshot(NodeId self, Subscription wanted, Subscription? held)
    {
        if (wanted.IsAll && held is null)
        {
            return TakeSnapshot(self);
        }

        var keyspaces = new Dictionary<KeyspaceId, KeyspaceImage>();
        foreach (var keyspace in Keyspaces.Values)
        {
            if (keyspace.Id == KeyspaceId.Catalog ? held is null : wanted.Includes(keyspace.Name) && held?.Includes(keyspace.Name) != true)
            {
                keyspaces.Add(keyspace.Id, keyspace with { CutSequence = keyspace.Sequence, CutChain = keyspace.Chain });
            }
        }

        return new(
            self, Progress with { Subscription = wanted, Oldest = Last.Next, OldestChain = Progress.Chain }, keyspaces, Names, [], IsDamaged: false, held);
    }

    /// <summary>As <see cref="NodeStore.Install(IncomingSnapshot, DateTimeOffset?, bool)"/>.</summary>
    public void Install(SimulatedSnapshot snapshot)
    {
        var own = Progress;
        if (snapshot.Except is not null)
        {
            throw new ArgumentException("The snapshot is not whole.", nameof(snapshot));
        }

        if (own.Position.History == snapshot.Progress.Position.History && own.Position.Revision > snapshot.Progress.Position.Revision)
        {
            throw new ArgumentException($"The snapshot is of revision {snapshot.Progress.Position.Revision}, the store is at {own.Position.Revision} already.", nameof(snapshot));
        }

        Replace(snapshot with { Progress = snapshot.Progress with { FullCopies = own.FullCopies + 1 } });
    }

    /// <summary>Puts a state in place of what is there, whatever it is.</summary>
    public void Replace(SimulatedSnapshot snapshot)
    {
        _records.Clear();
        _records.AddRange(snapshot.Records);
        Damaged = null;
        SetDurable(new(snapshot.Progress, snapshot.Keyspaces, snapshot.Names));
        Published();
    }
}
