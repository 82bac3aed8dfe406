using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>Reads ranges of the change log, checking every record against the chain before it leaves this node.</summary>
public static class ChangeLog
{
    /// <summary>
    /// Appends records [<paramref name="from"/>, result) to <paramref name="destination"/>, each with its length in front: at
    /// least one where the View has any from there on, at most about <paramref name="maxBytes"/>. <paramref name="chain"/> is the
    /// chain before <paramref name="from"/> and becomes the chain before the result. Throws <see cref="StorageException"/>
    /// (Corrupt) at a gap or a record that does not fit the chain; what was appended before is good.
    /// </summary>
    public static Revision ReadPage(View view, Revision from, ref ChainHash chain, int maxBytes, ByteWriter destination)
    {
        using var cursor = view.OpenLog();
        var next = from;
        var start = destination.Length;
        for (var more = cursor.Seek(from); more; more = cursor.Next())
        {
            if (cursor.Revision != next)
            {
                throw new StorageException(StorageFault.Corrupt, $"The change log has a gap: revision {next} is missing, {cursor.Revision} follows.");
            }

            var bytes = cursor.Record;
            if (next != from && destination.Length - start + bytes.Length > maxBytes)
            {
                return next;
            }

            chain = CheckedChain(bytes, next, chain);
            destination.WriteBytes(bytes);
            next = next.Next;
        }

        if (next <= view.Position.Revision)
        {
            throw new StorageException(StorageFault.Corrupt, $"The change log ends before revision {next}, the state is at {view.Position.Revision}.");
        }

        return next;
    }

    /// <summary>
    /// Revisions of one keyspace from a sequence on, at most <paramref name="max"/>; throws Corrupt at a gap in the sequence.
    /// </summary>
    public static List<Revision> ReadKeyspaceRevisions(View view, KeyspaceId keyspace, KeyspaceSequence from, int max)
    {
        var revisions = new List<Revision>();
        using var cursor = view.OpenKeyspaceLog(keyspace);
        var next = from;
        for (var more = cursor.Seek(from); more && revisions.Count < max; more = cursor.Next())
        {
            if (cursor.Sequence != next)
            {
                throw new StorageException(StorageFault.Corrupt, $"The log of keyspace {keyspace} has a gap: sequence {next} is missing, {cursor.Sequence} follows.");
            }

            if (cursor.Revision > view.Position.Revision)
            {
                break;
            }

            revisions.Add(cursor.Revision);
            next = next.Next;
        }

        return revisions;
    }

    /// <summary>
    /// The first revision whose record was written at or after a log time; one more than the last there is where none was. By halving: log
    /// time never falls. Throws <see cref="StorageException"/>.
    /// </summary>
    public static Revision FirstSince(View view, LogTime time)
    {
        var (first, end) = (view.Progress.Oldest.Value, view.Position.Revision.Value + 1);
        using var cursor = view.OpenLog();
        while (first < end)
        {
            var middle = first + ((end - first) / 2);
            var found = cursor.Seek(new(middle));
            if (view.Progress.Subscription.IsAll && (!found || cursor.Revision.Value != middle))
            {
                throw new StorageException(StorageFault.Corrupt, $"The change log lacks revision {middle}.");
            }

            var isLater = !found || Undamaged.Read(cursor.Record, static bytes => RecordView.Parse(bytes).Header.LogTime, $"revision {cursor.Revision}") >= time;
            (first, end) = isLater ? (first, middle) : (cursor.Revision.Value + 1, end);
        }

        return new(first);
    }

    /// <summary>The chain after a record that must be revision <paramref name="expected"/> and follow <paramref name="before"/>.</summary>
    internal static ChainHash CheckedChain(ReadOnlySpan<byte> bytes, Revision expected, ChainHash before)
    {
        try
        {
            var record = RecordView.Parse(bytes);
            var after = before.Append(record.ComputeDigest());
            if (record.Header.Revision == expected && after == record.LogChain)
            {
                return after;
            }
        }
        catch (MalformedDataException e)
        {
            throw new StorageException(StorageFault.Corrupt, $"The change-log record of revision {expected} is damaged. {e.Message}", e);
        }

        throw new StorageException(StorageFault.Corrupt, $"The change-log record of revision {expected} does not fit the chain: it is damaged.");
    }
}
