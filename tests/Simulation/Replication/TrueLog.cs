using System.Text;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// The hub's log as it is: every record that was ever committed, the chain after each, and every keyspace there ever was. What nodes have is
/// compared with it.
/// </summary>
internal sealed class TrueLog
{
    public static readonly ClusterUuid Cluster = new(1, 2);
    public static readonly HistoryId History = new(3, 4);

    private readonly List<ReadOnlyMemory<byte>> _records = [];
    private readonly List<TrueKeyspace> _owners = [];
    private readonly List<ChainHash> _chains = [StoreProgress.FirstChain(Cluster, History)];
    private readonly ByteWriter _writer = new();
    private readonly ByteWriter _mutations = new();
    private readonly byte[] _value = new byte[256];
    private ChainHash _chain = StoreProgress.FirstChain(Cluster, History);

    public Revision Last => new(_records.Count);

    public ReadOnlyMemory<byte> this[Revision revision] => _records[(int)revision.Value - 1];

    /// <summary>All there ever were, each at the place of its id: ids are given in their order and never again.</summary>
    public List<TrueKeyspace> Keyspaces { get; } =
        [new(KeyspaceId.Catalog, KeyspaceImage.CatalogName, Revision.None, StoreProgress.FirstChain(Cluster, History))];

    /// <summary>Those that are there now, without the catalog.</summary>
    public List<TrueKeyspace> Living { get; } = [];

    private TrueKeyspace Catalog => Keyspaces[0];

    public ChainHash ChainAt(Revision revision) => _chains[(int)revision.Value];

    /// <summary>True where the record of a revision is of the catalog or of a keyspace in a subscription.</summary>
    public bool IsOf(Revision revision, Subscription subscription) =>
        subscription.IsAll || (revision <= Last && IsHeld(_owners[(int)revision.Value - 1], subscription));

    public static bool IsHeld(TrueKeyspace keyspace, Subscription subscription) =>
        keyspace.Id == KeyspaceId.Catalog || subscription.Includes(keyspace.Name);

    /// <summary>Commits one more record of a keyspace, made as the hub makes it, of 110 to 370 bytes.</summary>
    public ReadOnlyMemory<byte> Append(TrueKeyspace keyspace, LogTime now, Random random)
    {
        var row = random.Next(KeyspaceImage.RowCount);
        var isPut = random.Next(10) > 0;
        var value = _value.AsSpan(0, 30 + random.Next(220));
        random.NextBytes(value);
        Begin(1);
        MutationFormat.Write(_mutations, isPut ? MutationKind.Put : MutationKind.Delete, KeyspaceImage.KeyOf(row), default, value);
        var rows = (Revision[])keyspace.Last.Rows.Clone();
        rows[row] = isPut ? Last.Next : Revision.None;
        return Commit(keyspace, rows, now, random);
    }

    public ReadOnlyMemory<byte> Create(KeyspaceName name, LogTime now, Random random)
    {
        var id = new KeyspaceId((uint)Keyspaces.Count);
        Begin(1);
        MutationFormat.Write(
            _mutations, MutationKind.Put, Encoding.ASCII.GetBytes(name.Value), default, CatalogRow.Write(id, KeyspaceSettings.Default, Last.Next));
        var record = Commit(Catalog, [], now, random);
        var created = new TrueKeyspace(id, name, Last, KeyspaceImage.FirstChain(id));
        Keyspaces.Add(created);
        Living.Add(created);
        return record;
    }

    public ReadOnlyMemory<byte> Drop(TrueKeyspace keyspace, LogTime now, Random random)
    {
        Begin(2);
        MutationFormat.Write(_mutations, MutationKind.Delete, Encoding.ASCII.GetBytes(keyspace.Name.Value), default, default);
        MutationFormat.WriteDropKeyspace(_mutations, keyspace.Id);
        keyspace.DroppedAt = Last.Next;
        Living.Remove(keyspace);
        return Commit(Catalog, [], now, random);
    }

    private void Begin(int mutations)
    {
        _mutations.Clear();
        _mutations.WriteVarint(mutations);
    }

    private ReadOnlyMemory<byte> Commit(TrueKeyspace keyspace, Revision[] rows, LogTime now, Random random)
    {
        var revision = Last.Next;
        var keyspaceChain = keyspace.Last.Chain;
        _writer.Clear();
        var header = new RecordHeader(
            revision, now, keyspace.Id, keyspace.Sequence.Next, new(now, (ulong)random.NextInt64(), (ulong)revision.Value), default);
        RecordFormat.Write(_writer, header, default, _mutations.WrittenSpan, ref _chain, ref keyspaceChain);
        ReadOnlyMemory<byte> record = _writer.ToArray();
        _records.Add(record);
        _owners.Add(keyspace);
        _chains.Add(_chain);
        keyspace.Add(new(revision, keyspaceChain, rows));
        return record;
    }
}
