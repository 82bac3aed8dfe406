using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// How far a store is and what apply needs to go on. It is written in the same batch as the effects it describes: data and
/// position are never apart.
/// </summary>
public sealed record StoreProgress
{
    private const byte Version = 2;

    /// <summary>With the subscription of a replica that does not hold all keyspaces.</summary>
    private const byte PartialVersion = 3;

    /// <summary>Without the chain at the cut: there was no cut yet.</summary>
    private const byte FirstVersion = 1;

    public static readonly StoreProgress Empty = new();

    /// <summary>The cluster the data belongs to; zero until known.</summary>
    public ClusterUuid Cluster { get; init; }

    public LogPosition Position { get; init; }

    /// <summary>Chain hash of the log at <see cref="Position"/>.</summary>
    public ChainHash Chain { get; init; }

    /// <summary>First revision still in the log.</summary>
    public Revision Oldest { get; init; } = new(1);

    /// <summary>Chain hash of the log before <see cref="Oldest"/>: whoever stands there can still be judged.</summary>
    public ChainHash OldestChain { get; init; }

    /// <summary>Hub only: the last Raft entry whose effects are here.</summary>
    public LogIndex AppliedIndex { get; init; }

    /// <summary>Log time of the last applied Raft entry (hub) or record (replica).</summary>
    public LogTime LogTime { get; init; }

    /// <summary>The replicated level that decides which behaviour apply has.</summary>
    public int FeatureLevel { get; init; }

    /// <summary>Id of the next keyspace to be created.</summary>
    public KeyspaceId NextKeyspace { get; init; } = new(1);

    /// <summary>
    /// Hub: ids of operations issued before this may have been forgotten because there were too many. A function of the log, kept
    /// here because the records it came from may be far back.
    /// </summary>
    public LogTime OperationsFloor { get; init; }

    /// <summary>How often this directory was filled by a full copy.</summary>
    public long FullCopies { get; init; }

    /// <summary>The keyspaces that are here, complete up to <see cref="Position"/>; the log has only their records.</summary>
    public Subscription Subscription { get; init; } = Subscription.All;

    internal void Write(ByteWriter writer)
    {
        writer.WriteByte(Subscription.IsAll ? Version : PartialVersion);
        Cluster.Write(writer.Reserve(ClusterUuid.SizeBytes));
        writer.WriteUInt32((uint)Position.Log.Value);
        Position.History.Write(writer.Reserve(HistoryId.SizeBytes));
        writer.WritePosition(Position.Revision.Value);
        Chain.Write(writer.Reserve(ChainHash.SizeBytes));
        writer.WritePosition(Oldest.Value);
        writer.WritePosition(AppliedIndex.Value);
        writer.WritePosition(LogTime.Value);
        writer.WriteVarint(FeatureLevel);
        writer.WriteUInt32(NextKeyspace.Value);
        writer.WriteVarint(FullCopies);
        writer.WritePosition(OperationsFloor.Value);
        OldestChain.Write(writer.Reserve(ChainHash.SizeBytes));
        if (!Subscription.IsAll)
        {
            Subscription.Write(writer);
        }
    }

    internal static StoreProgress Read(ReadOnlySpan<byte> row)
    {
        var reader = new ByteReader(row);
        var version = reader.ReadByte();
        if (version is not (FirstVersion or Version or PartialVersion))
        {
            throw new StorageException(StorageFault.Foreign, $"The data directory has format version {version}; this build reads up to {PartialVersion}. Use the build that wrote it.");
        }

        var progress = new StoreProgress
        {
            Cluster = ClusterUuid.Read(reader.Take(ClusterUuid.SizeBytes)),
            Position = new(new((int)reader.ReadUInt32()), HistoryId.Read(reader.Take(HistoryId.SizeBytes)), new(reader.ReadPosition())),
            Chain = ChainHash.Read(reader.Take(ChainHash.SizeBytes)),
            Oldest = new(reader.ReadPosition()),
            AppliedIndex = new(reader.ReadPosition()),
            LogTime = new(reader.ReadPosition()),
            FeatureLevel = reader.ReadCount(int.MaxValue, "the feature level"),
            NextKeyspace = new(reader.ReadUInt32()),
            FullCopies = reader.ReadVarint(),
            OperationsFloor = new(reader.ReadPosition()),
        };
        progress = progress with
        {
            OldestChain = version != FirstVersion ? ChainHash.Read(reader.Take(ChainHash.SizeBytes))
                : progress.Cluster.IsNone ? ChainHash.Empty
                : FirstChain(progress.Cluster, progress.Position.History),
            Subscription = version == PartialVersion ? Subscription.Read(ref reader) : Subscription.All,
        };
        reader.ExpectEnd();
        return progress;
    }

    /// <summary>Chain hash of an empty log of this cluster and history: no two clusters share a chain.</summary>
    public static ChainHash FirstChain(ClusterUuid cluster, HistoryId history)
    {
        Span<byte> seed = stackalloc byte[ClusterUuid.SizeBytes + HistoryId.SizeBytes];
        cluster.Write(seed);
        history.Write(seed[ClusterUuid.SizeBytes..]);
        return ChainHash.DigestOf(seed);
    }
}
