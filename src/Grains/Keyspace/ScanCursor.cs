using System.Security.Cryptography;
using Quicksilver.Model;
using Quicksilver.Contracts;

namespace Quicksilver.Grains;

/// <summary>
/// Where a scan goes on: version, last key, and a tag over cluster, keyspace, direction, bounds and key. A cursor of another cluster,
/// keyspace, direction or range, or a changed one, does not fit its tag and is refused. It grants nothing that a scan with other bounds
/// would not, so the tag guards against mistakes, not against an adversary who knows the cluster uuid (docs/decisions/0023).
/// </summary>
internal static class ScanCursor
{
    private const byte Version = 2;
    private const int TagBytes = 16;

    public static byte[] Encode(ClusterUuid cluster, KeyspaceId keyspace, ScanRequest request, ReadOnlySpan<byte> lastKey)
    {
        var writer = new ByteWriter(lastKey.Length + 32);
        writer.WriteByte(Version);
        writer.WriteBytes(lastKey);
        writer.WriteRaw(Tag(cluster, keyspace, request, lastKey));
        return writer.ToArray();
    }

    /// <summary>The key to go on after; false where the cursor is not one that this cluster made for this scan.</summary>
    public static bool TryDecode(ClusterUuid cluster, KeyspaceId keyspace, ScanRequest request, out ReadOnlySpan<byte> lastKey)
    {
        lastKey = default;
        try
        {
            var reader = new ByteReader(request.Cursor.Span);
            if (reader.ReadByte() != Version)
            {
                return false;
            }

            var key = reader.ReadBytes(Limits.MaxKeyBytes, "the key's length");
            var tag = reader.Take(TagBytes);
            reader.ExpectEnd();
            if (key.IsEmpty || !CryptographicOperations.FixedTimeEquals(tag, Tag(cluster, keyspace, request, key)))
            {
                return false;
            }

            lastKey = key;
            return true;
        }
        catch (MalformedDataException)
        {
            return false;
        }
    }

    private static ReadOnlySpan<byte> Tag(ClusterUuid cluster, KeyspaceId keyspace, ScanRequest request, ReadOnlySpan<byte> lastKey)
    {
        var writer = new ByteWriter(lastKey.Length + 64);
        cluster.Write(writer.Reserve(ClusterUuid.SizeBytes));
        writer.WriteUInt32(keyspace.Value);
        writer.WriteByte((byte)(request.Flags & ScanFlags.Reverse));
        writer.WriteBytes(request.Prefix.Span);
        writer.WriteBytes(request.Start.Span);
        writer.WriteBytes(request.End.Span);
        writer.WriteBytes(lastKey);
        return SHA256.HashData(writer.WrittenSpan).AsSpan(0, TagBytes);
    }
}
