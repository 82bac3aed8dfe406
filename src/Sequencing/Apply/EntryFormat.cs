using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>Names one proposal: which start of which process made it, and its number there.</summary>
public readonly record struct ProposalId(ulong Incarnation, ulong Number);

/// <summary>What the leader says about an entry beside its commands.</summary>
/// <param name="LogTime">The leader's stamp.</param>
/// <param name="Revision">The revision that the leader's state had when it made the entry.</param>
/// <param name="Chain">Its chain hash there. A member that computed another one must stop.</param>
public readonly record struct EntryHeader(ProposalId Proposal, LogTime LogTime, Revision Revision, ChainHash Chain);

/// <summary>
/// Binary form of one entry of the Raft log (docs/log-format.md, "Raft entries"): version, header, then the commands, each with
/// the principal the hub knows for it.
/// </summary>
public static class EntryFormat
{
    public const byte Version = 1;
    private const int MaxCommands = 1 << 20;

    public static void WriteHeader(ByteWriter writer, in EntryHeader header, int commandCount)
    {
        writer.WriteByte(Version);
        writer.WriteUInt64(header.Proposal.Incarnation);
        writer.WriteUInt64(header.Proposal.Number);
        writer.WritePosition(header.LogTime.Value);
        writer.WritePosition(header.Revision.Value);
        header.Chain.Write(writer.Reserve(ChainHash.SizeBytes));
        writer.WriteVarint(commandCount);
    }

    public static void WriteCommand(ByteWriter writer, ReadOnlySpan<byte> principal, ReadOnlySpan<byte> command)
    {
        writer.WriteBytes(principal);
        writer.WriteBytes(command);
    }

    public static EntryHeader ReadHeader(ref ByteReader reader, out int commandCount)
    {
        if (reader.ReadByte() is var version and not Version)
        {
            throw reader.Malformed($"the Raft entry has version {version}; this build reads {Version}");
        }

        var header = new EntryHeader(
            new(reader.ReadUInt64(), reader.ReadUInt64()), new(reader.ReadPosition()), new(reader.ReadPosition()),
            ChainHash.Read(reader.Take(ChainHash.SizeBytes)));
        commandCount = reader.ReadCount(MaxCommands, "the number of commands");
        return header;
    }

    public static ReadOnlySpan<byte> ReadCommand(ref ByteReader reader, out ReadOnlySpan<byte> principal)
    {
        principal = reader.ReadBytes(256, "the principal's length");
        return reader.ReadBytes(Limits.MaxTransactionBytes, "the command's length");
    }
}
