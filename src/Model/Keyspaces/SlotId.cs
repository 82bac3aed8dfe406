using System.Buffers.Binary;
using System.IO.Hashing;

namespace Quicksilver.Model;

/// <summary>
/// One of <see cref="Limits.SlotCount"/> parts into which the keys of all keyspaces fall: the top ten bits of a hash of keyspace
/// and key. Nothing on disk depends on it, so the number of shards of a keyspace can change at any time.
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.SlotId")]
public readonly record struct SlotId([property: Id(0)] ushort Value)
{
    /// <summary>The slot of a key.</summary>
    public static SlotId Of(KeyspaceId keyspace, ReadOnlySpan<byte> key)
    {
        Span<byte> seed = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(seed, keyspace.Value);
        var hash = XxHash3.HashToUInt64(key, unchecked((long)XxHash3.HashToUInt64(seed)));
        return new((ushort)(hash >> 54));
    }
}
