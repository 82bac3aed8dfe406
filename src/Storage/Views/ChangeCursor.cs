using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// Walks the records of one keyspace at one View, in their order; each is checked against the chain of the keyspace before it is shown.
/// Dispose it, and before its View. Everything throws <see cref="StorageException"/> (Corrupt) where something is damaged or missing.
/// </summary>
public ref struct ChangeCursor
{
    private readonly View _view;
    private readonly KeyspaceId _keyspace;
    private readonly KeyspaceChains _chains;
    private KeyspaceLogCursor _entries;
    private LogCursor _log;
    private KeyspaceSequence _next;

    internal ChangeCursor(View view, KeyspaceId keyspace)
    {
        (_view, _keyspace, _chains) = (view, keyspace, new());
        _entries = view.OpenKeyspaceLog(keyspace);
        _log = view.OpenLog();
    }

    /// <summary>The record; its spans are valid until the next move.</summary>
    public RecordView Record { get; private set; }

    /// <summary>Moves to the first record at or after <paramref name="revision"/>; false where there is none yet.</summary>
    public bool Seek(Revision revision)
    {
        _next = First(_view, _keyspace, revision);
        return _entries.Seek(_next) && Take();
    }

    public bool Next() => _entries.Next() && Take();

    private bool Take()
    {
        if (_entries.Sequence != _next)
        {
            throw new StorageException(StorageFault.Corrupt, $"The log of keyspace {_keyspace} has a gap: sequence {_next} is missing, {_entries.Sequence} follows.");
        }

        var revision = _entries.Revision;
        if (revision > _view.Position.Revision)
        {
            return false;
        }

        if (!_log.Seek(revision) || _log.Revision != revision)
        {
            throw new StorageException(StorageFault.Corrupt, $"The change log lacks revision {revision} of keyspace {_keyspace}.");
        }

        Record = _chains.Check(_view, _log.Record, revision);
        if (Record.Header.Keyspace != _keyspace || Record.Header.Sequence != _next)
        {
            throw new StorageException(StorageFault.Corrupt, $"Revision {revision} is not sequence {_next} of keyspace {_keyspace}, as its log says.");
        }

        _next = _next.Next;
        return true;
    }

    /// <summary>The first sequence of a keyspace at or after a revision, by halving: one more than the last there is where there is none.</summary>
    internal static KeyspaceSequence First(View view, KeyspaceId keyspace, Revision from)
    {
        using var cursor = view.OpenKeyspaceLog(keyspace);
        var first = (view.FindCut(keyspace)?.Sequence.Value ?? 0) + 1;
        var end = cursor.SeekForPrevious(new(long.MaxValue)) ? cursor.Sequence.Value + 1 : first;
        while (first < end)
        {
            var middle = first + ((end - first) / 2);
            if (!cursor.Seek(new(middle)) || cursor.Sequence.Value != middle)
            {
                throw new StorageException(StorageFault.Corrupt, $"The log of keyspace {keyspace} lacks sequence {middle}.");
            }

            (first, end) = cursor.Revision >= from ? (first, middle) : (middle + 1, end);
        }

        return new(first);
    }

    public void Dispose()
    {
        _entries.Dispose();
        _log.Dispose();
    }
}
