using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>
/// Receives a snapshot of another node, block by block, aside from what the store has; installs nothing. What was received stays over
/// failures and restarts, and the next call goes on with it where the source still holds that state.
/// </summary>
public sealed partial class SnapshotCopy(ReplicaIdentity self, NodeStore store, ILogger logger)
{
    private const int BlockBytes = 2 << 20;

    /// <summary>Room that must be left: for what else a node writes meanwhile.</summary>
    private const long SpareBytes = 64L << 20;

    /// <summary>How often a source may forget the snapshot before it is given up.</summary>
    private const int MaxLost = 3;

    private const long ReportBytes = 256L << 20;

    /// <summary>
    /// Returns the whole snapshot; the caller installs or disposes it. Throws <see cref="InvalidOperationException"/> where the source
    /// cannot serve this store; whatever the source throws; <see cref="MalformedDataException"/> where a block is not what it says;
    /// <see cref="StorageException"/> (Io) where the disk has no room.
    /// </summary>
    /// <param name="node">The source's node. What came from another one cannot be gone on with.</param>
    /// <param name="isOfUse">What the snapshot must be; null where any will do that is not behind the store.</param>
    /// <param name="wanted">The keyspaces that the store is to hold; null for all.</param>
    /// <param name="held">Those that it keeps, for a snapshot of what is to be added; null for a snapshot that takes the place of everything.</param>
    public async Task<IncomingSnapshot> ReceiveAsync(
        ISnapshotSource source, NodeId node, Func<SnapshotHeader, bool>? isOfUse, CancellationToken cancellation,
        Subscription? wanted = null, Subscription? held = null)
    {
        wanted ??= Subscription.All;
        var snapshot = store.OpenIncoming();
        try
        {
            bool IsOfUse(SnapshotHeader header) =>
                header.Progress.Subscription.Equals(wanted) && Equals(header.Except, held)
                && header.Progress.Position.Revision >= store.Progress.Position.Revision && isOfUse?.Invoke(header) != false;

            // What is there may be of another time, before this store went on by itself.
            if (snapshot.Header is not { } begun || begun.Source != node || IsInPlace(begun) || !IsOfUse(begun))
            {
                await BeginAsync(source, snapshot, wanted, held, IsOfUse, cancellation).ConfigureAwait(false);
            }

            var (reported, looked, lost) = (0L, 0L, 0);
            Task<NextBlockAnswer> Ask(SnapshotSection section, ReadOnlyMemory<byte> after) =>
                source.NextAsync(new(snapshot.Session, section, new(after.ToArray()), BlockBytes), cancellation).AsTask();

            Task<NextBlockAnswer>? next = null;
            while (!snapshot.IsComplete)
            {
                var answer = await (next ?? Ask(snapshot.Section, snapshot.After)).ConfigureAwait(false);
                next = null;
                switch (answer.Status)
                {
                    case SnapshotStatus.Ok:
                        // The next block is on its way while this one is written.
                        var (section, after) = snapshot.Follows(answer.Block.Span);
                        next = section == SnapshotSection.End ? null : Ask(section, after);

                        // Nobody waits for it where this one cannot be written.
                        _ = next?.ContinueWith(static failed => failed.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
                        snapshot.Add(answer.Block.Span);
                        break;
                    case SnapshotStatus.SessionLost when ++lost <= MaxLost:
                        await BeginAsync(source, snapshot, wanted, held, IsOfUse, cancellation).ConfigureAwait(false);
                        break;
                    default:
                        throw new InvalidOperationException($"The source ended the snapshot: {answer.Status}.");
                }

                if (snapshot.ReceivedBytes - looked >= SpareBytes)
                {
                    looked = snapshot.ReceivedBytes;
                    if (store.FreeBytes < SpareBytes)
                    {
                        throw new StorageException(StorageFault.Io, $"The disk of the data directory has {store.FreeBytes >> 20} MiB left, and the snapshot of '{snapshot.Header!.Source}' is not whole. Make room.");
                    }
                }

                if (snapshot.ReceivedBytes - reported >= ReportBytes)
                {
                    reported = snapshot.ReceivedBytes;
                    LogReceived(snapshot.Header!.Source, reported >> 20, snapshot.Header.EstimatedBytes >> 20);
                }
            }

            LogWhole(snapshot.Header!.Source, snapshot.Header.Progress.Position.Revision.Value, snapshot.ReceivedBytes >> 20);
            await source.CloseAsync(snapshot.Session, cancellation).ConfigureAwait(false);
            return snapshot;
        }
        catch
        {
            snapshot.Dispose();
            throw;
        }
    }

    /// <summary>One that was put in place already may still lie there.</summary>
    private bool IsInPlace(SnapshotHeader header)
    {
        var (theirs, own) = (header.Progress, store.Progress);
        return header.Except is null && (theirs.Cluster, theirs.Position, theirs.Chain, theirs.Oldest) == (own.Cluster, own.Position, own.Chain, own.Oldest)
            && theirs.AppliedIndex <= own.AppliedIndex;
    }

    private async Task BeginAsync(
        ISnapshotSource source, IncomingSnapshot snapshot, Subscription wanted, Subscription? held, Func<SnapshotHeader, bool> isOfUse,
        CancellationToken cancellation)
    {
        var opened = await source.OpenAsync(
            new(
                self.Node, self.Region, store.Progress.Cluster, wanted.Patterns?.ToArray(), held?.Patterns?.ToArray(), held is not null,
                store.Progress.Position.Revision), cancellation).ConfigureAwait(false);
        if (opened.Status != SnapshotStatus.Ok)
        {
            throw new InvalidOperationException($"The source sends no snapshot: {opened.Status}.");
        }

        var header = SnapshotHeader.Read(opened.Header.Span);
        try
        {
            Require(header, isOfUse);
        }
        catch
        {
            // The source sends few at a time: others must not wait for one that is not fetched.
            await source.CloseAsync(opened.Session, cancellation).ConfigureAwait(false);
            throw;
        }

        snapshot.Begin(header, opened.Session);
        LogBegun(header.Source, header.Progress.Position.Revision.Value, header.EstimatedBytes >> 20);
    }

    private void Require(SnapshotHeader header, Func<SnapshotHeader, bool> isOfUse)
    {
        if (!isOfUse(header))
        {
            throw new InvalidOperationException($"The snapshot of '{header.Source}' is of revision {header.Progress.Position.Revision} and Raft entry {header.Progress.AppliedIndex} (term {header.AppliedTerm}), which is not far enough.");
        }

        // The table files, and the database that is made of them: it shares them where the file system can.
        if (store.FreeBytes - SpareBytes < header.EstimatedBytes)
        {
            throw new StorageException(
                StorageFault.Io,
                $"The disk of the data directory has {store.FreeBytes >> 20} MiB left; a snapshot of '{header.Source}' needs about {(header.EstimatedBytes >> 20) + (SpareBytes >> 20)} MiB. Make room, or move Quicksilver:DataDirectory.");
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Receiving a snapshot of {Source} at revision {Revision}, about {Size} MiB.")]
    private partial void LogBegun(NodeId source, long revision, long size);

    [LoggerMessage(2, LogLevel.Information, "Receiving a snapshot of {Source}: {Received} of about {Size} MiB.")]
    private partial void LogReceived(NodeId source, long received, long size);

    [LoggerMessage(3, LogLevel.Information, "The snapshot of {Source} at revision {Revision} is whole ({Received} MiB received by this process).")]
    private partial void LogWhole(NodeId source, long revision, long received);
}
