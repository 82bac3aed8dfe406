using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// Rows staged in a batch and not yet in any View, so that commands of one Raft entry see each other's effects. Rows of the
/// catalog are always kept; others only where the batch asks for it, because a batch of plain puts looks at none.
/// </summary>
internal sealed class RowOverlay
{
    private readonly Dictionary<(KeyspaceId Keyspace, Key Key), StagedRow> _rows = [];
    private readonly HashSet<KeyspaceId> _dropped = [];
    private readonly List<(KeyspaceId Keyspace, Key Prefix, Revision Revision)> _prefixes = [];

    public readonly record struct StagedRow(Revision Revision, bool Exists, bool Expires, ReadOnlyMemory<byte> Metadata, ReadOnlyMemory<byte> Value);

    public bool TrackAll { get; set; }

    public int Count => _rows.Count + _prefixes.Count;

    public void Clear()
    {
        _rows.Clear();
        _dropped.Clear();
        _prefixes.Clear();
        TrackAll = false;
    }

    public void Record(KeyspaceId keyspace, Revision revision, in MutationView mutation)
    {
        if (TrackAll || keyspace == KeyspaceId.Catalog)
        {
            _rows[(keyspace, Key.From(mutation.Key))] =
                new(revision, mutation.IsPut, mutation.Kind == MutationKind.PutExpiring, mutation.Metadata.ToArray(), mutation.Value.ToArray());
        }
    }

    /// <summary>Rows that were staged before stay where they are: the revision tells that the deletion came later.</summary>
    public void DeletePrefix(KeyspaceId keyspace, Revision revision, ReadOnlySpan<byte> prefix)
    {
        if (TrackAll)
        {
            _prefixes.Add((keyspace, Key.From(prefix), revision));
        }
    }

    public void Drop(KeyspaceId keyspace)
    {
        _dropped.Add(keyspace);
        foreach (var row in _rows.Keys.Where(row => row.Keyspace == keyspace).ToList())
        {
            _rows.Remove(row);
        }
    }

    public bool TryGet(KeyspaceId keyspace, ReadOnlySpan<byte> key, out StagedRow row)
    {
        row = default;
        if (_rows.Count == 0 && _dropped.Count == 0 && _prefixes.Count == 0)
        {
            return false;
        }

        if (_dropped.Contains(keyspace))
        {
            return true;
        }

        // What a transaction puts below a prefix that it deletes comes behind the deletion.
        var deletedAt = PrefixDeletedAt(keyspace, key);
        if (_rows.TryGetValue((keyspace, Key.From(key)), out row) && row.Revision >= deletedAt)
        {
            return true;
        }

        row = default(StagedRow) with { Revision = deletedAt };
        return deletedAt != Revision.None;
    }

    private Revision PrefixDeletedAt(KeyspaceId keyspace, ReadOnlySpan<byte> key)
    {
        // The last one first: revisions only grow.
        for (var i = _prefixes.Count - 1; i >= 0; i--)
        {
            if (_prefixes[i].Keyspace == keyspace && key.StartsWith(_prefixes[i].Prefix.Span))
            {
                return _prefixes[i].Revision;
            }
        }

        return Revision.None;
    }

    /// <summary>Rows that are there after all that was staged, and whose key begins with a prefix, each by its weight.</summary>
    public int CountRows(KeyspaceId keyspace, ReadOnlySpan<byte> prefix)
    {
        var count = 0;
        foreach (var (row, staged) in _rows)
        {
            if (staged.Exists && row.Keyspace == keyspace && row.Key.Span.StartsWith(prefix) && staged.Revision >= PrefixDeletedAt(keyspace, row.Key.Span))
            {
                count += ApplyBatch.WeightOf(staged.Value.Length);
            }
        }

        return count;
    }

    public Revision LatestChange(KeyspaceId keyspace, ReadOnlySpan<byte> key, bool isPrefix)
    {
        var latest = Revision.None;
        foreach (var (row, staged) in _rows)
        {
            if (row.Keyspace == keyspace
                && (isPrefix ? row.Key.Span.StartsWith(key) : row.Key.Span.SequenceEqual(key))
                && staged.Revision > latest)
            {
                latest = staged.Revision;
            }
        }

        foreach (var deleted in _prefixes)
        {
            if (deleted.Keyspace == keyspace
                && (key.StartsWith(deleted.Prefix.Span) || (isPrefix && deleted.Prefix.Span.StartsWith(key)))
                && deleted.Revision > latest)
            {
                latest = deleted.Revision;
            }
        }

        return latest;
    }
}
