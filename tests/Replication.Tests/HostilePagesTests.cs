using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a source that sends pages with one fault is left for another, says why in the status, and leaves no trace in the store. Method: a
/// replicator on a real store; the first page of each session is changed in one way; then a good source, from which the replica gets level.
/// </summary>
/// <remarks>
/// What is refused, record by record, is the subject of <see cref="PageApplierTests"/>, and of <see cref="PageCompressionTests"/> before it;
/// what each page does to the state machine that of <see cref="ProgressTests"/> and <see cref="ProgressDoubtTests"/>. Here all of them act together.
/// </remarks>
public sealed class HostilePagesTests(HostileHub hub) : IClassFixture<HostileHub>
{
    /// <summary>Tries until a source is left that fails.</summary>
    private static readonly int s_tries = new PullOptions().FailuresBeforeLeaving;

    private static readonly byte[] s_good = ForgedLog.Puts(("a", "good"u8.ToArray()));

    private async Task AssertLeftAsync(
        Func<LogPage, LogPage> change, SourceFault fault, PullProblem problem, string why, int refusedPages, PullOptions? options = null)
    {
        using var replica = hub.Replica();
        using var bad = hub.Source("hub-0");
        using var good = hub.Source("hub-1");
        using var sources = new TwoSources(
            replica, new HostileLog(bad, (number, page) => number == 0 ? change(page) : page), badSnapshots: null, good, goodSnapshots: null);
        var status = await Hostile.AssertLeftAsync(hub, replica, sources, fault, problem, why, refusedPages, options);
        Assert.Equal((0, hub.Records.Count - HostileHub.Had), (status.Bootstraps, status.AppliedRecords));
    }

    [Theory]
    [InlineData("gap between records", "was to come, the record says")]
    [InlineData("repeated record", "was to come, the record says")]
    [InlineData("swapped pair", "was to come, the record says")]
    [InlineData("wrong chain of the log", "does not fit the chain of the log")]
    [InlineData("wrong chain of the keyspace", "does not fit the chain of the keyspace")]
    [InlineData("records of another history", "does not fit the chain of the keyspace")]
    [InlineData("another history", "the source changed to history")]
    [InlineData("future format version", "the record has format version 2")]
    [InlineData("unknown hash algorithm", "hashed with algorithm 2")]
    [InlineData("extension that must be understood", "has extension 8007, which must be understood")]
    [InlineData("more mutations than may be", "the number of mutations is 10001")]
    [InlineData("more extensions than may be", "the number of extensions is 65")]
    [InlineData("extension larger than may be", "an extension's length is 65537")]
    [InlineData("record larger than may be", "the record's length is 4259841")]
    [InlineData("size of 63 bits", "the record's length is 9223372036854775807")]
    [InlineData("cut off", "more bytes expected")]
    [InlineData("byte behind the records", "more bytes expected")]
    [InlineData("byte behind the mutations", "bytes after the end")]
    [InlineData("log time that goes back", "has log time 1699999999999")]
    [InlineData("keyspace that does not exist", "belongs to keyspace 7, which does not exist")]
    [InlineData("gap in the keyspace", "was to come, revision 11 says")]
    [InlineData("end too late", "The page promises records before 22")]
    [InlineData("end behind the source's", "a page says that it goes to revision 22, and its source is at 20")]
    [InlineData("end too early", "The page promises records before 20")]
    [InlineData("beginning too late", "a page starts at revision 12, 11 was to come")]
    [InlineData("beginning too early", "a page starts at revision 10, 11 was to come")]
    [InlineData("end before the beginning", "a page starts at revision 11")]
    [InlineData("no records", "The page promises records before 21")]
    [InlineData("encoding that was not asked for", "encoding 9, which was not asked for")]
    public Task A_page_with_one_fault_is_refused_and_after_a_few_its_source_is_left(string fault, string why) =>
        AssertLeftAsync(page => Spoil(fault, page), SourceFault.Refused, PullProblem.PageRefused, why, s_tries);

    private LogPage Spoil(string fault, LogPage page)
    {
        var records = Pages.Unpack(page.Records);
        return fault switch
        {
            "gap between records" => page with { Records = Pages.Pack([.. records[..3], .. records[4..]]) },
            "repeated record" => page with { Records = Pages.Pack([.. records[..3], records[2], .. records[3..]]) },
            "swapped pair" => page with { Records = Pages.Pack([.. records[..4], records[5], records[4], .. records[6..]]) },
            "wrong chain of the log" => page with { Records = Pages.Pack([.. records[..4], Flipped(records[4], 32), .. records[5..]]) },
            "wrong chain of the keyspace" => page with { Records = Pages.Pack([.. records[..4], Flipped(records[4], 1), .. records[5..]]) },
            "records of another history" => page with { Records = Pages.Pack(HostileHub.OtherHistory().Records[HostileHub.Had..]) },
            "another history" => page with { Source = page.Source with { History = new(9, 9) } },
            "future format version" => Forge(page, log => log.Add(HubStore.Flags, s_good, change: bytes => bytes[0] = 2)),
            "unknown hash algorithm" => Forge(page, log => log.Add(HubStore.Flags, s_good, change: bytes => bytes[1] = 2)),
            "extension that must be understood" => Forge(page, log => log.Add(HubStore.Flags, s_good, extensions: [1, 0x80, 0x07, 1, 0xaa])),
            "more mutations than may be" => Forge(page, log => log.Add(HubStore.Flags, [.. Varint(Limits.MaxMutations + 1), .. s_good[1..]])),
            "more extensions than may be" => Forge(page, log => log.Add(HubStore.Flags, s_good, extensions: [65])),
            "extension larger than may be" => Forge(page, log => log.Add(HubStore.Flags, s_good, extensions: [1, 0, 7, .. Varint(65_537)])),
            "record larger than may be" => page with { Records = Joined(Varint(RecordFormat.MaxBytes + 1), records[0]) },
            "size of 63 bits" => page with { Records = Joined(Varint(long.MaxValue), records[0]) },
            "cut off" => page with { Records = new(page.Records.Memory[..^1]) },
            "byte behind the records" => page with { Records = Joined(page.Records.Memory.ToArray(), [0]) },
            "byte behind the mutations" => Forge(page, log => log.Add(HubStore.Flags, [.. s_good, 0])),
            "log time that goes back" => Forge(page, log => log.Add(HubStore.Flags, s_good, logTime: new(1_699_999_999_999))),
            "keyspace that does not exist" => Forge(page, log => log.Add(new(7), s_good)),
            "gap in the keyspace" => Forge(page, log => log.Add(HubStore.Flags, s_good, skipSequences: 1)),
            "end too late" => page with { To = page.To.Next, Source = page.Source with { Revision = page.To } },
            "end behind the source's" => page with { To = page.To.Next },
            "end too early" => page with { To = new(page.To.Value - 1) },
            "beginning too late" => page with { From = page.From.Next },
            "beginning too early" => page with { From = new(page.From.Value - 1) },
            "end before the beginning" => page with { To = new(page.From.Value - 1) },
            "no records" => page with { Records = default },
            "encoding that was not asked for" => page with { Encoding = (PageEncoding)9 },
            _ => throw new ArgumentException(fault, nameof(fault)),
        };
    }

    /// <summary>A page of what a test adds behind the replica's last record.</summary>
    private LogPage Forge(LogPage page, Action<ForgedLog> add)
    {
        var log = hub.Fork();
        add(log);
        var records = log.Records[HostileHub.Had..];
        return page with { To = new(page.From.Value + records.Count), Records = Pages.Pack(records) };
    }

    private static byte[] Flipped(byte[] bytes, int fromEnd)
    {
        var changed = bytes.ToArray();
        changed[^fromEnd] ^= 1;
        return changed;
    }

    private static byte[] Varint(long value)
    {
        var writer = new ByteWriter();
        writer.WriteVarint(value);
        return writer.ToArray();
    }

    private static Payload Joined(byte[] first, byte[] second)
    {
        byte[] both = [.. first, .. second];
        return new(both);
    }

    [Theory]
    [InlineData("packed, and larger than it says", "A page ")]
    [InlineData("packed, and smaller than it says", "A page does not have the length that it says")]
    [InlineData("packed, and larger than may be", "A page of 2147483647 bytes cannot be")]
    [InlineData("packed, and of no size", "A page of 0 bytes cannot be")]
    [InlineData("packed, and of a negative size", "A page of -1 bytes cannot be")]
    [InlineData("packed, and cut off", "A page cannot be decompressed")]
    [InlineData("not packed, and says so", "A page cannot be decompressed")]
    [InlineData("packed, and does not say so", "the record has format version 181")]
    public Task A_packed_page_with_one_fault_is_refused_and_after_a_few_its_source_is_left(string fault, string why) => AssertLeftAsync(
        page => SpoilPacked(fault, page), SourceFault.Refused, PullProblem.PageRefused, why, s_tries, Hostile.Options with { CompressFrom = TimeSpan.Zero });

    private static LogPage SpoilPacked(string fault, LogPage page)
    {
        Assert.Equal(PageEncoding.Zstd, page.Encoding);
        return fault switch
        {
            "packed, and larger than it says" => page with { RawBytes = page.RawBytes - 1 },
            "packed, and smaller than it says" => page with { RawBytes = page.RawBytes + 1 },
            "packed, and larger than may be" => page with { RawBytes = int.MaxValue },
            "packed, and of no size" => page with { RawBytes = 0 },
            "packed, and of a negative size" => page with { RawBytes = -1 },
            "packed, and cut off" => page with { Records = new(page.Records.Memory[..^1]) },
            "not packed, and says so" => page with { Records = new(new byte[page.Records.Length]) },
            "packed, and does not say so" => page with { Encoding = PageEncoding.None, RawBytes = 0 },
            _ => throw new ArgumentException(fault, nameof(fault)),
        };
    }

    [Theory]
    [InlineData("another cluster", SourceFault.Wrong, PullProblem.WrongSource, "the source belongs to cluster 00000000000000090000000000000009")]
    [InlineData("a way to the hub over this node", SourceFault.Cycle, PullProblem.Cycle, "the source pulls from this node")]
    [InlineData("a way to the hub without end", SourceFault.Wrong, PullProblem.WrongSource, "the source names no way to the hub")]
    public Task A_source_whose_page_shows_that_it_is_the_wrong_one_is_left_at_once(string fault, SourceFault left, PullProblem problem, string why) =>
        AssertLeftAsync(
            page => fault switch
            {
                "another cluster" => page with { Cluster = new(9, 9) },
                "a way to the hub over this node" => page with { Path = [NodeId.Parse("hub-0"), NodeId.Parse("eu-0")] },
                "a way to the hub without end" => page with { Path = [.. Enumerable.Range(0, 33).Select(i => NodeId.Parse($"n-{i}"))] },
                _ => throw new ArgumentException(fault, nameof(fault)),
            },
            left, problem, why, refusedPages: 0);
}
