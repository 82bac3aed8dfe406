using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>State of one row of an answer. On the wire: explicit numbers, append-only.</summary>
public enum RowState : byte
{
    /// <summary>The key does not exist in the View that answered.</summary>
    Absent = 0,

    Found = 1,

    /// <summary>The answer's byte budget was spent before this key: ask for it again.</summary>
    AskAgain = 2,

    /// <summary>Only in changes: all keys that begin with what stands in place of the key were deleted.</summary>
    PrefixDeleted = 3,
}

/// <summary>
/// The packed blocks of reads. Keys: a count, then each key with its length. Rows of a multi-read: a count, then each row as
/// state and, when found, revision, expiry (log time, 0 for none), metadata, value. Rows of a scan: a count, then for each its key and
/// the same. Changes of a watch: for each revision it and the number of its changes, then each with its key and, as in a multi-read, what is there
/// now; for a prefix delete the prefix and its own state.
/// </summary>
public static class ReadBlocks
{
    public static Payload PackKeys(IReadOnlyList<Key> keys)
    {
        var bytes = 0;
        for (var i = 0; i < keys.Count; i++)
        {
            bytes += keys[i].Span.Length;
        }

        var writer = NewKeys(keys.Count, bytes);
        for (var i = 0; i < keys.Count; i++)
        {
            writer.WriteBytes(keys[i].Span);
        }

        return new(writer.WrittenMemory);
    }

    /// <summary>Some of the keys, by their numbers, in the order of these.</summary>
    public static Payload PackKeys(IReadOnlyList<Key> keys, ArraySegment<int> numbers)
    {
        var bytes = 0;
        foreach (var number in numbers)
        {
            bytes += keys[number].Span.Length;
        }

        var writer = NewKeys(numbers.Count, bytes);
        foreach (var number in numbers)
        {
            writer.WriteBytes(keys[number].Span);
        }

        return new(writer.WrittenMemory);
    }

    private static ByteWriter NewKeys(int count, int bytes)
    {
        var writer = new ByteWriter(10 + (3 * count) + bytes);
        writer.WriteVarint(count);
        return writer;
    }

    /// <summary>Reads the count of a block of keys and checks it against the limits.</summary>
    public static int ReadKeyCount(ref ByteReader reader)
    {
        var count = reader.ReadCount(Limits.MaxKeysPerRead, "the number of keys");
        return count == 0 ? throw reader.Malformed("the read asks for no key") : count;
    }

    public static ReadOnlySpan<byte> ReadKey(ref ByteReader reader)
    {
        var key = reader.ReadBytes(Limits.MaxKeyBytes, "the key's length");
        return key.IsEmpty ? throw reader.Malformed("a key is empty") : key;
    }

    public static void WriteFound(ByteWriter writer, in RowContent row)
    {
        writer.WriteByte((byte)RowState.Found);
        WriteContent(writer, row);
    }

    public static void WriteWithout(ByteWriter writer, RowState state) => writer.WriteByte((byte)state);

    public static void WriteScanned(ByteWriter writer, ReadOnlySpan<byte> key, in RowContent row)
    {
        writer.WriteBytes(key);
        WriteContent(writer, row);
    }

    private static void WriteContent(ByteWriter writer, in RowContent row)
    {
        writer.WriteVarint(row.Revision.Value);
        writer.WriteVarint(row.ExpiresAt.Value);
        writer.WriteBytes(row.Metadata);
        writer.WriteBytes(row.Value);
    }

    /// <summary>Reads the next row of a multi-read. The spans live as long as the source.</summary>
    public static RowState ReadRow(ref ByteReader reader, out RowContent row)
    {
        var state = ReadState(ref reader, RowState.AskAgain);
        row = state == RowState.Found ? ReadContent(ref reader) : default;
        return state;
    }

    /// <summary>Reads what a change made of its key, or of all keys with its prefix. The spans live as long as the source.</summary>
    public static RowState ReadChange(ref ByteReader reader, out RowContent row)
    {
        var state = ReadState(ref reader, RowState.PrefixDeleted);
        row = state == RowState.Found ? ReadContent(ref reader) : default;
        return state;
    }

    /// <param name="other">The state that there may be beside absent and found.</param>
    private static RowState ReadState(ref ByteReader reader, RowState other)
    {
        var state = (RowState)reader.ReadByte();
        return state is RowState.Absent or RowState.Found || state == other
            ? state
            : throw reader.Malformed($"row state {(byte)state} is unknown to this version, or has no place here");
    }

    /// <summary>Reads the next row of a scan. The spans live as long as the source.</summary>
    public static ReadOnlySpan<byte> ReadScanned(ref ByteReader reader, out RowContent row)
    {
        var key = ReadKey(ref reader);
        row = ReadContent(ref reader);
        return key;
    }

    private static RowContent ReadContent(ref ByteReader reader) => new(
        new(reader.ReadVarint()), new(reader.ReadVarint()),
        reader.ReadBytes(Limits.MaxMetadataBytes, "the metadata's length"), reader.ReadBytes(Limits.MaxValueBytes, "the value's length"));
}

/// <summary>What an answer says of a row that is there, where it lies.</summary>
public readonly ref struct RowContent(Revision revision, LogTime expiresAt, ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value)
{
    public Revision Revision { get; } = revision;

    /// <summary>When the hub deletes the key; <see cref="LogTime.None"/> where it stays.</summary>
    public LogTime ExpiresAt { get; } = expiresAt;

    public ReadOnlySpan<byte> Metadata { get; } = metadata;

    public ReadOnlySpan<byte> Value { get; } = value;
}
