using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>
/// Brings a store to exactly one revision of a source by pulling its log, from wherever the store stands. Every record is checked as
/// in replication. For a hub member that is rebuilt: its state must be that after one Raft entry, and a page may reach beyond.
/// </summary>
public sealed class LogCopy(ReplicaIdentity self, NodeStore store)
{
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(3);

    private readonly PageApplier _applier = new(store, joins: true);

    /// <summary>
    /// Throws <see cref="InvalidOperationException"/> where the source cannot serve this store; whatever the source throws; and
    /// <see cref="MalformedDataException"/> where a page is not what it says. What was applied stays, and the next call goes on.
    /// </summary>
    public async Task CopyAsync(ILogSource source, Revision to, CancellationToken cancellation)
    {
        var start = store.Progress;
        if (start.Position.Revision > to)
        {
            throw new InvalidOperationException($"The store is at revision {start.Position.Revision}, beyond {to}.");
        }

        if (start.Position.Revision == to && !start.Cluster.IsNone)
        {
            return;
        }

        var opened = await source.OpenAsync(new(self.Node, self.Region, self.Gateway, start.Cluster, start.Position, start.Chain), cancellation).ConfigureAwait(false);
        if (opened.Status != OpenPullStatus.Open)
        {
            throw new InvalidOperationException($"The source cannot be copied: {opened.Status} (it has revisions {opened.Oldest} to {opened.Source.Revision}, this store is at {start.Position.Revision}).");
        }

        for (long number = 0; store.Progress.Cluster.IsNone || store.Progress.Position.Revision < to; number++)
        {
            var page = await source.NextAsync(
                new(opened.Session, number, store.Progress.Position.Revision, Limits.DefaultPageBytes, MaxWait), cancellation).ConfigureAwait(false);
            if (page.Status != PageStatus.Ok)
            {
                throw new InvalidOperationException($"The source ended the copy: {page.Status}.");
            }

            _applier.Apply(page.To > to.Next ? UpTo(page, to) : page);
        }
    }

    /// <summary>The page without the records after a revision.</summary>
    private static LogPage UpTo(LogPage page, Revision last)
    {
        var reader = new ByteReader(page.Records.Span);
        for (var next = page.From; next <= last; next = next.Next)
        {
            reader.ReadBytes(RecordFormat.MaxBytes, "the record's length");
        }

        return page with { To = last.Next, Records = new(page.Records.Memory[..(page.Records.Memory.Length - reader.Remaining)]) };
    }
}
