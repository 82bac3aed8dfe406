using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>Applies pages to a replica's store: one page is one write batch and becomes one View.</summary>
/// <param name="joins">For a node that becomes a hub member: it must know what expires.</param>
public sealed class PageApplier(NodeStore store, bool joins = false)
{
    private readonly ApplyBatch _batch = new(store) { IndexesExpiry = joins };

    /// <summary>
    /// Checks every record and applies all of them or none. Throws <see cref="MalformedDataException"/> where the page is not
    /// what it says (nothing was applied), <see cref="StorageException"/> where the disk fails.
    /// </summary>
    /// <param name="upTo">Where to stop: a revision in the page, with the chain of the log there. For a store that holds some keyspaces.</param>
    public StoreProgress Apply(LogPage page, (Revision Revision, ChainHash Chain)? upTo = null)
    {
        _batch.Begin();
        try
        {
            if (_batch.Revision == Revision.None)
            {
                if (page.Cluster.IsNone)
                {
                    throw new MalformedDataException("The page belongs to no cluster.");
                }

                _batch.Adopt(page.Cluster, page.Source.History);
            }

            if (!_batch.Subscription.IsAll)
            {
                AppendSelected(page, upTo);
                return _batch.Commit();
            }

            var reader = new ByteReader(page.Records.Span);
            while (reader.Remaining > 0)
            {
                _batch.AppendVerified(reader.ReadBytes(RecordFormat.MaxBytes, "the record's length"));
            }

            if (_batch.Revision.Next != page.To)
            {
                throw new MalformedDataException($"The page promises records before {page.To}, its last is {_batch.Revision}.");
            }

            return _batch.Commit();
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            _batch.Reset();
            throw e as MalformedDataException ?? new MalformedDataException(e.Message);
        }
        catch
        {
            _batch.Reset();
            throw;
        }
    }

    private void AppendSelected(LogPage page, (Revision Revision, ChainHash Chain)? upTo)
    {
        if (!page.IsWhole)
        {
            // Of the log's chain in a record, and at the end of the page, nothing else is a proof here.
            throw new MalformedDataException("The page does not fit its checksum.");
        }

        var reader = new ByteReader(page.Records.Span);
        while (reader.Remaining > 0)
        {
            var record = reader.ReadBytes(RecordFormat.MaxBytes, "the record's length");
            var revision = RecordView.Parse(record).Header.Revision;
            if (revision >= page.To)
            {
                throw new MalformedDataException($"The page promises records before {page.To}, and has revision {revision}.");
            }

            if (revision <= upTo?.Revision || upTo is null)
            {
                _batch.AppendSelected(record);
            }
        }

        if (upTo is { } end)
        {
            _batch.AdvanceTo(end.Revision, end.Chain);
        }
        else if (page.To > page.From)
        {
            _batch.AdvanceTo(new(page.To.Value - 1), page.Chain);
        }
    }
}
