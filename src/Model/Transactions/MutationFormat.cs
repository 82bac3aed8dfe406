namespace Quicksilver.Model;

/// <summary>
/// Binary form of one mutation, the same in commands and in change-log records, so that apply copies it: kind, key, and for a
/// put metadata and value; for a dropped keyspace its id.
/// </summary>
public static class MutationFormat
{
    public static void Write(ByteWriter writer, MutationKind kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value)
    {
        writer.WriteByte((byte)kind);
        writer.WriteBytes(key);
        if (kind == MutationKind.Put)
        {
            writer.WriteBytes(metadata);
            writer.WriteBytes(value);
        }
    }

    public static void WriteDropKeyspace(ByteWriter writer, KeyspaceId keyspace)
    {
        writer.WriteByte((byte)MutationKind.DropKeyspace);
        writer.WriteUInt32(keyspace.Value);
    }

    /// <summary>Reads the next mutation. Its spans live as long as the source.</summary>
    public static MutationView Read(ref ByteReader reader)
    {
        var kind = (MutationKind)reader.ReadByte();
        switch (kind)
        {
            case MutationKind.Put:
                return new(kind, ReadKey(ref reader), reader.ReadBytes(Limits.MaxMetadataBytes, "the metadata's length"), reader.ReadBytes(Limits.MaxValueBytes, "the value's length"), default);
            case MutationKind.Delete:
                return new(kind, ReadKey(ref reader), default, default, default);
            case MutationKind.DropKeyspace:
                return new(kind, default, default, default, new KeyspaceId(reader.ReadUInt32()));
            default:
                throw reader.Malformed($"mutation kind {(byte)kind} is unknown to this version");
        }
    }

    internal static ReadOnlySpan<byte> ReadKey(ref ByteReader reader)
    {
        var key = reader.ReadBytes(Limits.MaxKeyBytes, "the key's length");
        return key.IsEmpty ? throw reader.Malformed("a key is empty") : key;
    }
}

/// <summary>One mutation as it lies in its source bytes.</summary>
public readonly ref struct MutationView(
    MutationKind kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value, KeyspaceId droppedKeyspace)
{
    public MutationKind Kind { get; } = kind;
    public ReadOnlySpan<byte> Key { get; } = key;
    public ReadOnlySpan<byte> Metadata { get; } = metadata;
    public ReadOnlySpan<byte> Value { get; } = value;

    /// <summary>The keyspace that a <see cref="MutationKind.DropKeyspace"/> drops.</summary>
    public KeyspaceId DroppedKeyspace { get; } = droppedKeyspace;
}
