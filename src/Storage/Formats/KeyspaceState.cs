using System.Text;
using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// What the store keeps per keyspace beside its rows: how far its part of the log is, and its settings. One small row in
/// <c>meta</c>, written with each batch that touches the keyspace; in memory only while it is in use.
/// </summary>
public sealed record KeyspaceState(
    KeyspaceId Id, KeyspaceName Name, KeyspaceSettings Settings, Revision CreatedAt, KeyspaceSequence Sequence, ChainHash Chain)
{
    private const byte Version = 1;

    /// <summary>The catalog before its first record.</summary>
    internal static KeyspaceState EmptyCatalog(ChainHash firstChain) =>
        new(KeyspaceId.Catalog, KeyspaceName.Parse("catalog"), KeyspaceSettings.Default, Revision.None, KeyspaceSequence.None, firstChain);

    /// <summary>The chain of a keyspace starts from its id, so that the empty logs of two keyspaces are told apart. Not of the catalog.</summary>
    internal static ChainHash FirstChain(KeyspaceId id)
    {
        Span<byte> seed = stackalloc byte[StorageKeys.KeyspaceBytes];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(seed, id.Value);
        return ChainHash.DigestOf(seed);
    }

    public KeyspaceInfo ToInfo() => new(Id, Name, Settings, CreatedAt);

    internal void Write(ByteWriter writer)
    {
        writer.WriteByte(Version);
        writer.WriteBytes(Encoding.ASCII.GetBytes(Name.Value));
        KeyspaceSettingsFormat.Write(writer, Settings);
        writer.WritePosition(CreatedAt.Value);
        writer.WritePosition(Sequence.Value);
        Chain.Write(writer.Reserve(ChainHash.SizeBytes));
    }

    internal static KeyspaceState Read(KeyspaceId id, ReadOnlySpan<byte> row)
    {
        var reader = new ByteReader(row);
        if (reader.ReadByte() is var version and not Version)
        {
            throw new StorageException(StorageFault.Corrupt, $"The state of keyspace {id} has version {version}; this build reads {Version}.");
        }

        var name = KeyspaceName.Parse(Encoding.ASCII.GetString(reader.ReadBytes(64, "the name's length")));
        var settings = KeyspaceSettingsFormat.Read(ref reader);
        var state = new KeyspaceState(id, name, settings, new(reader.ReadPosition()), new(reader.ReadPosition()), ChainHash.Read(reader.Take(ChainHash.SizeBytes)));
        reader.ExpectEnd();
        return state;
    }
}

/// <summary>
/// A row of the catalog (keyspace 0): key = name, value = id, then settings, then the revision of creation. It is ordinary data
/// and so part of the change log; the rest of <see cref="KeyspaceState"/> each node derives by applying.
/// </summary>
public static class CatalogRow
{
    public static byte[] Write(KeyspaceId id, KeyspaceSettings settings, Revision createdAt)
    {
        var writer = new ByteWriter(32);
        writer.WriteUInt32(id.Value);
        writer.WritePosition(createdAt.Value);
        KeyspaceSettingsFormat.Write(writer, settings);
        return writer.ToArray();
    }

    public static (KeyspaceId Id, KeyspaceSettings Settings, Revision CreatedAt) Read(ReadOnlySpan<byte> value)
    {
        var reader = new ByteReader(value);
        var id = new KeyspaceId(reader.ReadUInt32());
        var createdAt = new Revision(reader.ReadPosition());
        var settings = KeyspaceSettingsFormat.Read(ref reader);
        reader.ExpectEnd();
        return (id, settings, createdAt);
    }
}
