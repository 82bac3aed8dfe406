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
    private const int ContentBytes = ClusterUuid.SizeBytes + 4 + CheckedText.PositionBytes;

    /// <summary>Characters of the text form.</summary>
    public const int TextLength = 71;

    /// <summary>Reads the text form; false where it is not a cursor of this version or its checksum does not fit.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out WatchCursor cursor)
    {
        cursor = default;
        Span<byte> content = stackalloc byte[ContentBytes];
        if (!CheckedText.TryDecode(text, Version, content))
        {
            return false;
        }

        var reader = new ByteReader(content);
        var cluster = ClusterUuid.Read(reader.Take(ClusterUuid.SizeBytes));
        var keyspace = new KeyspaceId(reader.ReadUInt32());
        if (!CheckedText.TryReadPosition(ref reader, out var position))
        {
            return false;
        }

        cursor = new(cluster, keyspace, position);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        var writer = new ByteWriter(ContentBytes);
        Cluster.Write(writer.Reserve(ClusterUuid.SizeBytes));
        writer.WriteUInt32(Keyspace.Value);
        CheckedText.WritePosition(writer, Position);
        return CheckedText.Encode(Version, writer.WrittenSpan);
    }
}
