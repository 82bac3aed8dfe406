using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a source that sends a copy of its state with one fault is left for another, says why in the status, and leaves the replica's own state
/// as it was. Method: a replicator on a real store that is behind a cut log; the header, or one block, is changed in one way, with a hash that
/// fits; then a good source, whose copy is taken.
/// </summary>
/// <remarks>Blocks alone, at the receiver: <c>SnapshotTests</c> of the storage. Here is what becomes of the replica and of the source.</remarks>
public sealed class HostileSnapshotsTests : IClassFixture<HostileHub>
{
    /// <summary>So large that each part is one block.</summary>
    private const int WholePart = 64 * 1024;

    private readonly HostileHub _hub;

    public HostileSnapshotsTests(HostileHub hub)
    {
        _hub = hub;
        _hub.Store.CutLog(new(HostileHub.Had + 5), TestContext.Current.CancellationToken);
    }

    private async Task AssertLeftAsync(Func<byte[], byte[]>? changeHeader, Func<NextBlockRequest, byte[], byte[]>? changeBlock, string why)
    {
        using var replica = _hub.Replica();
        using var bad = _hub.Source("hub-0");
        using var good = _hub.Source("hub-1");
        using var badSnapshots = _hub.Snapshots("hub-0", WholePart);
        using var goodSnapshots = _hub.Snapshots("hub-1", maxBlockBytes: 400);
        using var sources = new TwoSources(replica, bad, new HostileSnapshots(badSnapshots, changeHeader, changeBlock), good, goodSnapshots);
        var status = await Hostile.AssertLeftAsync(
            _hub, replica, sources, SourceFault.Unavailable, PullProblem.BootstrapFailed, why, refusedPages: 0);
        Assert.Equal((1, 0), (status.Bootstraps, status.AppliedRecords));
        Assert.Equal(1, replica.Store.Progress.FullCopies);
    }

    [Theory]
    [InlineData("damaged hash", SnapshotSection.Rows, "does not fit its hash")]
    [InlineData("cut off", SnapshotSection.Rows, "does not fit its hash")]
    [InlineData("cut off, with a hash that fits", SnapshotSection.Rows, "more bytes expected")]
    [InlineData("byte behind the rows", SnapshotSection.KeyspaceStates, "bytes after the end")]
    [InlineData("future version", SnapshotSection.Rows, "a block of a snapshot has version 2")]
    [InlineData("other part", SnapshotSection.Rows, "is not the one that was asked for")]
    [InlineData("other beginning", SnapshotSection.Records, "is not the one that was asked for")]
    [InlineData("end mark that is none", SnapshotSection.KeyspaceLog, "the end mark of a block is none")]
    [InlineData("nothing, and more to come", SnapshotSection.Rows, "a block of a part that goes on has no row")]
    [InlineData("keys out of order", SnapshotSection.Rows, "the keys of a block are not in order")]
    [InlineData("repeated key", SnapshotSection.Records, "the keys of a block are not in order")]
    [InlineData("empty key", SnapshotSection.Rows, "the keys of a block are not in order")]
    [InlineData("key of another kind", SnapshotSection.KeyspaceStates, "A row of part 2 of a snapshot has a key of 1")]
    [InlineData("key of another kind", SnapshotSection.KeyspaceCuts, "A row of part 5 of a snapshot has a key of 1")]
    [InlineData("more rows than there are", SnapshotSection.Rows, "more bytes expected")]
    [InlineData("more rows than may be", SnapshotSection.Rows, "the number of rows is 1099511627776")]
    [InlineData("key larger than may be", SnapshotSection.Rows, "the length of a key is 1045")]
    [InlineData("row larger than may be", SnapshotSection.Records, "the length of a row is 4259841")]
    [InlineData("row that is none", SnapshotSection.Rows, "A row of part 1 of a snapshot is damaged")]
    public Task A_block_with_one_fault_is_refused_and_after_a_few_its_source_is_left(string fault, SnapshotSection section, string why) =>
        AssertLeftAsync(changeHeader: null, OnlyIn(section, block => Spoil(fault, block)), why);

    /// <summary>Changes what is asked for first of a part.</summary>
    private static Func<NextBlockRequest, byte[], byte[]> OnlyIn(SnapshotSection section, Func<byte[], byte[]> change) =>
        (request, block) => request.Section == section && request.After.Length == 0 ? change(block) : block;

    private static byte[] Spoil(string fault, byte[] bytes)
    {
        var block = ForgedBlock.Of(bytes);
        var rows = block.Rows;
        switch (fault)
        {
            case "damaged hash":
                return [.. bytes[..^1], (byte)(bytes[^1] ^ 1)];
            case "cut off":
                return bytes[..^1];
            case "cut off, with a hash that fits":
                return ForgedBlock.Seal(block.Body()[..^1]);
            case "byte behind the rows":
                return ForgedBlock.Seal([.. block.Body(), 0]);
            case "future version":
                return (block with { Version = 2 }).Write();
            case "other part":
                return (block with { Section = (byte)SnapshotSection.KeyspaceLog }).Write();
            case "other beginning":
                return (block with { After = [1] }).Write();
            case "end mark that is none":
                return (block with { End = 2 }).Write();
            case "nothing, and more to come":
                return (block with { End = 0, Rows = [] }).Write();
            case "keys out of order":
                return (block with { Rows = [rows[1], rows[0], .. rows[2..]] }).Write();
            case "repeated key":
                return (block with { Rows = [rows[0], .. rows] }).Write();
            case "empty key":
                return (block with { Rows = [([], rows[0].Value), .. rows] }).Write();
            case "key of another kind":
                return (block with { Rows = [.. rows, ("Z"u8.ToArray(), rows[0].Value)] }).Write();
            case "more rows than there are":
                return (block with { Count = rows.Length + 1 }).Write();
            case "more rows than may be":
                return (block with { Count = 1L << 40 }).Write();
            case "key larger than may be":
                return (block with { Rows = [(new byte[SnapshotBlock.MaxKeyBytes + 1], rows[0].Value), .. rows] }).Write();
            case "row larger than may be":
                return (block with { Rows = [(rows[0].Key, new byte[RecordFormat.MaxBytes + 1]), .. rows[1..]] }).Write();
            case "row that is none":
                return (block with { Rows = [(rows[0].Key, [9]), .. rows[1..]] }).Write();
            default:
                throw new ArgumentException(fault, nameof(fault));
        }
    }

    [Theory]
    [InlineData("damaged record", SnapshotSection.Records, "does not fit the chain")]
    [InlineData("missing record", SnapshotSection.Records, "The change log has a gap")]
    [InlineData("missing records at the end", SnapshotSection.Records, "The change log ends before revision 20")]
    [InlineData("record that is none", SnapshotSection.Records, "is damaged")]
    [InlineData("missing state of a keyspace", SnapshotSection.KeyspaceStates, "and not its state")]
    [InlineData("state of a keyspace that is none", SnapshotSection.KeyspaceStates, "has version 9")]
    [InlineData("keyspace that is none", SnapshotSection.Rows, "a row of the catalog")]
    public Task A_copy_that_does_not_hold_together_is_not_put_in_place_and_its_source_left(string fault, SnapshotSection section, string why) =>
        AssertLeftAsync(changeHeader: null, OnlyIn(section, block => SpoilContent(fault, block)), why);

    private static byte[] SpoilContent(string fault, byte[] bytes)
    {
        var block = ForgedBlock.Of(bytes);
        var rows = block.Rows;
        switch (fault)
        {
            case "damaged record":
                // In the value of the last mutation: what can be read of it is right.
                var damaged = rows[^1].Value.ToArray();
                damaged[^40] ^= 1;
                return (block with { Rows = [.. rows[..^1], (rows[^1].Key, damaged)] }).Write();
            case "missing record":
                return (block with { Rows = [rows[0], .. rows[2..]] }).Write();
            case "missing records at the end":
                return (block with { Rows = [.. rows[..^1]] }).Write();
            case "record that is none":
                return (block with { Rows = [(rows[0].Key, [9]), .. rows[1..]] }).Write();
            case "missing state of a keyspace":
                return (block with { Rows = [.. rows[..^1]] }).Write();
            case "state of a keyspace that is none":
                return (block with { Rows = [.. rows[..^1], (rows[^1].Key, [9])] }).Write();
            case "keyspace that is none":
                // A row that can be read as one, and whose value is nothing that the catalog has. The catalog is the first keyspace.
                var row = new ByteWriter();
                DataRow.Write(row, new(1), default, default, "none"u8);
                return (block with { Rows = [(rows[0].Key, row.ToArray()), .. rows[1..]] }).Write();
            default:
                throw new ArgumentException(fault, nameof(fault));
        }
    }

    [Theory]
    [InlineData("future version", "a snapshot has version 4")]
    [InlineData("name of the source that is none", "the name of the source is none")]
    [InlineData("progress of a future version", "The source of a snapshot has a format of its own")]
    [InlineData("progress larger than may be", "the length of the progress is 5123")]
    [InlineData("cut off", "more bytes expected")]
    [InlineData("byte behind it", "bytes after the end")]
    [InlineData("nothing", "more bytes expected")]
    [InlineData("no cluster", "A snapshot is of no cluster")]
    [InlineData("another cluster", "The snapshot is of cluster 00000000000000090000000000000009")]
    [InlineData("older than the replica", "which is not far enough")]
    [InlineData("another end of the chain", "The change log ends with chain")]
    [InlineData("another beginning of the chain", "does not fit the chain")]
    [InlineData("later than its log", "The change log ends before revision 21")]
    [InlineData("log that begins behind its end", "has a log that begins at")]
    [InlineData("size beyond all disks", "Make room")]
    public Task A_header_with_one_fault_is_refused_and_after_a_few_its_source_is_left(string fault, string why) =>
        AssertLeftAsync(header => SpoilHeader(fault, header), changeBlock: null, why);

    private static byte[] SpoilHeader(string fault, byte[] bytes)
    {
        // Version, length and bytes of the name, length and bytes of the progress.
        const int Name = 2;
        const int Progress = Name + 5;
        return fault switch
        {
            "future version" => [4, .. bytes[1..]],
            "name of the source that is none" => [.. bytes[..Name], (byte)'!', .. bytes[(Name + 1)..]],
            "progress of a future version" => [.. bytes[..(Progress + 1)], 9, .. bytes[(Progress + 2)..]],
            "progress larger than may be" => [.. bytes[..Progress], 0x83, 0x28, .. bytes[(Progress + 1)..]],
            "cut off" => bytes[..^1],
            "byte behind it" => [.. bytes, 0],
            "nothing" => [],
            "no cluster" => Rewritten(bytes, progress => progress with { Cluster = default }),
            "another cluster" => Rewritten(bytes, progress => progress with { Cluster = new(9, 9) }),
            "older than the replica" => Rewritten(bytes, progress => progress with { Position = progress.Position with { Revision = new(HostileHub.Had - 1) }, Oldest = new(1) }),
            "another end of the chain" => Rewritten(bytes, progress => progress with { Chain = new(9, 9) }),
            "another beginning of the chain" => Rewritten(bytes, progress => progress with { OldestChain = new(9, 9) }),
            "log that begins behind its end" => Rewritten(
                bytes, progress => progress with { Oldest = new(progress.Position.Revision.Value + 10), OldestChain = progress.Chain }),
            "size beyond all disks" => [.. bytes[..^9], 0x7f, .. Enumerable.Repeat((byte)0xff, 7), 0],
            "later than its log" => Rewritten(bytes, progress => progress with { Position = progress.Position with { Revision = progress.Position.Revision.Next } }),
            _ => throw new ArgumentException(fault, nameof(fault)),
        };
    }

    private static byte[] Rewritten(byte[] bytes, Func<StoreProgress, StoreProgress> change)
    {
        var header = SnapshotHeader.Read(bytes);
        var writer = new ByteWriter();
        (header with { Progress = change(header.Progress) }).Write(writer);
        return writer.ToArray();
    }
}
