using System.Buffers.Text;
using System.IO.Hashing;

namespace Quicksilver.Model;

/// <summary>
/// How far a watch has come, as a short text that can be kept and taken to another process or region: version, cluster uuid, keyspace,
/// position, checksum. All changes up to the position were seen, none after it. A cursor of another cluster, or one that was changed or cut, is
/// refused.
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.WatchCursor")]
public readonly record struct WatchCursor(
    [property: Id(0)] ClusterUuid Cluster, [property: Id(1)] KeyspaceId Keyspace, [property: Id(2)] LogPosition Position)
{
    private const byte Version = 1;
    private const int BodyBytes = 1 + ClusterUuid.SizeBytes + 4 + 4 + HistoryId.SizeBytes + 8;

    /// <summary>Characters of the text form.</summary>
    public const int TextLength = 71;

    /// <summary>Reads the text form; false where it is not a cursor of this version or its checksum does not fit.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out WatchCursor cursor)
    {
        cursor = default;
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
        var keyspace = new KeyspaceId(reader.ReadUInt32());
        var log = reader.ReadUInt32();
        var history = HistoryId.Read(reader.Take(HistoryId.SizeBytes));
        var revision = reader.ReadUInt64();
        if (log > int.MaxValue || revision > long.MaxValue)
        {
            return false;
        }

        // One cursor has one text: bits that the encoding leaves over must be the ones it writes.
        var read = new WatchCursor(cluster, keyspace, new(new((int)log), history, new((long)revision)));
        if (!text.SequenceEqual(read.ToString()))
        {
            return false;
        }

        cursor = read;
        return true;
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        var writer = new ByteWriter(BodyBytes + 4);
        writer.WriteByte(Version);
        Cluster.Write(writer.Reserve(ClusterUuid.SizeBytes));
        writer.WriteUInt32(Keyspace.Value);
        writer.WriteUInt32((uint)Position.Log.Value);
        Position.History.Write(writer.Reserve(HistoryId.SizeBytes));
        writer.WritePosition(Position.Revision.Value);
        Span<byte> checksum = stackalloc byte[4];
        XxHash32.Hash(writer.WrittenSpan, checksum);
        writer.WriteRaw(checksum);
        return Base64Url.EncodeToString(writer.WrittenSpan);
    }
}
