using CsCheck;
using Quicksilver.Contracts;

namespace Quicksilver.Model.Tests;

/// <summary>
/// Goal: what our formats write is read back, and hostile bytes cost neither an unexpected exception nor memory. Method: round
/// trips of random values, every operation of the reader on random bytes.
/// </summary>
public sealed class WireTests
{
    [Fact]
    public void Any_number_is_read_back_in_the_fewest_bytes()
    {
        Gen.OneOf(Gen.Long[0, 300], Gen.Long[0, long.MaxValue], Gen.Int[0, 62].Select(bits => (1L << bits) - 1), Gen.Int[0, 62].Select(bits => 1L << bits))
            .Sample(value =>
            {
                var writer = new ByteWriter();
                writer.WriteVarint(value);
                var reader = new ByteReader(writer.WrittenSpan);
                Assert.Equal(value, reader.ReadVarint());
                reader.ExpectEnd();
                Assert.Equal(Math.Max(1, (64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)value) + 6) / 7), writer.Length);
            });
    }

    [Theory]
    [InlineData(new byte[] { })]
    [InlineData(new byte[] { 0x80 })]
    [InlineData(new byte[] { 0x80, 0x00 })]
    [InlineData(new byte[] { 0xff, 0x80, 0x00 })]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 })]
    [InlineData(new byte[] { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 })]
    public void A_number_that_is_cut_off_too_long_or_too_large_is_refused(byte[] bytes) =>
        Assert.Throws<MalformedDataException>(() => new ByteReader(bytes).ReadVarint());

    [Fact]
    public void A_negative_position_is_refused_by_reader_and_writer()
    {
        Assert.Throws<MalformedDataException>(() => new ByteReader([0x80, 0, 0, 0, 0, 0, 0, 0]).ReadPosition());
        Assert.Throws<ArgumentOutOfRangeException>(() => new ByteWriter().WritePosition(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ByteWriter().WriteVarint(-1));
    }

    [Fact]
    public void Whatever_was_written_is_read_back_in_the_same_order() =>
        Gen.Select(Gen.Int[0, 5], Gen.Long[0, long.MaxValue], Gen.Byte.Array[0, 300]).Array[0, 30].Sample(parts =>
        {
            var writer = new ByteWriter(1);
            foreach (var (kind, number, bytes) in parts)
            {
                switch (kind)
                {
                    case 0: writer.WriteByte((byte)number); break;
                    case 1: writer.WriteUInt16((ushort)number); break;
                    case 2: writer.WriteUInt32((uint)number); break;
                    case 3: writer.WriteUInt64((ulong)number); break;
                    case 4: writer.WriteVarint(number); break;
                    default: writer.WriteBytes(bytes); break;
                }
            }

            var reader = new ByteReader(writer.WrittenSpan);
            foreach (var (kind, number, bytes) in parts)
            {
                switch (kind)
                {
                    case 0: Assert.Equal((byte)number, reader.ReadByte()); break;
                    case 1: Assert.Equal((ushort)number, reader.ReadUInt16()); break;
                    case 2: Assert.Equal((uint)number, reader.ReadUInt32()); break;
                    case 3: Assert.Equal((ulong)number, reader.ReadUInt64()); break;
                    case 4: Assert.Equal(number, reader.ReadVarint()); break;
                    default: Assert.Equal(bytes, reader.ReadBytes(300, "bytes")); break;
                }
            }

            reader.ExpectEnd();
        });

    [Fact]
    public void Reading_hostile_bytes_ends_in_malformed_data_at_worst_and_costs_no_memory() =>
        Gen.Select(Gen.Byte.Array[0, 60], Gen.Int[0, 9].Array[1, 40]).Sample((bytes, steps) =>
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var reader = new ByteReader(bytes);
            try
            {
                foreach (var step in steps)
                {
                    switch (step)
                    {
                        case 0: reader.ReadByte(); break;
                        case 1: reader.ReadUInt16(); break;
                        case 2: reader.ReadUInt32(); break;
                        case 3: reader.ReadUInt64(); break;
                        case 4: reader.ReadVarint(); break;
                        case 5: reader.ReadPosition(); break;
                        case 6: reader.ReadBytes(int.MaxValue, "bytes"); break;
                        case 7: reader.ReadCount(int.MaxValue, "count"); break;
                        case 8: reader.Take(bytes[0]); break;
                        default: reader.ExpectEnd(); break;
                    }

                    Assert.InRange(reader.Offset, 0, bytes.Length);
                    Assert.Equal(bytes.Length - reader.Offset, reader.Remaining);
                }
            }
            catch (MalformedDataException)
            {
                // Expected of most.
            }
            catch (IndexOutOfRangeException) when (bytes.Length == 0)
            {
                // This test's own bytes[0].
            }

            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
        });

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    [InlineData(4)]
    [InlineData(int.MaxValue)]
    public void Taking_more_than_there_is_or_less_than_nothing_is_refused(int count) =>
        Assert.Throws<MalformedDataException>(() => new ByteReader([1, 2, 3]).Take(count));

    [Fact]
    public void Any_commands_are_unpacked_from_their_block() => Gen.Byte.Array[0, 200].Array[0, 50].Sample(commands =>
    {
        var block = CommandBatch.Pack([.. commands.Select(command => (ReadOnlyMemory<byte>)command)]);
        Assert.Equal(commands, CommandBatch.Unpack(block).Select(command => command.ToArray()));
    });

    [Fact]
    public void A_block_cut_off_anywhere_or_with_bytes_after_its_end_is_refused()
    {
        var block = CommandBatch.Pack([new byte[] { 1, 2, 3 }, new byte[200], new byte[] { 4 }]);
        for (var length = 0; length < block.Length; length++)
        {
            Assert.Throws<MalformedDataException>(() => CommandBatch.Unpack(new(block.Memory[..length])));
        }

        Assert.Throws<MalformedDataException>(() => CommandBatch.Unpack(new(block.Memory.ToArray().Append((byte)0).ToArray())));
    }

    [Fact]
    public void A_block_over_the_limits_is_refused()
    {
        var most = Enumerable.Repeat((ReadOnlyMemory<byte>)new byte[1], Limits.MaxCommandsPerBatch).ToList();
        Assert.Equal(Limits.MaxCommandsPerBatch, CommandBatch.Unpack(CommandBatch.Pack(most)).Length);
        Assert.Throws<MalformedDataException>(() => CommandBatch.Unpack(CommandBatch.Pack([.. most, new byte[1]])));
        Assert.Throws<MalformedDataException>(() => CommandBatch.Unpack(CommandBatch.Pack([new byte[Limits.MaxTransactionBytes + 1]])));
        Assert.Single(CommandBatch.Unpack(CommandBatch.Pack([new byte[Limits.MaxTransactionBytes]])));
    }

    [Fact]
    public void A_hostile_block_is_refused_as_malformed_or_read_and_costs_little_memory() =>
        Gen.OneOf(Gen.Byte.Array[0, 100], Gen.Select(Gen.Byte.Array[0, 3], Gen.Byte[0, 5].Array[0, 100], (head, rest) => (byte[])[.. head, .. rest]))
            .Sample(
                bytes =>
                {
                    var before = GC.GetAllocatedBytesForCurrentThread();
                    try
                    {
                        CommandBatch.Unpack(new(bytes));
                    }
                    catch (MalformedDataException)
                    {
                        // Expected of most.
                    }

                    Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 50_000);
                },
                iter: 10_000);

    [Fact]
    public void Rows_of_a_read_are_read_back() => Gen.Select(
        Gen.Byte.Array[1, 30], Gen.Long[0, long.MaxValue], Gen.Long[0, long.MaxValue], Gen.Byte.Array[0, 30], Gen.Byte.Array[0, 300]).Array[0, 20].Sample(rows =>
    {
        var writer = new ByteWriter();
        foreach (var (key, revision, expires, metadata, value) in rows)
        {
            ReadBlocks.WriteFound(writer, new(new(revision), new(expires), metadata, value));
            ReadBlocks.WriteWithout(writer, RowState.AskAgain);
            ReadBlocks.WriteScanned(writer, key, new(new(revision), new(expires), metadata, value));
        }

        var reader = new ByteReader(writer.WrittenSpan);
        foreach (var (key, revision, expires, metadata, value) in rows)
        {
            Assert.Equal(RowState.Found, ReadBlocks.ReadRow(ref reader, out var found));
            Equal(found);
            Assert.Equal(RowState.AskAgain, ReadBlocks.ReadRow(ref reader, out _));
            Assert.Equal(key, ReadBlocks.ReadScanned(ref reader, out found));
            Equal(found);

            void Equal(RowContent row)
            {
                Assert.Equal((revision, expires), (row.Revision.Value, row.ExpiresAt.Value));
                Assert.Equal(metadata, row.Metadata);
                Assert.Equal(value, row.Value);
            }
        }

        reader.ExpectEnd();
    });

    [Fact]
    public void Keys_of_a_read_are_read_back_and_none_or_too_many_are_refused()
    {
        var keys = Enumerable.Range(0, 300).Select(i => Key.From($"key {i}")).ToList();
        var reader = new ByteReader(ReadBlocks.PackKeys(keys).Span);
        var count = ReadBlocks.ReadKeyCount(ref reader);
        var read = new List<Key>();
        for (var i = 0; i < count; i++)
        {
            read.Add(Key.From(ReadBlocks.ReadKey(ref reader)));
        }

        reader.ExpectEnd();
        Assert.Equal(keys, read);
        Assert.Throws<MalformedDataException>(() => Count([]));
        Assert.Throws<MalformedDataException>(() => Count([.. Enumerable.Repeat(keys[0], Limits.MaxKeysPerRead + 1)]));

        static int Count(List<Key> of)
        {
            var block = new ByteReader(ReadBlocks.PackKeys(of).Span);
            return ReadBlocks.ReadKeyCount(ref block);
        }
    }
}
