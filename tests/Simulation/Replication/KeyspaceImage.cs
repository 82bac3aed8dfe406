using System.Buffers.Binary;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <summary>What a store has of one keyspace, but for its records in the log: how far it is, its rows, and where its log was cut.</summary>
/// <param name="Rows">
/// The revision that last changed each key, or <see cref="Revision.None"/> where the key is not there: that names the value. Of the catalog
/// there are none here; its rows are the names in <see cref="StoreState"/>.
/// </param>
/// <param name="CutSequence">Of the last record that is not in the log any more.</param>
internal sealed record KeyspaceImage(
    KeyspaceId Id, KeyspaceName Name, KeyspaceSequence Sequence, ChainHash Chain, Revision[] Rows,
    KeyspaceSequence CutSequence = default, ChainHash CutChain = default)
{
    public const int RowCount = 24;

    public static readonly KeyspaceName CatalogName = KeyspaceName.Parse("catalog");

    public static byte[] KeyOf(int row) => [(byte)'k', (byte)((4 * RowCount) + row)];

    public static int RowOf(ReadOnlySpan<byte> key) => key[^1] % RowCount;

    /// <summary>As <see cref="KeyspaceState"/> has it.</summary>
    public static ChainHash FirstChain(KeyspaceId id)
    {
        Span<byte> seed = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(seed, id.Value);
        return ChainHash.DigestOf(seed);
    }
}

/// <summary>What a store has at one position beside its log. Replaced by each batch, never changed.</summary>
/// <param name="Keyspaces">Those that it holds, and the catalog from its first record on.</param>
/// <param name="Names">The catalog: all keyspaces there are.</param>
internal sealed record StoreState(
    StoreProgress Progress, Dictionary<KeyspaceId, KeyspaceImage> Keyspaces, Dictionary<KeyspaceName, KeyspaceId> Names)
{
    public static readonly StoreState Empty = new(StoreProgress.Empty, [], []);
}

/// <summary>A record as it lies in a log.</summary>
internal readonly record struct LogRow(Revision Revision, KeyspaceId Keyspace, ReadOnlyMemory<byte> Bytes);
