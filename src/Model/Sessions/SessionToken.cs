using System.Buffers.Text;
using System.IO.Hashing;

namespace Quicksilver.Model;

/// <summary>
/// What a session has seen, as a short text that can travel in a cookie or header from one process to another: version, cluster
/// uuid, position, checksum. A token of another cluster, or one that was changed or cut, is refused. It grants nothing and
/// hides nothing; it only says "not older than this".
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.SessionToken")]
public readonly record struct SessionToken([property: Id(0)] ClusterUuid Cluster, [property: Id(1)] LogPosition Position)
{
    private const byte Version = 1;
    private const int BodyBytes = 1 + ClusterUuid.SizeBytes + 4 + HistoryId.SizeBytes + 8;

    /// <summary>Characters of the text form.</summary>
    public const int TextLength = 66;

    /// <summary>Reads the text form; false where it is not a token of this version or its checksum does not fit.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out SessionToken token)
    {
        token = default;
        Span<byte> bytes = stackalloc byte[BodyBytes + 4];
        if (text.Length != TextLength
            || !Base64Url.IsValid(text)
            || !Base64Url.TryDecodeFromChars(text, bytes, out var length)
            || length != bytes.Length
            || bytes[0] != Version)
        {
            return false;
        }

        Span<byte> checksum = stackalloc byte[4];
        XxHash32.Hash(bytes[..BodyBytes], checksum);
        if (!checksum.SequenceEqual(bytes[BodyBytes..]))
        {
            return false;
        }

        var reader = new ByteReader(bytes[1..BodyBytes]);
        var cluster = ClusterUuid.Read(reader.Take(ClusterUuid.SizeBytes));
        var log = reader.ReadUInt32();
        var history = HistoryId.Read(reader.Take(HistoryId.SizeBytes));
        var revision = reader.ReadUInt64();
        if (log > int.MaxValue || revision > long.MaxValue)
        {
            return false;
        }

        // One token has one text: bits that the encoding leaves over must be the ones it writes.
        var read = new SessionToken(cluster, new(new((int)log), history, new((long)revision)));
        if (!text.SequenceEqual(read.ToString()))
        {
            return false;
        }

        token = read;
        return true;
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        var writer = new ByteWriter(BodyBytes + 4);
        writer.WriteByte(Version);
        Cluster.Write(writer.Reserve(ClusterUuid.SizeBytes));
        writer.WriteUInt32((uint)Position.Log.Value);
        Position.History.Write(writer.Reserve(HistoryId.SizeBytes));
        writer.WritePosition(Position.Revision.Value);
        Span<byte> checksum = stackalloc byte[4];
        XxHash32.Hash(writer.WrittenSpan, checksum);
        writer.WriteRaw(checksum);
        return Base64Url.EncodeToString(writer.WrittenSpan);
    }
}
