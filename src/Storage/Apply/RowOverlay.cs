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

    public readonly record struct StagedRow(Revision Revision, bool Exists, bool Expires, ReadOnlyMemory<byte> Metadata, ReadOnlyMemory<byte> Value);

    public bool TrackAll { get; set; }

    public int Count => _rows.Count;

    public void Clear()
    {
        _rows.Clear();
        _dropped.Clear();
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
        if (_rows.Count == 0 && _dropped.Count == 0)
        {
            return false;
        }

        return _dropped.Contains(keyspace) || _rows.TryGetValue((keyspace, Key.From(key)), out row);
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

        return latest;
    }
}
