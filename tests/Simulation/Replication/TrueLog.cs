using System.Text;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <summary>The hub's log as it is: every record that was ever committed, and the chain after each. What nodes have is compared with it.</summary>
internal sealed class TrueLog
{
    public static readonly ClusterUuid Cluster = new(1, 2);
    public static readonly HistoryId History = new(3, 4);

    /// <summary>Chain of the one keyspace before its first record.</summary>
    public static readonly ChainHash FirstKeyspaceChain = ChainHash.DigestOf([0, 0, 0, 1]);

    private static readonly KeyspaceId Keyspace = new(1);

    private readonly List<ReadOnlyMemory<byte>> _records = [];
    private readonly List<ChainHash> _chains = [StoreProgress.FirstChain(Cluster, History)];
    private readonly ByteWriter _writer = new();
    private readonly ByteWriter _mutations = new();
    private readonly byte[] _value = new byte[256];
    private ChainHash _chain = StoreProgress.FirstChain(Cluster, History);
    private ChainHash _keyspaceChain = FirstKeyspaceChain;

    public Revision Last => new(_records.Count);

    public ChainHash Chain => _chain;

    public ChainHash KeyspaceChain => _keyspaceChain;

    public ReadOnlyMemory<byte> this[Revision revision] => _records[(int)revision.Value - 1];

    public ChainHash ChainAt(Revision revision) => _chains[(int)revision.Value];

    /// <summary>Commits one more record, made as the hub makes it, of 150 to 370 bytes.</summary>
    public ReadOnlyMemory<byte> Append(LogTime now, Random random)
    {
        var revision = Last.Next;
        var value = _value.AsSpan(0, 30 + random.Next(220));
        random.NextBytes(value);
        _mutations.Clear();
        _mutations.WriteVarint(1);
        MutationFormat.Write(_mutations, MutationKind.Put, Encoding.ASCII.GetBytes($"key-{random.Next(100)}"), default, value);

        _writer.Clear();
        var header = new RecordHeader(
            revision, now, Keyspace, new(revision.Value), new(now, (ulong)random.NextInt64(), (ulong)revision.Value), default);
        RecordFormat.Write(_writer, header, default, _mutations.WrittenSpan, ref _chain, ref _keyspaceChain);
        ReadOnlyMemory<byte> record = _writer.ToArray();
        _records.Add(record);
        _chains.Add(_chain);
        return record;
    }
}
