using System.Buffers.Binary;
using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>Rows of the Raft log and of the votes (docs/log-format.md, "Raft log"). Each ends with the digest of what is before it.</summary>
internal static class RaftRows
{
    public const int IndexBytes = 8;

    private const byte Version = 1;
    private const byte IsConfiguration = 0x01;
    private const byte HasCommandId = 0x02;
    private const int HeaderBytes = 1 + IndexBytes + 8 + 1 + 4;

    public static void WriteKey(Span<byte> destination, LogIndex index) => BinaryPrimitives.WriteInt64BigEndian(destination, index.Value);

    public static void Put(WriteBatchBuilder batch, uint family, RaftLogEntry entry)
    {
        WriteKey(batch.BeginPut(family, IndexBytes), entry.Index);
        Write(batch.Value(HeaderBytes + entry.Payload.Length + ChainHash.SizeBytes), entry);
    }

    public static void Write(ByteWriter writer, RaftLogEntry entry)
    {
        var start = writer.Length;
        writer.WriteByte(Version);
        writer.WritePosition(entry.Index.Value);
        writer.WritePosition(entry.Term.Value);
        writer.WriteByte((byte)((entry.IsConfiguration ? IsConfiguration : 0) | (entry.CommandId is null ? 0 : HasCommandId)));
        writer.WriteUInt32((uint)(entry.CommandId ?? 0));
        writer.WriteRaw(entry.Payload.Span);
        WriteDigest(writer, start);
    }

    /// <summary>Deletes entries, the first and the last included.</summary>
    public static void Delete(WriteBatchBuilder batch, uint family, LogIndex first, LogIndex last)
    {
        Span<byte> start = stackalloc byte[IndexBytes];
        Span<byte> end = stackalloc byte[IndexBytes];
        WriteKey(start, first);
        WriteKey(end, last.Next);
        batch.DeleteRange(family, start, end);
    }

    public static void DeleteUpTo(WriteBatchBuilder batch, uint family, LogIndex last) => Delete(batch, family, LogIndex.None, last);

    /// <summary>Throws <see cref="StorageException"/> (Corrupt) where the row is not the one that was written for this index.</summary>
    public static RaftLogEntry Read(LogIndex index, ReadOnlySpan<byte> row) =>
        Undamaged.Read(row, bytes => Parse(index, bytes), $"entry {index} of the Raft log. This member must be repaired");

    private static RaftLogEntry Parse(LogIndex index, ReadOnlySpan<byte> row)
    {
        var reader = Open(row, "an entry of the Raft log");
        var written = new LogIndex(reader.ReadPosition());
        if (written != index)
        {
            throw new MalformedDataException($"It was written for entry {written}.");
        }

        var term = new Term(reader.ReadPosition());
        var flags = reader.ReadByte();
        var command = reader.ReadUInt32();
        return new(
            index, term, (flags & HasCommandId) != 0 ? checked((int)command) : null, (flags & IsConfiguration) != 0,
            reader.Take(reader.Remaining).ToArray());
    }

    /// <param name="number">Counts the changes of the votes, from 1.</param>
    public static void WriteVotes(ByteWriter writer, long number, RaftVotes votes)
    {
        var start = writer.Length;
        writer.WriteByte(Version);
        writer.WritePosition(number);
        writer.WritePosition(votes.Term.Value);
        writer.WriteByte((byte)(votes.Candidate is null ? 0 : 1));
        writer.WriteBytes((votes.Candidate ?? default).Span);
        WriteDigest(writer, start);
    }

    public static (long Number, RaftVotes Votes) ReadVotes(ReadOnlySpan<byte> row) =>
        Undamaged.Read(row, ParseVotes, "the votes of this member. It must be repaired");

    private static (long Number, RaftVotes Votes) ParseVotes(ReadOnlySpan<byte> row)
    {
        var reader = Open(row, "the votes");
        var number = reader.ReadPosition();
        var term = new Term(reader.ReadPosition());
        var hasVoted = reader.ReadByte() != 0;
        var candidate = reader.ReadBytes(RaftVotes.MaxCandidateBytes, "the candidate's length").ToArray();
        reader.ExpectEnd();
        return (number, new(term, hasVoted ? candidate : (ReadOnlyMemory<byte>?)null));
    }

    private static void WriteDigest(ByteWriter writer, int start)
    {
        var digest = ChainHash.DigestOf(writer.Written(start, writer.Length - start));
        digest.Write(writer.Reserve(ChainHash.SizeBytes));
    }

    private static ByteReader Open(ReadOnlySpan<byte> row, string what)
    {
        if (row.Length <= ChainHash.SizeBytes || ChainHash.DigestOf(row[..^ChainHash.SizeBytes]) != ChainHash.Read(row[^ChainHash.SizeBytes..]))
        {
            throw new MalformedDataException("It does not fit its digest.");
        }

        var reader = new ByteReader(row[..^ChainHash.SizeBytes]);
        return reader.ReadByte() is var version and not Version
            ? throw new StorageException(StorageFault.Foreign, $"The data directory has {what} in format version {version}; this build reads {Version}. Use the build that wrote it.")
            : reader;
    }
}
