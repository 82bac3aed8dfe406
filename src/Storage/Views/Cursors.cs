using System.Buffers.Binary;
using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>Walks the rows of one keyspace at one View. Dispose it, and before its View.</summary>
public ref struct RowCursor
{
    private readonly KeyspaceId _keyspace;
    private DbIterator _iterator;

    internal RowCursor(View view, KeyspaceId keyspace, IntPtr options)
    {
        _keyspace = keyspace;
        _iterator = new(view.Database, options, ColumnFamily.Data);
    }

    /// <summary>The key without its keyspace; valid until the next move.</summary>
    public readonly ReadOnlySpan<byte> Key => _iterator.Key[StorageKeys.KeyspaceBytes..];

    public readonly DataRow Row => DataRow.Parse(_iterator.Value);

    /// <summary>Moves to the first row at or after <paramref name="key"/>; false where the keyspace has none.</summary>
    public readonly bool Seek(ReadOnlySpan<byte> key)
    {
        Span<byte> dataKey = stackalloc byte[StorageKeys.KeyspaceBytes + Limits.MaxKeyBytes + 1];
        dataKey = dataKey[..(StorageKeys.KeyspaceBytes + key.Length)];
        StorageKeys.WriteData(dataKey, _keyspace, key);
        return _iterator.Seek(dataKey) && InKeyspace();
    }

    /// <summary>Moves to the last row before <paramref name="key"/>; false where the keyspace has none.</summary>
    public readonly bool SeekBefore(ReadOnlySpan<byte> key)
    {
        Span<byte> dataKey = stackalloc byte[StorageKeys.KeyspaceBytes + Limits.MaxKeyBytes];
        dataKey = dataKey[..(StorageKeys.KeyspaceBytes + key.Length)];
        StorageKeys.WriteData(dataKey, _keyspace, key);
        return SeekBeforeDataKey(dataKey);
    }

    /// <summary>
    /// Moves to the last row whose key begins with <paramref name="prefix"/>, empty for the last of all; where there is none, to the last before
    /// where it would be. False where the keyspace has none there either.
    /// </summary>
    public readonly bool SeekLast(ReadOnlySpan<byte> prefix)
    {
        Span<byte> dataKey = stackalloc byte[StorageKeys.KeyspaceBytes + Limits.MaxKeyBytes];
        dataKey = dataKey[..(StorageKeys.KeyspaceBytes + prefix.Length)];
        StorageKeys.WriteData(dataKey, _keyspace, prefix);
        return SeekBeforeDataKey(StorageKeys.Behind(dataKey));
    }

    private readonly bool SeekBeforeDataKey(ReadOnlySpan<byte> dataKey) =>
        _iterator.SeekForPrevious(dataKey) && (!_iterator.Key.SequenceEqual(dataKey) || _iterator.Previous()) && InKeyspace();

    public readonly bool Next() => _iterator.Next() && InKeyspace();

    public readonly bool Previous() => _iterator.Previous() && InKeyspace();

    private readonly bool InKeyspace() => BinaryPrimitives.ReadUInt32BigEndian(_iterator.Key) == _keyspace.Value;

    public void Dispose() => _iterator.Dispose();
}

/// <summary>Walks the change log at one View. Dispose it, and before its View.</summary>
public ref struct LogCursor
{
    // What is before may be there still, in a file that also has later records; it is not of the View.
    private readonly Revision _first;
    private readonly Revision _last;
    private DbIterator _iterator;

    internal LogCursor(View view)
    {
        _first = view.Progress.Oldest;
        _last = view.Position.Revision;
        _iterator = new(view.Database, view.ReadOptions, ColumnFamily.Log);
    }

    public readonly Revision Revision => StorageKeys.ReadRevision(_iterator.Key);

    /// <summary>The record's bytes; valid until the next move.</summary>
    public readonly ReadOnlySpan<byte> Record => _iterator.Value;

    /// <summary>Moves to the first record at or after <paramref name="revision"/>; false at the end.</summary>
    public readonly bool Seek(Revision revision)
    {
        Span<byte> key = stackalloc byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(key, revision > _first ? revision : _first);
        return _iterator.Seek(key) && Revision <= _last;
    }

    /// <summary>Moves to the last record at or before <paramref name="revision"/>; false where there is none.</summary>
    public readonly bool SeekForPrevious(Revision revision)
    {
        Span<byte> key = stackalloc byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(key, revision);
        return _iterator.SeekForPrevious(key) && Revision >= _first;
    }

    public readonly bool Next() => _iterator.Next() && Revision <= _last;

    public readonly bool Previous() => _iterator.Previous() && Revision >= _first;

    public void Dispose() => _iterator.Dispose();
}

/// <summary>Walks the part of the change log that belongs to one keyspace. Dispose it, and before its View.</summary>
public ref struct KeyspaceLogCursor
{
    private readonly KeyspaceId _keyspace;
    private DbIterator _iterator;

    internal KeyspaceLogCursor(View view, KeyspaceId keyspace)
    {
        _keyspace = keyspace;
        _iterator = new(view.Database, view.ReadOptions, ColumnFamily.KeyspaceLog);
    }

    public readonly KeyspaceSequence Sequence => new(BinaryPrimitives.ReadInt64BigEndian(_iterator.Key[StorageKeys.KeyspaceBytes..]));

    public readonly Revision Revision => StorageKeys.ReadRevision(_iterator.Value);

    /// <summary>Moves to the first entry at or after <paramref name="sequence"/>; false at the end.</summary>
    public readonly bool Seek(KeyspaceSequence sequence)
    {
        Span<byte> key = stackalloc byte[StorageKeys.KeyspaceLogBytes];
        StorageKeys.WriteKeyspaceLog(key, _keyspace, sequence);
        return _iterator.Seek(key) && InKeyspace();
    }

    /// <summary>Moves to the last entry at or before <paramref name="sequence"/>; false where there is none.</summary>
    public readonly bool SeekForPrevious(KeyspaceSequence sequence)
    {
        Span<byte> key = stackalloc byte[StorageKeys.KeyspaceLogBytes];
        StorageKeys.WriteKeyspaceLog(key, _keyspace, sequence);
        return _iterator.SeekForPrevious(key) && InKeyspace();
    }

    public readonly bool Next() => _iterator.Next() && InKeyspace();

    public readonly bool Previous() => _iterator.Previous() && InKeyspace();

    private readonly bool InKeyspace() => BinaryPrimitives.ReadUInt32BigEndian(_iterator.Key) == _keyspace.Value;

    public void Dispose() => _iterator.Dispose();
}
