using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>Everything in a change-log record except its mutations and chain hashes.</summary>
/// <param name="RequestHash">Hash of the command that made the record, to tell a retry from another request with the same operation id.</param>
public readonly record struct RecordHeader(
    Revision Revision, LogTime LogTime, KeyspaceId Keyspace, KeyspaceSequence Sequence, OperationId OperationId, ChainHash RequestHash);

/// <summary>
/// Binary form of a change-log record (docs/log-format.md, with golden files). Records are stored and forwarded exactly as the
/// hub wrote them, so every node computes the same chains over the same bytes.
/// </summary>
public static class RecordFormat
{
    public const byte Version = 1;

    /// <summary>XxHash128 for digest and chains.</summary>
    public const byte HashAlgorithm = 1;

    /// <summary>An extension whose tag has this bit must be understood by whoever applies the record.</summary>
    public const ushort MustUnderstand = 0x8000;

    internal const int FixedBytes = 2 + 8 + 8 + 4 + 8 + OperationId.SizeBytes + ChainHash.SizeBytes;
    internal const int ChainBytes = 2 * ChainHash.SizeBytes;
    internal const int MaxPrincipalBytes = 256;
    internal const int MaxExtensions = 64;
    internal const int MaxExtensionBytes = 64 * 1024;

    /// <summary>Largest record, bytes: the largest transaction and room for what the hub adds to it.</summary>
    public const int MaxBytes = Limits.MaxTransactionBytes + 64 * 1024;

    /// <summary>Bytes of a record without extensions.</summary>
    public static int SizeOf(ReadOnlySpan<byte> principal, ReadOnlySpan<byte> mutations) =>
        FixedBytes + VarintSize(principal.Length) + principal.Length + 1 + mutations.Length + ChainBytes;

    /// <summary>
    /// Writes a record whose mutations (with their count in front) are <paramref name="mutations"/>, continuing both chains.
    /// </summary>
    public static void Write(
        ByteWriter writer, in RecordHeader header, ReadOnlySpan<byte> principal, ReadOnlySpan<byte> mutations,
        ref ChainHash logChain, ref ChainHash keyspaceChain)
    {
        var start = writer.Length;
        writer.WriteByte(Version);
        writer.WriteByte(HashAlgorithm);
        writer.WritePosition(header.Revision.Value);
        writer.WritePosition(header.LogTime.Value);
        writer.WriteUInt32(header.Keyspace.Value);
        writer.WritePosition(header.Sequence.Value);
        header.OperationId.Write(writer.Reserve(OperationId.SizeBytes));
        header.RequestHash.Write(writer.Reserve(ChainHash.SizeBytes));
        writer.WriteBytes(principal);
        writer.WriteVarint(0);
        writer.WriteRaw(mutations);

        var digest = ChainHash.DigestOf(writer.WrittenSpan[start..]);
        logChain = logChain.Append(digest);
        keyspaceChain = keyspaceChain.Append(digest);
        logChain.Write(writer.Reserve(ChainHash.SizeBytes));
        keyspaceChain.Write(writer.Reserve(ChainHash.SizeBytes));
    }

    private static int VarintSize(int value)
    {
        var size = 1;
        for (; value >= 0x80; value >>= 7)
        {
            size++;
        }

        return size;
    }
}

/// <summary>A change-log record read where it lies.</summary>
public readonly ref struct RecordView
{
    private RecordView(RecordHeader header, ReadOnlySpan<byte> principal, ReadOnlySpan<byte> mutations, ReadOnlySpan<byte> bytes)
    {
        Header = header;
        Principal = principal;
        MutationBytes = mutations;
        Bytes = bytes;
    }

    public RecordHeader Header { get; }

    /// <summary>Who wrote, as the hub knew it; empty where nobody said.</summary>
    public ReadOnlySpan<byte> Principal { get; }

    /// <summary>The mutations with their count in front.</summary>
    public ReadOnlySpan<byte> MutationBytes { get; }

    /// <summary>The whole record.</summary>
    public ReadOnlySpan<byte> Bytes { get; }

    /// <summary>Chain of the log after this record, as the record says.</summary>
    public ChainHash LogChain => ChainHash.Read(Bytes[^RecordFormat.ChainBytes..]);

    /// <summary>Chain of its keyspace after this record, as the record says.</summary>
    public ChainHash KeyspaceChain => ChainHash.Read(Bytes[^ChainHash.SizeBytes..]);

    /// <summary>Digest over the covered bytes: all but the two chains.</summary>
    public ChainHash ComputeDigest() => ChainHash.DigestOf(Bytes[..^RecordFormat.ChainBytes]);

    /// <summary>
    /// Reads a record. Throws <see cref="MalformedDataException"/> for an unknown version or algorithm, an extension that must
    /// be understood and is not, sizes over the limits, or cut-off bytes. Chains are not judged here: that needs the record before.
    /// </summary>
    public static RecordView Parse(ReadOnlySpan<byte> record)
    {
        var reader = new ByteReader(record);
        if (record.Length > RecordFormat.MaxBytes)
        {
            throw reader.Malformed($"a record has {record.Length} bytes, the limit is {RecordFormat.MaxBytes}");
        }

        if (reader.ReadByte() is var version and not RecordFormat.Version)
        {
            throw reader.Malformed($"the record has format version {version}; this build reads {RecordFormat.Version}");
        }

        if (reader.ReadByte() is var algorithm and not RecordFormat.HashAlgorithm)
        {
            throw reader.Malformed($"the record is hashed with algorithm {algorithm}, unknown to this build");
        }

        var header = new RecordHeader(
            new(reader.ReadPosition()), new(reader.ReadPosition()), new(reader.ReadUInt32()), new(reader.ReadPosition()),
            OperationId.Read(reader.Take(OperationId.SizeBytes)), ChainHash.Read(reader.Take(ChainHash.SizeBytes)));
        var principal = reader.ReadBytes(RecordFormat.MaxPrincipalBytes, "the principal's length");
        var extensions = reader.ReadCount(RecordFormat.MaxExtensions, "the number of extensions");
        for (var i = 0; i < extensions; i++)
        {
            var tag = reader.ReadUInt16();
            reader.ReadBytes(RecordFormat.MaxExtensionBytes, "an extension's length");
            if ((tag & RecordFormat.MustUnderstand) != 0)
            {
                throw reader.Malformed($"the record has extension {tag:x4}, which must be understood and is not known to this build");
            }
        }

        var start = reader.Offset;
        var mutations = reader.ReadCount(Limits.MaxMutations, "the number of mutations");
        for (var i = 0; i < mutations; i++)
        {
            MutationFormat.Read(ref reader);
        }

        var end = reader.Offset;
        reader.Take(RecordFormat.ChainBytes);
        reader.ExpectEnd();
        return new(header, principal, record[start..end], record);
    }
}
