using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// Checks records of a View against the chains of their keyspaces: all that can be judged in a log that has only some of the records.
/// Remembers the last of each keyspace, so records in their order cost one look back each.
/// </summary>
internal sealed class KeyspaceChains
{
    private readonly Dictionary<KeyspaceId, (KeyspaceSequence Sequence, ChainHash Chain)> _last = [];

    /// <summary>Forgets what it remembers, for another place in the log.</summary>
    public void Clear() => _last.Clear();

    /// <summary>
    /// Reads a record that must be of this revision. Throws <see cref="StorageException"/> (Corrupt) where it is not, or does not follow the one
    /// before in its keyspace. Of a keyspace that was dropped meanwhile there is none before: such a record is taken as it is.
    /// </summary>
    public RecordView Check(View view, ReadOnlySpan<byte> bytes, Revision expected)
    {
        RecordView record;
        try
        {
            record = RecordView.Parse(bytes);
        }
        catch (MalformedDataException e)
        {
            throw new StorageException(StorageFault.Corrupt, $"The change-log record of revision {expected} is damaged. {e.Message}", e);
        }

        var header = record.Header;
        var before = Before(view, header.Keyspace, header.Sequence);
        if (header.Revision != expected || (before is { } chain && chain.Append(record.ComputeDigest()) != record.KeyspaceChain))
        {
            throw new StorageException(StorageFault.Corrupt, $"The change-log record of revision {expected} does not fit the chain of its keyspace: it is damaged.");
        }

        _last[header.Keyspace] = (header.Sequence, record.KeyspaceChain);
        return record;
    }

    /// <summary>The chain of a keyspace before a sequence; null where the keyspace is not there any more.</summary>
    private ChainHash? Before(View view, KeyspaceId keyspace, KeyspaceSequence sequence)
    {
        if (_last.TryGetValue(keyspace, out var last) && last.Sequence.Next == sequence)
        {
            return last.Chain;
        }

        if (sequence == KeyspaceSequence.None.Next)
        {
            return keyspace == KeyspaceId.Catalog
                ? StoreProgress.FirstChain(view.Progress.Cluster, view.Position.History)
                : KeyspaceState.FirstChain(keyspace);
        }

        if (view.FindCut(keyspace) is { } cut && cut.Sequence.Next == sequence)
        {
            return cut.Chain;
        }

        using var earlier = view.OpenKeyspaceLog(keyspace);
        if (earlier.Seek(new(sequence.Value - 1)) && earlier.Sequence.Next == sequence)
        {
            using var log = view.OpenLog();
            return log.Seek(earlier.Revision) && log.Revision == earlier.Revision
                ? Undamaged.Read(log.Record, static bytes => RecordView.Parse(bytes).KeyspaceChain, $"revision {earlier.Revision}")
                : throw Lacks(keyspace, sequence);
        }

        return view.FindKeyspace(keyspace) is null ? null : throw Lacks(keyspace, sequence);
    }

    private static StorageException Lacks(KeyspaceId keyspace, KeyspaceSequence sequence) =>
        new(StorageFault.Corrupt, $"The change log lacks what is before sequence {sequence} of keyspace {keyspace}.");
}
