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
    private const int ContentBytes = ClusterUuid.SizeBytes + CheckedText.PositionBytes;

    /// <summary>Characters of the text form.</summary>
    public const int TextLength = 66;

    /// <summary>Reads the text form; false where it is not a token of this version or its checksum does not fit.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out SessionToken token)
    {
        token = default;
        Span<byte> content = stackalloc byte[ContentBytes];
        if (!CheckedText.TryDecode(text, Version, content))
        {
            return false;
        }

        var reader = new ByteReader(content);
        var cluster = ClusterUuid.Read(reader.Take(ClusterUuid.SizeBytes));
        if (!CheckedText.TryReadPosition(ref reader, out var position))
        {
            return false;
        }

        token = new(cluster, position);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        var writer = new ByteWriter(ContentBytes);
        Cluster.Write(writer.Reserve(ClusterUuid.SizeBytes));
        CheckedText.WritePosition(writer, Position);
        return CheckedText.Encode(Version, writer.WrittenSpan);
    }
}
