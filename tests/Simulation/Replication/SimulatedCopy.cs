using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Simulation.Replication;

/// <summary>What there is of a copy on the disk of whoever takes it.</summary>
internal sealed class IncomingCopy(long session, SimulatedSnapshot snapshot)
{
    public long Session { get; } = session;

    public SimulatedSnapshot Snapshot { get; } = snapshot;

    public int Blocks { get; } = 1 + (int)(snapshot.Bytes / Tuning.Snapshots.MaxBlockBytes);

    public int Received { get; set; }

    public bool IsWhole => Received == Blocks;
}

/// <summary>Receives a copy block by block, as <see cref="SnapshotCopy"/>: what came stays over failures and restarts, and is gone on with.</summary>
internal sealed class SimulatedCopy(World world, SimulatedNode node, SimulatedReplicator replicator)
{
    private long _attempt;

    // What the store keeps, where it is only to be added to.
    private Subscription? _held;

    /// <param name="adds">Only of the keyspaces that the store is to hold and does not.</param>
    public void Receive(long attempt, bool adds)
    {
        _attempt = attempt;
        _held = adds ? node.Store.Progress.Subscription : null;
        if (replicator.Connection is not { } connection)
        {
            Fail(attempt, "The link is down.");
            return;
        }

        if (node.Incoming is not { } begun || begun.Snapshot.Source != connection.Target.Id || IsInPlace(begun.Snapshot) || !IsOfUse(begun.Snapshot))
        {
            Begin(attempt, connection);
            return;
        }

        world.Verdict.Count("copies gone on with");
        Continue(attempt, connection);
    }

    private bool IsOfUse(SimulatedSnapshot snapshot) =>
        snapshot.Progress.Subscription.Equals(node.Wanted) && Equals(snapshot.Except, _held) && snapshot.Progress.Position.Revision >= node.Store.Last;

    /// <summary>One that was put in place already may still lie there.</summary>
    private bool IsInPlace(SimulatedSnapshot snapshot)
    {
        var (theirs, own) = (snapshot.Progress, node.Store.Progress);
        return snapshot.Except is null && (theirs.Cluster, theirs.Position, theirs.Chain, theirs.Oldest) == (own.Cluster, own.Position, own.Chain, own.Oldest);
    }

    private void Begin(long attempt, Connection connection)
    {
        var (cluster, wanted, held) = (node.Store.Progress.Cluster, node.Wanted, _held);
        Ask<SnapshotOffer>(attempt, connection, "open a copy", (source, answer) => answer(source.Snapshots.Open(node.Id, cluster, wanted, held)), offer =>
        {
            if (offer.Snapshot is not { } snapshot)
            {
                Fail(attempt, $"The source sends no snapshot: {offer.Status}.");
            }
            else if (!IsOfUse(snapshot))
            {
                // Others must not wait for one that is not fetched.
                Ask<bool>(attempt, connection, "close a copy", (source, answer) => Close(source, offer.Session, answer), _ =>
                    Fail(attempt, $"The snapshot is of revision {snapshot.Progress.Position.Revision}, which is not far enough."));
            }
            else
            {
                node.Incoming = new(offer.Session, snapshot);
                world.Verdict.Count("copies begun");
                world.Verdict.Count("copies of parts begun", held is null && !wanted.IsAll ? 1 : 0);
                Continue(attempt, connection);
            }
        });
    }

    private void Continue(long attempt, Connection connection)
    {
        var copy = node.Incoming!;
        if (copy.IsWhole)
        {
            Ask<bool>(attempt, connection, "close a copy", (source, answer) => Close(source, copy.Session, answer), _ =>
                replicator.Happen(new ProgressEvent.SnapshotReceived(attempt, copy.Snapshot.Progress.Position.Revision)));
            return;
        }

        var isLast = copy.Received + 1 == copy.Blocks;
        Ask<SnapshotStatus>(
            attempt, connection, "next block",
            (source, answer) => source.After(source.DiskTime(10), $"{source.Id} reads a block", () => answer(source.Snapshots.Next(copy.Session, isLast))), status =>
            {
                switch (status)
                {
                    case SnapshotStatus.Ok:
                        node.After(node.DiskTime(20), $"{node.Id} writes a block", () =>
                        {
                            // Another try may have taken its place, or what there was of the copy is gone.
                            if (_attempt == attempt && node.Incoming == copy)
                            {
                                copy.Received++;
                                Continue(attempt, connection);
                            }
                        });
                        break;
                    case SnapshotStatus.SessionLost:
                        world.Verdict.Count("copies begun again");
                        Begin(attempt, connection);
                        break;
                    default:
                        Fail(attempt, $"The source ended the snapshot: {status}.");
                        break;
                }
            });
    }

    private static void Close(SimulatedNode source, long session, Action<bool> answer)
    {
        source.Snapshots.Close(session);
        answer(true);
    }

    private void Ask<T>(long attempt, Connection connection, string what, Action<SimulatedNode, Action<T>> serve, Action<T> answered) => connection.Call(
        what, Tuning.CallTimeout, serve,
        answer =>
        {
            if (_attempt == attempt)
            {
                answered(answer);
            }
        },
        why => Fail(attempt, why));

    private void Fail(long attempt, string why)
    {
        if (_attempt == attempt)
        {
            world.Verdict.Count("copies that failed");
            replicator.Happen(new ProgressEvent.BootstrapFailed(attempt, why));
        }
    }
}
