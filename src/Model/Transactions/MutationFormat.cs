namespace Quicksilver.Model;

/// <summary>
/// Binary form of one mutation, the same in commands and in change-log records, so that apply copies it: kind, key, and for a
/// put metadata and value, then the time to live where it has one; for a prefix delete the prefix in place of the key; for a dropped
/// keyspace its id.
/// </summary>
public static class MutationFormat
{
    public static void Write(ByteWriter writer, MutationKind kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value)
    {
        writer.WriteByte((byte)kind);
        writer.WriteBytes(key);
        if (kind is MutationKind.Put or MutationKind.PutExpiring)
        {
            writer.WriteBytes(metadata);
            writer.WriteBytes(value);
        }
    }

    public static void Write(ByteWriter writer, in Mutation mutation)
    {
        Write(writer, mutation.Kind, mutation.Key.Span, mutation.Metadata.Span, mutation.Value.Span);
        if (mutation.TimeToLive is { } timeToLive)
        {
            writer.WriteVarint((long)timeToLive.TotalMilliseconds);
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
            case MutationKind.Put or MutationKind.PutExpiring:
                var key = ReadKey(ref reader);
                var metadata = reader.ReadBytes(Limits.MaxMetadataBytes, "the metadata's length");
                var value = reader.ReadBytes(Limits.MaxValueBytes, "the value's length");
                return new(kind, key, metadata, value, kind == MutationKind.Put ? TimeSpan.Zero : ReadTimeToLive(ref reader));
            case MutationKind.Delete or MutationKind.DeletePrefix:
                return new(kind, ReadKey(ref reader));
            case MutationKind.DropKeyspace:
                return new(kind, droppedKeyspace: new(reader.ReadUInt32()));
            default:
                throw reader.Malformed($"mutation kind {(byte)kind} is unknown to this version");
        }
    }

    private static TimeSpan ReadTimeToLive(ref ByteReader reader)
    {
        var milliseconds = reader.ReadVarint();
        return milliseconds > 0 && milliseconds <= Limits.MaxTimeToLive.TotalMilliseconds
            ? TimeSpan.FromMilliseconds(milliseconds)
            : throw reader.Malformed($"a time to live is {milliseconds} ms, the limit is {Limits.MaxTimeToLive.TotalMilliseconds}");
    }

    internal static ReadOnlySpan<byte> ReadKey(ref ByteReader reader)
    {
        var key = reader.ReadBytes(Limits.MaxKeyBytes, "the key's length");
        return key.IsEmpty ? throw reader.Malformed("a key is empty") : key;
    }
}

/// <summary>One mutation as it lies in its source bytes.</summary>
public readonly ref struct MutationView(
    MutationKind kind, ReadOnlySpan<byte> key = default, ReadOnlySpan<byte> metadata = default, ReadOnlySpan<byte> value = default,
    TimeSpan timeToLive = default, KeyspaceId droppedKeyspace = default)
{
    public MutationKind Kind { get; } = kind;

    /// <summary>The key; the prefix of a <see cref="MutationKind.DeletePrefix"/>.</summary>
    public ReadOnlySpan<byte> Key { get; } = key;

    public ReadOnlySpan<byte> Metadata { get; } = metadata;
    public ReadOnlySpan<byte> Value { get; } = value;

    public bool IsPut => Kind is MutationKind.Put or MutationKind.PutExpiring;

    /// <summary>True where this puts or deletes the key, whether it is there or not.</summary>
    public bool Changes(ReadOnlySpan<byte> key) => Kind switch
    {
        MutationKind.DropKeyspace => false,
        MutationKind.DeletePrefix => key.StartsWith(Key),
        _ => key.SequenceEqual(Key),
    };

    /// <summary>True where this puts or deletes a key with the prefix, or may: a prefix delete does not say which keys were there.</summary>
    public bool ChangesBelow(ReadOnlySpan<byte> prefix) => Kind switch
    {
        MutationKind.DropKeyspace => false,
        MutationKind.DeletePrefix => Key.StartsWith(prefix) || prefix.StartsWith(Key),
        _ => Key.StartsWith(prefix),
    };

    /// <summary>When the row that a put makes expires, where it is put at this log time; <see cref="LogTime.None"/> where it stays.</summary>
    public LogTime ExpiresAt(LogTime putAt) => Kind == MutationKind.PutExpiring ? putAt.Add(timeToLive) : LogTime.None;

    /// <summary>The keyspace that a <see cref="MutationKind.DropKeyspace"/> drops.</summary>
    public KeyspaceId DroppedKeyspace { get; } = droppedKeyspace;
}
