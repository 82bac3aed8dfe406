using CsCheck;

namespace Quicksilver.Model.Tests;

/// <summary>
/// Goal: keys are bytes, ordered as bytes, and always fall into the same slot and shard. Method: limits, random keys, every
/// slot under every shard count.
/// </summary>
public sealed class KeyTests
{
    private static readonly Gen<byte[]> Bytes = Gen.Byte.Array[1, 40];

    [Theory]
    [InlineData(0, false)]
    [InlineData(1, true)]
    [InlineData(1024, true)]
    [InlineData(1025, false)]
    public void A_key_has_1_to_1024_bytes(int length, bool valid)
    {
        var bytes = new byte[length];
        Assert.Equal(valid, Record.Exception(() => Key.From(bytes)) is null);
        Assert.Equal(valid, Record.Exception(() => Key.From(new string('k', length))) is null);
        if (!valid)
        {
            Assert.Throws<ArgumentException>(() => Key.From(bytes));
        }
    }

    [Fact]
    public void The_limit_of_a_text_key_counts_bytes_and_not_characters()
    {
        Assert.Equal(1024, Key.From(new string('ä', 512)).Span.Length);
        Assert.Throws<ArgumentException>(() => Key.From(new string('ä', 513)));
    }

    [Fact]
    public void A_key_keeps_any_bytes_and_a_copy_of_its_own() => Bytes.Sample(bytes =>
    {
        var key = Key.From(bytes);
        var copy = bytes.ToArray();
        Array.Clear(bytes);
        Assert.Equal(copy, key.Span);
    });

    [Fact]
    public void Keys_are_ordered_and_equal_as_their_bytes_are() => Gen.Select(Bytes, Bytes).Sample((a, b) =>
    {
        var order = a.AsSpan().SequenceCompareTo(b);
        var (left, right) = (Key.From(a), Key.From(b));
        Assert.Equal(Math.Sign(order), Math.Sign(left.CompareTo(right)));
        Assert.Equal(order == 0, left == right);
        Assert.Equal(order != 0, left != right);
        Assert.True(order != 0 || left.GetHashCode() == right.GetHashCode());
        Assert.Equal(left, Key.From(a));
        Assert.Equal(left.GetHashCode(), Key.From(a).GetHashCode());
    });

    [Fact]
    public void A_key_that_is_no_text_shows_as_base64()
    {
        Assert.Equal("grün", Key.From("grün").ToString());
        Assert.Equal("/w==", Key.From([0xff]).ToString());
    }

    [Fact]
    public void Doubling_the_shards_of_a_keyspace_splits_each_shard_into_exactly_two()
    {
        for (var count = 1; count <= Limits.SlotCount / 2; count++)
        {
            var halves = new Dictionary<int, HashSet<int>>();
            for (ushort slot = 0; slot < Limits.SlotCount; slot++)
            {
                var before = ShardId.Of(new(1), new(slot), count).Number;
                var after = ShardId.Of(new(1), new(slot), 2 * count).Number;
                if (!halves.TryGetValue(before, out var into))
                {
                    halves[before] = into = [];
                }

                into.Add(after);
            }

            Assert.Equal(Enumerable.Range(0, count), halves.Keys.Order());
            Assert.All(halves, half => Assert.Equal([2 * half.Key, (2 * half.Key) + 1], half.Value.Order()));
        }
    }

    [Fact]
    public void Every_shard_is_one_range_of_slots_whatever_their_number()
    {
        for (var count = 1; count <= Limits.SlotCount; count++)
        {
            var shards = Enumerable.Range(0, Limits.SlotCount).Select(slot => (int)ShardId.Of(new(1), new((ushort)slot), count).Number).ToList();
            Assert.Equal(shards.Order(), shards);
            Assert.Equal(count, shards.Distinct().Count());
            Assert.InRange(shards.GroupBy(shard => shard).Max(group => group.Count()) - shards.GroupBy(shard => shard).Min(group => group.Count()), 0, 1);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => ShardId.Of(new(1), new(0), 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => ShardId.Of(new(1), new(0), Limits.SlotCount + 1));
    }

    [Fact]
    public void Keys_spread_over_all_slots_and_the_same_key_lies_elsewhere_in_another_keyspace()
    {
        var counts = new int[Limits.SlotCount];
        var same = 0;
        for (var i = 0; i < 100_000; i++)
        {
            var key = BitConverter.GetBytes(i);
            var slot = SlotId.Of(new(1), key);
            counts[slot.Value]++;
            same += slot == SlotId.Of(new(2), key) ? 1 : 0;
        }

        Assert.InRange(counts.Min(), 50, 100);
        Assert.InRange(counts.Max(), 100, 150);
        Assert.InRange(same, 50, 200);
    }

    [Fact]
    public void A_shard_is_read_back_from_its_grain_key()
    {
        Gen.Select(Gen.UInt, Gen.Int[0, Limits.SlotCount - 1]).Sample((keyspace, number) =>
        {
            var shard = new ShardId(new(keyspace), (ushort)number);
            return ShardId.TryFromGrainKey(shard.ToGrainKey(), out var read) && read == shard;
        });
        Assert.False(ShardId.TryFromGrainKey(Limits.SlotCount, out _));
        Assert.False(ShardId.TryFromGrainKey(-1, out _));
    }
}
