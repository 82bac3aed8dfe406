using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// Where the log of one keyspace was cut: the last record of it that is gone, and the chain of the keyspace after that record, so that
/// whoever stands there can still be judged and served.
/// </summary>
public readonly record struct KeyspaceCut(KeyspaceSequence Sequence, ChainHash Chain)
{
    private const byte Version = 1;

    internal void Write(ByteWriter writer)
    {
        writer.WriteByte(Version);
        writer.WritePosition(Sequence.Value);
        Chain.Write(writer.Reserve(ChainHash.SizeBytes));
    }

    internal static KeyspaceCut Read(ReadOnlySpan<byte> row)
    {
        var reader = new ByteReader(row);
        if (reader.ReadByte() is var version and not Version)
        {
            throw reader.Malformed($"a keyspace cut has version {version}; this build reads {Version}");
        }

        var cut = new KeyspaceCut(new(reader.ReadPosition()), ChainHash.Read(reader.Take(ChainHash.SizeBytes)));
        reader.ExpectEnd();
        return cut;
    }
}
