namespace Quicksilver.Model;

/// <summary>What a mutation does. Stored in Raft entries and change-log records: explicit numbers, append-only.</summary>
public enum MutationKind : byte
{
    Unspecified = 0,
    Put = 1,
    Delete = 2,

    /// <summary>Reserved for a delete between two keys. Refused.</summary>
    DeleteRange = 3,

    /// <summary>Drops every row of a keyspace. Only in records of the catalog, never in a client's transaction.</summary>
    DropKeyspace = 4,

    /// <summary>A put with a time to live.</summary>
    PutExpiring = 5,

    /// <summary>Deletes every key with a prefix. Before all other kinds in its transaction, never in the catalog.</summary>
    DeletePrefix = 6,
}

/// <summary>
/// One change of one key, or the deletion of all keys with a prefix. A transaction has at most one per key. Deletions of prefixes come first,
/// so a transaction can replace all that is below a prefix.
/// </summary>
public readonly struct Mutation
{
    private Mutation(MutationKind kind, Key key, ReadOnlyMemory<byte> value, ReadOnlyMemory<byte> metadata, TimeSpan? timeToLive)
        => (Kind, Key, Value, Metadata, TimeToLive) = (kind, key, value, metadata, timeToLive);

    public MutationKind Kind { get; }

    /// <summary>The key, or the prefix where the kind says so.</summary>
    public Key Key { get; }

    /// <summary>The value of a put, 0 to <see cref="Limits.MaxValueBytes"/> bytes; empty otherwise.</summary>
    public ReadOnlyMemory<byte> Value { get; }

    /// <summary>Metadata of a put, 0 to <see cref="Limits.MaxMetadataBytes"/> bytes; empty otherwise.</summary>
    public ReadOnlyMemory<byte> Metadata { get; }

    /// <summary>How long after the put the hub deletes the key, whole milliseconds; null where it stays.</summary>
    public TimeSpan? TimeToLive { get; }

    /// <summary>
    /// Sets a key. The bytes are read when the transaction is encoded and must not change until then. Throws
    /// <see cref="ArgumentException"/> where value or metadata are over their limit, or the time to live is outside 1 ms to
    /// <see cref="Limits.MaxTimeToLive"/>.
    /// </summary>
    /// <param name="timeToLive">
    /// The hub deletes the key about so long after this put, unless it is put again before; null: it stays. Counted in log time, so all
    /// nodes lose it at one revision.
    /// </param>
    public static Mutation Put(Key key, ReadOnlyMemory<byte> value, ReadOnlyMemory<byte> metadata = default, TimeSpan? timeToLive = null)
    {
        if (value.Length > Limits.MaxValueBytes)
        {
            throw new ArgumentException($"The value has {value.Length} bytes; the limit is {Limits.MaxValueBytes} (Limits.MaxValueBytes).", nameof(value));
        }

        if (metadata.Length > Limits.MaxMetadataBytes)
        {
            throw new ArgumentException($"The metadata has {metadata.Length} bytes; the limit is {Limits.MaxMetadataBytes} (Limits.MaxMetadataBytes).", nameof(metadata));
        }

        if (timeToLive is { } ttl && (ttl < TimeSpan.FromMilliseconds(1) || ttl > Limits.MaxTimeToLive))
        {
            throw new ArgumentException($"The time to live is {ttl}; it must be 1 ms to {Limits.MaxTimeToLive.TotalDays} days (Limits.MaxTimeToLive).", nameof(timeToLive));
        }

        return new(timeToLive is null ? MutationKind.Put : MutationKind.PutExpiring, key, value, metadata, timeToLive);
    }

    /// <summary>Removes a key. Removing one that is not there is a change like any other and takes a revision.</summary>
    public static Mutation Delete(Key key) => new(MutationKind.Delete, key, default, default, null);

    /// <summary>
    /// Removes all keys with a prefix, those that are there when the transaction takes effect, in its one revision. A change of every such key
    /// like any other, also where there is none. In a transaction before all other mutations; what they put with this prefix stays. Of more than
    /// <see cref="Limits.MaxPrefixRows"/> rows in one transaction nothing is removed.
    /// </summary>
    public static Mutation DeletePrefix(Key prefix) => new(MutationKind.DeletePrefix, prefix, default, default, null);
}
