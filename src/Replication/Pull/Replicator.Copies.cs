using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <content>Copies of a source's state, of all of it or of keyspaces to add.</content>
public sealed partial class Replicator
{
    /// <summary>What is not wanted any more goes at once; what is wanted newly comes with a copy.</summary>
    private void Subscribe()
    {
        try
        {
            var before = _store.Progress.Subscription;
            var adds = _store.Subscribe(_wanted);
            if (!before.Equals(_store.Progress.Subscription))
            {
                LogLetGo(_store.Progress.Subscription, before);
                _applier = new(_store);
            }

            if (adds)
            {
                LogAdds(_wanted, _store.Progress.Subscription);
            }
        }
        catch (StorageException e)
        {
            // The first page meets the same fault, and says so.
            LogStorageFailed(e);
        }
    }

    /// <summary>One at a time: they share a directory.</summary>
    private async Task<IncomingSnapshot?> ReceiveAsync(ProgressEffect.Bootstrap bootstrap, Task<IncomingSnapshot?> before)
    {
        // Its own link, and not one that comes while it waits.
        var connection = Volatile.Read(ref _connection);
        (await before.ConfigureAwait(false))?.Dispose();
        await Task.Yield();
        try
        {
            if (connection is null)
            {
                throw new InvalidOperationException("The link is down.");
            }

            using var linked = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, connection.Lost);
            var snapshot = await _copy.ReceiveAsync(
                connection.Snapshots, connection.Node, isOfUse: null, linked.Token, _wanted, bootstrap.Adds ? _store.Progress.Subscription : null).ConfigureAwait(false);
            _events.Writer.TryWrite(new(new ProgressEvent.SnapshotReceived(bootstrap.Attempt, snapshot.Header!.Progress.Position.Revision)));
            return snapshot;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            if (bootstrap.Adds && !_stop.IsCancellationRequested)
            {
                LogNotAdded(e.Message);
            }

            // Whatever it was: what was received stays, and the next try goes on.
            _events.Writer.TryWrite(new(new ProgressEvent.BootstrapFailed(bootstrap.Attempt, e.Message)));
            return null;
        }
    }

    private ProgressEvent Install(ProgressEffect.Install install)
    {
        // Whole, because Progress was told so.
        using var snapshot = _receiving.Result!;
        _receiving = Task.FromResult<IncomingSnapshot?>(null);
        try
        {
            var header = snapshot.Header!;
            if (install.Adds)
            {
                _store.Add(snapshot);
            }
            else
            {
                _store.Install(snapshot, install.Quarantine ? _time.GetUtcNow() : null);
            }

            // What it knew of the keyspaces was of another state.
            _applier = new(_store);
            LogInstalled(header.Source, _store.Progress.Position.Revision.Value, _store.Progress.Subscription);
            if (install.Quarantine)
            {
                LogQuarantined();
            }

            return new ProgressEvent.Installed(_store.Progress);
        }
        catch (Exception e) when (e is StorageException or ArgumentException)
        {
            // The old state is there, as it was. What was received is no use, unless it is only this node's disk.
            LogInstallFailed(e);
            if (e is not StorageException { Fault: StorageFault.Io })
            {
                DiscardSnapshot();
            }

            return new ProgressEvent.BootstrapFailed(install.Attempt, e.Message);
        }
    }

    private void DiscardSnapshot()
    {
        try
        {
            _store.DiscardIncoming();
        }
        catch (StorageException e)
        {
            // It only takes room.
            LogNotDiscarded(e.Message);
        }
    }

    [LoggerMessage(10, LogLevel.Information, "The copy of {Source} at revision {Revision} is the state of this node now; it holds {Keyspaces}.")]
    private partial void LogInstalled(NodeId source, long revision, Subscription keyspaces);

    [LoggerMessage(11, LogLevel.Error, "A copy of a source's state could not be put in place.")]
    private partial void LogInstallFailed(Exception e);

    [LoggerMessage(14, LogLevel.Error, "Two sources agreed that this node's state was wrong. What was there is kept in the directory 'quarantined-...' of its data directory; find out why, then delete it.")]
    private partial void LogQuarantined();

    [LoggerMessage(15, LogLevel.Information, "This node holds {Keyspaces} now, and held {Before}: the others are deleted.")]
    private partial void LogLetGo(Subscription keyspaces, Subscription before);

    [LoggerMessage(16, LogLevel.Information, "This node is to hold {Wanted}, and holds {Keyspaces}: the others are copied from a source.")]
    private partial void LogAdds(Subscription wanted, Subscription keyspaces);

    [LoggerMessage(17, LogLevel.Warning, "No copy of the keyspaces that this node is to hold and does not, and it is tried again: {Why}")]
    private partial void LogNotAdded(string why);

    [LoggerMessage(12, LogLevel.Warning, "What was received of a copy could not be deleted: {Why}")]
    private partial void LogNotDiscarded(string why);
}
