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
    public StoreProgress Apply(LogPage page)
    {
        _batch.Begin();
        try
        {
            if (_batch.Revision == Revision.None)
            {
                _batch.Adopt(page.Cluster, page.Source.History);
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
}
