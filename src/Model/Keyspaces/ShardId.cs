using System.Globalization;

namespace Quicksilver.Model;

/// <summary>
/// One disjoint part of a keyspace: a range of slots. The pair is also the key of the grain that serves it, as one 64-bit
/// integer: keyspace id in the upper half, shard number in the lower.
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.ShardId")]
public readonly record struct ShardId([property: Id(0)] KeyspaceId Keyspace, [property: Id(1)] ushort Number)
{
    /// <summary>The shard that holds a slot when its keyspace has <paramref name="shardCount"/> shards (1 to 1,024).</summary>
    public static ShardId Of(KeyspaceId keyspace, SlotId slot, int shardCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(shardCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(shardCount, Limits.SlotCount);
        return new(keyspace, (ushort)(slot.Value * shardCount / Limits.SlotCount));
    }

    /// <summary>The grain key of this shard.</summary>
    public long ToGrainKey() => unchecked((long)(((ulong)Keyspace.Value << 32) | Number));

    /// <summary>The shard behind a grain key; false where the number is no such key.</summary>
    public static bool TryFromGrainKey(long grainKey, out ShardId shard)
    {
        var number = unchecked((uint)grainKey);
        shard = new(new((uint)((ulong)grainKey >> 32)), (ushort)number);
        return number < Limits.SlotCount;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Keyspace.Value}/{Number}");
}
