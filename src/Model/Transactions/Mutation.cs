namespace Quicksilver.Model;

/// <summary>What a mutation does. Stored in Raft entries and change-log records: explicit numbers, append-only.</summary>
public enum MutationKind : byte
{
    Unspecified = 0,
    Put = 1,
    Delete = 2,

    /// <summary>Reserved for a range delete.</summary>
    DeleteRange = 3,

    /// <summary>Drops every row of a keyspace. Only in records of the catalog, never in a client's transaction.</summary>
    DropKeyspace = 4,
}

/// <summary>One change of one key. A transaction has at most one per key.</summary>
public readonly struct Mutation
{
    private Mutation(MutationKind kind, Key key, ReadOnlyMemory<byte> value, ReadOnlyMemory<byte> metadata)
        => (Kind, Key, Value, Metadata) = (kind, key, value, metadata);

    public MutationKind Kind { get; }

    public Key Key { get; }

    /// <summary>The value of a put, 0 to <see cref="Limits.MaxValueBytes"/> bytes; empty otherwise.</summary>
    public ReadOnlyMemory<byte> Value { get; }

    /// <summary>Metadata of a put, 0 to <see cref="Limits.MaxMetadataBytes"/> bytes; empty otherwise.</summary>
    public ReadOnlyMemory<byte> Metadata { get; }

    /// <summary>
    /// Sets a key. The bytes are read when the transaction is encoded and must not change until then. Throws
    /// <see cref="ArgumentException"/> where value or metadata are over their limit.
    /// </summary>
    public static Mutation Put(Key key, ReadOnlyMemory<byte> value, ReadOnlyMemory<byte> metadata = default)
    {
        if (value.Length > Limits.MaxValueBytes)
        {
            throw new ArgumentException($"The value has {value.Length} bytes; the limit is {Limits.MaxValueBytes} (Limits.MaxValueBytes).", nameof(value));
        }

        if (metadata.Length > Limits.MaxMetadataBytes)
        {
            throw new ArgumentException($"The metadata has {metadata.Length} bytes; the limit is {Limits.MaxMetadataBytes} (Limits.MaxMetadataBytes).", nameof(metadata));
        }

        return new(MutationKind.Put, key, value, metadata);
    }

    /// <summary>Removes a key. Removing one that is not there is a change like any other and takes a revision.</summary>
    public static Mutation Delete(Key key) => new(MutationKind.Delete, key, default, default);
}
