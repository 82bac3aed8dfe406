using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: what a source says beside its records, or in places where nobody looks, neither stops a replica nor stays in its store. Method: each
/// claim once, where it is taken in; real stores.
/// </summary>
public sealed class HostileClaimsTests
{
    private const int WholePart = 64 * 1024;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_page_without_revisions_that_has_records_is_refused(bool isEmpty)
    {
        // Of a replica that has nothing such a page is applied, to make it part of the cluster.
        using var hub = new HostileHub();
        using var replica = hub.Replica(isEmpty);
        using var bad = hub.Source("hub-0");
        using var good = hub.Source("hub-1");
        using var sources = new TwoSources(
            replica, new HostileLog(bad, (number, page) => number == 0 ? page with { To = page.From } : page), badSnapshots: null, good, goodSnapshots: null);
        await Hostile.AssertLeftAsync(
            hub, replica, sources, SourceFault.Refused, PullProblem.PageRefused, why: "", refusedPages: new PullOptions().FailuresBeforeLeaving);
    }

    [Fact]
    public async Task A_source_that_sends_bad_pages_is_left_also_where_each_session_begins_with_an_empty_one()
    {
        using var hub = new HostileHub();
        using var replica = hub.Replica();
        using var bad = hub.Source("hub-0");
        using var good = hub.Source("hub-1");
        var next = new Revision(HostileHub.Had + 1);
        using var sources = new TwoSources(
            replica,
            new HostileLog(bad, (number, page) => number == 0
                ? page with { From = next, To = next, Records = default }
                : page with { From = next, To = next.Next, Records = new(new byte[] { 1, 9 }) }),
            badSnapshots: null, good, goodSnapshots: null);
        await Hostile.AssertLeftAsync(
            hub, replica, sources, SourceFault.Refused, PullProblem.PageRefused, "format version 9", refusedPages: new PullOptions().FailuresBeforeLeaving);
    }

    [Fact]
    public void A_source_of_an_endless_age_does_not_break_the_clock_of_a_replica()
    {
        using var hub = new HostileHub();
        using var replica = hub.Replica(isEmpty: true);
        var time = new FakeTimeProvider();
        var clock = new ReplicaLogClock(replica.Store, time);
        clock.Applied(Pages.Of(hub.Store.Progress, 1, hub.Records) with { SourceAge = TimeSpan.MaxValue - TimeSpan.FromTicks(1) }, time.GetTimestamp());
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Null(Record.Exception(() => { _ = clock.Age; }));
    }

    [Fact]
    public void A_source_of_an_endless_age_does_not_break_the_choice_of_sources()
    {
        var endless = TimeSpan.MaxValue - TimeSpan.FromTicks(1);
        var choice = new SourceChoice(new() { Jitter = 0 }, new Random(1));
        choice.SetCandidates(["a", "b"]);
        choice.OnUp("b", TimeSpan.Zero);
        choice.OnHeard(endless, new(9), TimeSpan.Zero);
        var seen = new SourceDescription(NodeId.Parse("hub-0"), new(1, 2), new(LogId.Main, new(3, 4), new(9)), new(1), endless, [NodeId.Parse("hub-0")]);
        var now = TimeSpan.FromMinutes(2);
        Assert.Null(Record.Exception(() => { choice.NextLook(now); }));
        Assert.Null(Record.Exception(() => { choice.OnDescribed("a", seen, NodeId.Parse("eu-0"), new(1, 2), now); }));

        // The other one alone.
        choice.OnHeard(TimeSpan.Zero, new(9), now);
        Assert.Null(Record.Exception(() => { choice.OnDescribed("a", seen, NodeId.Parse("eu-0"), new(1, 2), now); }));
    }

    [Fact]
    public void A_page_of_no_cluster_is_refused_by_a_replica_that_has_nothing()
    {
        using var hub = new HostileHub();
        using var replica = hub.Replica(isEmpty: true);
        var page = new ForgedLog(default, new(3, 4)).Create("flags").Page();
        Assert.Throws<MalformedDataException>(() => { new PageApplier(replica.Store).Apply(page); });
        Assert.Equal(StoreProgress.Empty, replica.Store.Progress);
    }

    [Fact]
    public void Records_that_look_like_a_trained_dictionary_are_packed_and_unpacked_as_any_others()
    {
        // The first four bytes of a trained dictionary of Zstandard, where the bytes that are remembered of the first page begin. A value may have them.
        var first = new byte[40_000];
        byte[] mark = [0x37, 0xa4, 0x30, 0xec];
        mark.CopyTo(first, first.Length - (32 * 1024));
        var (source, child) = (new PageCompression(), new PageCompression());
        foreach (var records in new[] { first, new byte[1_000], first })
        {
            var page = new LogPage(
                PageStatus.Ok, new(1, 2), new(LogId.Main, new(3, 4), new(9)), new(1), new(1), TimeSpan.Zero, new(1), new(2), new(records));
            Assert.Equal(records, child.Decompress(source.Compress(page)).Records.Memory.ToArray());
        }
    }

    /// <summary>A snapshot of the hub on its way in, up to the beginning of a part.</summary>
    private static IncomingSnapshot Receive(View view, NodeStore store, SnapshotSection upTo)
    {
        var incoming = store.OpenIncoming();
        incoming.Begin(new(NodeId.Parse("hub-0"), view.Progress, default, 0), 1);
        Feed(view, incoming, upTo);
        return incoming;
    }

    private static void Feed(View view, IncomingSnapshot incoming, SnapshotSection upTo)
    {
        while (incoming.Section != upTo)
        {
            incoming.Add(SnapshotBlock.Read(view, incoming.Section, incoming.After.Span, WholePart).WrittenSpan);
        }
    }

    [Fact]
    public void Of_a_block_with_a_bad_row_behind_good_ones_nothing_is_taken()
    {
        using var hub = new HostileHub();
        using var replica = hub.Replica(isEmpty: true);
        using var view = hub.Store.AcquireView();
        using var incoming = Receive(view, replica.Store, SnapshotSection.Rows);
        var block = ForgedBlock.Of(SnapshotBlock.Read(view, SnapshotSection.Rows, default, WholePart).ToArray());
        var rows = block.Rows;
        var bad = block with { Rows = [.. rows[..^1], (rows[^1].Key, [9])] };
        Assert.Throws<MalformedDataException>(() => incoming.Add(bad.Write()));
        Feed(view, incoming, SnapshotSection.End);
        replica.Store.Install(incoming);
        Assert.Equal(hub.Hashes(), replica.Hashes());
    }

    [Theory]
    [InlineData(SnapshotSection.Rows, "", 3, 10)]
    [InlineData(SnapshotSection.Rows, "", 4, 10)]
    [InlineData(SnapshotSection.KeyspaceStates, "K", 3, 10)]
    [InlineData(SnapshotSection.KeyspaceStates, "K", 5, 10)]
    [InlineData(SnapshotSection.Records, "", 7, 10)]
    [InlineData(SnapshotSection.Records, "", 9, 10)]
    [InlineData(SnapshotSection.KeyspaceLog, "", 3, 8)]
    [InlineData(SnapshotSection.KeyspaceLog, "", 11, 8)]
    [InlineData(SnapshotSection.KeyspaceLog, "", 12, 7)]
    [InlineData(SnapshotSection.KeyspaceCuts, "Q", 3, 10)]
    public void A_row_whose_key_or_value_has_a_length_that_its_part_has_not_is_refused(SnapshotSection section, string prefix, int keyBytes, int valueBytes)
    {
        // Cursors read numbers from such keys, and know no failure there.
        using var hub = new HostileHub();
        hub.Store.CutLog(new(HostileHub.Had + 5), Stop);
        using var replica = hub.Replica(isEmpty: true);
        using var view = hub.Store.AcquireView();
        using var incoming = Receive(view, replica.Store, section);
        var block = ForgedBlock.Of(SnapshotBlock.Read(view, section, default, WholePart).ToArray());

        // Behind all others. As a row the value is one of revision 1 without anything.
        byte[] key = [.. System.Text.Encoding.ASCII.GetBytes(prefix), .. Enumerable.Repeat((byte)0xff, keyBytes)];
        byte[] value = [1, .. new byte[valueBytes - 2], 1];
        var bad = block with { Rows = [.. block.Rows, (key, value)] };
        Assert.Throws<MalformedDataException>(() => incoming.Add(bad.Write()));
    }
}
