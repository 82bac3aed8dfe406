using System.Buffers.Binary;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a length or a count that claims much costs nothing until the bytes are there. Method: short inputs with the largest claims that the
/// formats let in, and larger ones; what the thread allocated while they were refused.
/// </summary>
public sealed class SizeClaimTests(FuzzCorpus corpus) : IClassFixture<FuzzCorpus>
{
    /// <summary>What an exception with its message costs, and some more.</summary>
    private const long RefusalBytes = 32 * 1024;

    /// <summary>Bytes of a record before the length of its principal.</summary>
    private const int PrincipalOffset = 70;

    private static byte[] Bytes(Action<ByteWriter> write)
    {
        var writer = new ByteWriter();
        write(writer);
        return writer.ToArray();
    }

    private static byte[] Varint(long value) => Bytes(writer => writer.WriteVarint(value));

    private static void AssertRefused(string what, Action read, long maxBytes = RefusalBytes)
    {
        // Once before it counts: what is made at the first call only.
        Assert.Throws<MalformedDataException>(read);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<MalformedDataException>(read);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated <= maxBytes, $"{what}: {allocated} bytes of memory; the limit is {maxBytes}.");
    }

    [Fact]
    public void Claims_of_a_record_cost_nothing()
    {
        var record = corpus.Find("record").Inputs[^1].Bytes;
        byte[] Claim(params byte[] rest) => [.. record[..PrincipalOffset], .. rest];
        var claims = new Dictionary<string, byte[]>
        {
            ["principal of 63 bits"] = Claim(Varint(long.MaxValue)),
            ["longest principal"] = Claim(Varint(256)),
            ["most extensions"] = Claim(0, 64),
            ["more extensions"] = Claim([0, .. Varint(long.MaxValue)]),
            ["longest extension"] = Claim([0, 1, 0, 7, .. Varint(65_536)]),
            ["extension of 63 bits"] = Claim([0, 1, 0, 7, .. Varint(long.MaxValue)]),
            ["most mutations"] = Claim([0, 0, .. Varint(Limits.MaxMutations)]),
            ["more mutations"] = Claim([0, 0, .. Varint(int.MaxValue)]),
            ["longest key"] = Claim([0, 0, 1, 1, .. Varint(Limits.MaxKeyBytes)]),
            ["key of 63 bits"] = Claim([0, 0, 1, 1, .. Varint(long.MaxValue)]),
            ["longest metadata"] = Claim([0, 0, 1, 1, 1, (byte)'a', .. Varint(Limits.MaxMetadataBytes)]),
            ["longest value"] = Claim([0, 0, 1, 1, 1, (byte)'a', 0, .. Varint(Limits.MaxValueBytes)]),
            ["value of 31 bits"] = Claim([0, 0, 1, 1, 1, (byte)'a', 0, .. Varint(int.MaxValue)]),
        };
        foreach (var (what, bytes) in claims)
        {
            AssertRefused(what, () => RecordView.Parse(bytes));
            AssertRefused($"{what}, in a page", () => corpus.ApplyAndGiveUp(Pages.Pack([bytes])));
        }
    }

    [Fact]
    public void Claims_of_a_page_cost_nothing()
    {
        foreach (var length in new[] { RecordFormat.MaxBytes, RecordFormat.MaxBytes + 1L, int.MaxValue, uint.MaxValue, long.MaxValue })
        {
            AssertRefused($"record of {length}", () => corpus.ApplyAndGiveUp(new(Varint(length))));
        }
    }

    [Fact]
    public void A_packed_page_costs_what_a_page_can_have_at_most_and_what_is_behind_it_is_not_unpacked()
    {
        var page = new LogPage(
            PageStatus.Ok, new(1, 2), new(LogId.Main, new(3, 4), new(9)), new(1), new(1), TimeSpan.Zero, new(1), new(2), new(new byte[4 << 20]));
        var bomb = new PageCompression().Compress(page);
        Assert.True(bomb.Records.Length < 4_096);

        // A session has what it keeps of the records before.
        const long Session = 64 * 1024;
        foreach (var size in new[] { int.MaxValue, FuzzCorpus.MaxRawBytes + 1, -1, int.MinValue })
        {
            AssertRefused($"{size} bytes", () => new PageCompression().Decompress(bomb with { RawBytes = size }), Session + RefusalBytes);
        }

        foreach (var size in new[] { 1, 1_000, (4 << 20) - 1, FuzzCorpus.MaxRawBytes })
        {
            AssertRefused($"{size} bytes", () => new PageCompression().Decompress(bomb with { RawBytes = size }), Session + RefusalBytes + size);
        }

        // A frame that says of itself that it has 2^62 bytes: magic, one segment with a size of 8 bytes, and nothing.
        var frame = new byte[20];
        byte[] head = [0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        head.CopyTo(frame, 0);
        BinaryPrimitives.WriteInt64LittleEndian(frame.AsSpan(head.Length), 1L << 62);
        AssertRefused("frame of 2^62 bytes", () => new PageCompression().Decompress(bomb with { RawBytes = 1_000, Records = new(frame) }), Session + RefusalBytes);
    }

    [Fact]
    public void Claims_of_a_snapshot_cost_nothing()
    {
        byte[] Block(params byte[] rest) => ForgedBlock.Seal([1, (byte)SnapshotSection.Rows, 0, 1, .. rest]);
        var claims = new Dictionary<string, byte[]>
        {
            ["most rows"] = Block(Varint(int.MaxValue)),
            ["rows of 63 bits"] = Block(Varint(long.MaxValue)),
            ["longest key"] = Block([1, .. Varint(SnapshotBlock.MaxKeyBytes)]),
            ["key of 63 bits"] = Block([1, .. Varint(long.MaxValue)]),
            ["longest row"] = Block([1, 5, 0, 0, 0, 1, 2, .. Varint(RecordFormat.MaxBytes)]),
            ["row of 31 bits"] = Block([1, 5, 0, 0, 0, 1, 2, .. Varint(int.MaxValue)]),
            ["longest key before it"] = ForgedBlock.Seal([1, (byte)SnapshotSection.Rows, .. Varint(SnapshotBlock.MaxKeyBytes)]),
        };
        foreach (var (what, bytes) in claims)
        {
            AssertRefused(what, () => SnapshotBlock.Parse(bytes, SnapshotSection.Rows, default, (_, _) => Assert.Fail("A row of it was handed on.")));
        }

        AssertRefused("longest name", () => SnapshotHeader.Read([2, .. Varint(64)]));
        AssertRefused("name of 63 bits", () => SnapshotHeader.Read([2, .. Varint(long.MaxValue)]));
        AssertRefused("longest progress", () => SnapshotHeader.Read([2, 1, (byte)'a', .. Varint(1_024)]));
        AssertRefused("progress of 31 bits", () => SnapshotHeader.Read([2, 1, (byte)'a', .. Varint(int.MaxValue)]));
    }

    [Fact]
    public void Claims_of_commands_cost_nothing()
    {
        var transaction = Bytes(writer => CommandWriter.WriteTransaction(writer, HubStore.Flags, new(new(1), 2, 3), [], [Mutation.Delete("a")]));

        // Version, kind, operation id, keyspace and options; then the counts.
        var head = transaction[..^5];
        AssertRefused("most conditions", () => CommandView.Parse([.. head, .. Varint(Limits.MaxConditions)]));
        AssertRefused("more conditions", () => CommandView.Parse([.. head, .. Varint(long.MaxValue)]));
        AssertRefused("longest name", () => Name(Varint(63)));
        AssertRefused("name of 63 bits", () => Name(Varint(long.MaxValue)));
        AssertRefused("most commands", () => CommandBatch.Unpack(new(Varint(Limits.MaxCommandsPerBatch))));
        AssertRefused("more commands", () => CommandBatch.Unpack(new(Varint(long.MaxValue))));
        AssertRefused("longest command", () => CommandBatch.Unpack(new((byte[])[1, .. Varint(Limits.MaxTransactionBytes)])));

        // The gate answers, and does not throw.
        byte[] claims = [.. head, 0, .. Varint(Limits.MaxMutations)];
        Assert.NotNull(CommandView.Validate(claims));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.NotNull(CommandView.Validate(claims));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, RefusalBytes);
    }

    private static void Name(byte[] body)
    {
        var id = new OperationId(new(1), 2, 3);
        var drop = Bytes(writer => CommandWriter.WriteDeleteKeyspace(writer, id, KeyspaceName.Parse("a")));
        CommandView.Parse([.. drop[..^2], .. body]).ReadKeyspaceName(out _);
    }
}
