using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Testing;

/// <summary>Pages of a change log as a test wants them: right ones from a store, and forged ones whose chains fit all the same.</summary>
public static class Pages
{
    /// <summary>The records [<paramref name="from"/>, <paramref name="to"/>) of a hub.</summary>
    public static LogPage Of(HubStore hub, long from, long to)
    {
        var records = hub.Records();
        return Of(hub.Store.Progress, from, records.GetRange((int)from - 1, (int)(to - from)));
    }

    public static LogPage Of(StoreProgress source, long from, IReadOnlyList<byte[]> records) => new(
        PageStatus.Ok, source.Cluster, source.Position, source.Oldest, source.LogTime, TimeSpan.Zero, new(from), new(from + records.Count),
        Pack(records));

    public static Payload Pack(IEnumerable<byte[]> records)
    {
        var writer = new ByteWriter();
        foreach (var record in records)
        {
            writer.WriteBytes(record);
        }

        return new(writer.ToArray());
    }

    public static List<byte[]> Unpack(Payload payload)
    {
        var records = new List<byte[]>();
        var reader = new ByteReader(payload.Span);
        while (reader.Remaining > 0)
        {
            records.Add(reader.ReadBytes(RecordFormat.MaxBytes, "the record's length").ToArray());
        }

        return records;
    }
}

/// <summary>Makes records with good chains and whatever content: what a source of ill will could send.</summary>
public sealed class ForgedLog(ClusterUuid cluster, HistoryId history)
{
    /// <summary>Where the number of extensions stands in a record without principal.</summary>
    private const int ExtensionOffset = 71;

    private readonly Dictionary<KeyspaceId, (KeyspaceSequence Sequence, ChainHash Chain)> _keyspaces =
        new() { [KeyspaceId.Catalog] = (KeyspaceSequence.None, StoreProgress.FirstChain(cluster, history)) };
    private ChainHash _chain = StoreProgress.FirstChain(cluster, history);
    private uint _nextKeyspace = 1;

    public List<byte[]> Records { get; } = [];

    /// <summary>Only these; the log below must be one that the receiver has.</summary>
    public StoreProgress Progress => new()
    {
        Cluster = cluster, Position = new(LogId.Main, history, new(Records.Count)), Chain = _chain,
    };

    /// <summary>A log that goes on after records of a real one, for keyspaces that have a record among them.</summary>
    public static ForgedLog After(StoreProgress source, IEnumerable<byte[]> records)
    {
        var log = new ForgedLog(source.Cluster, source.Position.History);
        foreach (var bytes in records)
        {
            var record = RecordView.Parse(bytes);
            log.Records.Add(bytes);
            log._chain = record.LogChain;
            log._keyspaces[record.Header.Keyspace] = (record.Header.Sequence, record.KeyspaceChain);
        }

        return log;
    }

    public ForgedLog Create(string name)
    {
        var id = new KeyspaceId(_nextKeyspace++);
        Add(KeyspaceId.Catalog, Puts((name, CatalogRow.Write(id, KeyspaceSettings.Default, new(Records.Count + 1)))));
        Span<byte> seed = stackalloc byte[4];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(seed, id.Value);
        _keyspaces[id] = (KeyspaceSequence.None, ChainHash.DigestOf(seed));
        return this;
    }

    public ForgedLog Put(KeyspaceId keyspace, string key, string value) =>
        Add(keyspace, Puts((key, System.Text.Encoding.UTF8.GetBytes(value))));

    public static byte[] Puts(params (string Key, byte[] Value)[] rows)
    {
        var writer = new ByteWriter();
        writer.WriteVarint(rows.Length);
        foreach (var (key, value) in rows)
        {
            MutationFormat.Write(writer, MutationKind.Put, System.Text.Encoding.UTF8.GetBytes(key), default, value);
        }

        return writer.ToArray();
    }

    /// <param name="extensions">Bytes in place of "no extensions".</param>
    /// <param name="change">Changes the covered bytes before they are hashed.</param>
    public ForgedLog Add(
        KeyspaceId keyspace, byte[] mutations, LogTime? logTime = null, byte[]? extensions = null, Action<byte[]>? change = null,
        long skipRevisions = 0, long skipSequences = 0)
    {
        var (sequence, chain) = _keyspaces.GetValueOrDefault(keyspace);
        var header = new RecordHeader(
            new(Records.Count + 1 + skipRevisions), logTime ?? new(1_700_000_000_000), keyspace, new(sequence.Value + 1 + skipSequences),
            new(new(1), 2, (ulong)Records.Count), default);
        var writer = new ByteWriter();
        var (ignoredLog, ignoredKeyspace) = (_chain, chain);
        RecordFormat.Write(writer, header, default, mutations, ref ignoredLog, ref ignoredKeyspace);
        byte[] covered = [.. writer.WrittenSpan[..^(2 * ChainHash.SizeBytes)]];
        if (extensions is not null)
        {
            covered = [.. covered[..ExtensionOffset], .. extensions, .. covered[(ExtensionOffset + 1)..]];
        }

        change?.Invoke(covered);
        var digest = ChainHash.DigestOf(covered);
        _chain = _chain.Append(digest);
        chain = chain.Append(digest);
        _keyspaces[keyspace] = (sequence.Next, chain);
        var record = new byte[covered.Length + (2 * ChainHash.SizeBytes)];
        covered.CopyTo(record, 0);
        _chain.Write(record.AsSpan(covered.Length));
        chain.Write(record.AsSpan(covered.Length + ChainHash.SizeBytes));
        Records.Add(record);
        return this;
    }

    public LogPage Page(long from = 1) => Pages.Of(Progress, from, Records.Skip((int)from - 1).ToList());
}
