using System.Buffers.Binary;
using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>Keys of the column families. Numbers are big-endian, so that byte order is number order.</summary>
internal static class StorageKeys
{
    public const int KeyspaceBytes = 4;
    public const int RevisionBytes = 8;
    public const int KeyspaceLogBytes = 12;
    public const int KeyspaceCutBytes = 1 + KeyspaceBytes;

    /// <summary>Of a key of <c>expiry</c>: all but the key of the row.</summary>
    public const int ExpiryHeadBytes = 8 + KeyspaceBytes + RevisionBytes;

    public static ReadOnlySpan<byte> Identity => "I"u8;

    public static ReadOnlySpan<byte> Progress => "P"u8;

    public static ReadOnlySpan<byte> RaftFloor => "F"u8;

    public static ReadOnlySpan<byte> RaftVotes => "V"u8;

    /// <summary>What the keys of keyspace states begin with, and no other key of <c>meta</c>.</summary>
    public static ReadOnlySpan<byte> KeyspaceStatePrefix => "K"u8;

    /// <summary>What the keys of keyspace cuts begin with, and no other key of <c>meta</c>.</summary>
    public static ReadOnlySpan<byte> KeyspaceCutPrefix => "Q"u8;

    public static void WriteData(Span<byte> destination, KeyspaceId keyspace, ReadOnlySpan<byte> key)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination, keyspace.Value);
        key.CopyTo(destination[KeyspaceBytes..]);
    }

    /// <summary>
    /// Changes a key of <c>data</c>, or what keys begin with, into what comes right behind all keys that begin with it; returns the part that
    /// counts. There is always something: no keyspace has the greatest id.
    /// </summary>
    public static Span<byte> Behind(Span<byte> key)
    {
        var length = key.Length;
        while (key[length - 1] == byte.MaxValue)
        {
            length--;
        }

        key[length - 1]++;
        return key[..length];
    }

    public static void WriteRevision(Span<byte> destination, Revision revision) =>
        BinaryPrimitives.WriteInt64BigEndian(destination, revision.Value);

    public static Revision ReadRevision(ReadOnlySpan<byte> source) => new(BinaryPrimitives.ReadInt64BigEndian(source));

    public static void WriteKeyspaceLog(Span<byte> destination, KeyspaceId keyspace, KeyspaceSequence sequence)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination, keyspace.Value);
        BinaryPrimitives.WriteInt64BigEndian(destination[KeyspaceBytes..], sequence.Value);
    }

    /// <summary>Key of a keyspace's state in <c>meta</c>: 'K' and its id.</summary>
    public static void WriteKeyspaceState(Span<byte> destination, KeyspaceId keyspace)
    {
        KeyspaceStatePrefix.CopyTo(destination);
        BinaryPrimitives.WriteUInt32BigEndian(destination[1..], keyspace.Value);
    }

    /// <summary>Key of a keyspace's cut in <c>meta</c>: 'Q' and its id.</summary>
    public static void WriteKeyspaceCut(Span<byte> destination, KeyspaceId keyspace)
    {
        KeyspaceCutPrefix.CopyTo(destination);
        BinaryPrimitives.WriteUInt32BigEndian(destination[1..], keyspace.Value);
    }

    /// <summary>Key of <c>expiry</c>: time, keyspace, revision, and the key of the row.</summary>
    public static void WriteExpiry(Span<byte> destination, LogTime at, KeyspaceId keyspace, Revision revision, ReadOnlySpan<byte> key)
    {
        BinaryPrimitives.WriteInt64BigEndian(destination, at.Value);
        BinaryPrimitives.WriteUInt32BigEndian(destination[8..], keyspace.Value);
        BinaryPrimitives.WriteInt64BigEndian(destination[12..], revision.Value);
        key.CopyTo(destination[ExpiryHeadBytes..]);
    }

    /// <summary>Throws <see cref="MalformedDataException"/>.</summary>
    public static Expiry ReadExpiry(ReadOnlySpan<byte> source)
    {
        var reader = new ByteReader(source);
        var (at, keyspace, revision) = (new LogTime(reader.ReadPosition()), new KeyspaceId(reader.ReadUInt32()), new Revision(reader.ReadPosition()));
        return reader.Remaining is > 0 and <= Limits.MaxKeyBytes
            ? new(at, keyspace, revision, Key.From(reader.Take(reader.Remaining)))
            : throw reader.Malformed($"a row that expires has a key of {reader.Remaining} bytes");
    }
}
