using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication;

/// <summary>A keyspace after one of its records.</summary>
/// <param name="At">Revision of that record; of its creation before the first.</param>
/// <param name="Rows">As in <see cref="KeyspaceImage"/>.</param>
internal sealed record TrueVersion(Revision At, ChainHash Chain, Revision[] Rows);

/// <summary>A keyspace of the hub's log with all that it ever was, so that the state of any replica at any revision can be compared.</summary>
internal sealed class TrueKeyspace(KeyspaceId id, KeyspaceName name, Revision createdAt, ChainHash firstChain)
{
    // By sequence.
    private readonly List<TrueVersion> _versions = [new(createdAt, firstChain, new Revision[id == KeyspaceId.Catalog ? 0 : KeyspaceImage.RowCount])];

    public KeyspaceId Id { get; } = id;

    public KeyspaceName Name { get; } = name;

    public Revision CreatedAt { get; } = createdAt;

    public Revision? DroppedAt { get; set; }

    public KeyspaceSequence Sequence => new(_versions.Count - 1);

    public TrueVersion Last => _versions[^1];

    public void Add(TrueVersion version) => _versions.Add(version);

    public bool IsThereAt(Revision revision) => CreatedAt <= revision && (DroppedAt is not { } dropped || revision < dropped);

    /// <summary>What it was at a revision, at which it was there.</summary>
    public (KeyspaceSequence Sequence, TrueVersion Version) VersionAt(Revision revision)
    {
        var (first, end) = (0, _versions.Count - 1);
        while (first < end)
        {
            var middle = (first + end + 1) / 2;
            (first, end) = _versions[middle].At <= revision ? (middle, end) : (first, middle - 1);
        }

        return (new(first), _versions[first]);
    }
}
