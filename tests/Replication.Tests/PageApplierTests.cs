using CsCheck;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a page is applied whole and only where every record follows what the replica has; a refused one leaves no trace.
/// Method: good pages of a real hub's log, changed in one way each, and forged logs whose chains fit.
/// </summary>
public sealed class PageApplierTests : IDisposable
{
    private static readonly ClusterUuid Cluster = new(1, 2);
    private static readonly HistoryId History = new(3, 4);

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly ReplicaStore _replica;
    private readonly PageApplier _applier;

    public PageApplierTests()
    {
        _hub = new(_directory.Sub("hub"));
        _hub.ApplyOne(_hub.Commands.Create("other"));
        for (var i = 0; i < 18; i++)
        {
            _hub.ApplyOne(_hub.Commands.Put(new((uint)(1 + (i % 2))), $"k{i % 5}", $"v{i}"));
        }

        _replica = new(_directory.Sub("replica"));
        _applier = new(_replica.Store);
    }

    /// <summary>The replica after revision 10, and the page of the rest.</summary>
    private LogPage Rest()
    {
        if (_replica.Store.Progress.Position.Revision == Revision.None)
        {
            _applier.Apply(Pages.Of(_hub, 1, 11));
        }

        return Pages.Of(_hub, 11, 21);
    }

    private void AssertRefused(LogPage page)
    {
        var before = (_replica.Store.Progress, _replica.Rows());
        Assert.Throws<MalformedDataException>(() => _applier.Apply(page));
        Assert.Equal(before, (_replica.Store.Progress, _replica.Rows()));
        Assert.Null(_replica.Store.Failure);
    }

    private void AssertGoesOn()
    {
        _applier.Apply(Rest());
        Assert.Equal(_hub.Hashes(), _replica.Hashes());
    }

    [Fact]
    public void Pages_in_order_give_the_state_of_the_hub()
    {
        foreach (var (from, to) in new[] { (1L, 2L), (2L, 9L), (9L, 21L) })
        {
            var progress = _applier.Apply(Pages.Of(_hub, from, to));
            Assert.Equal(to - 1, progress.Position.Revision.Value);
        }

        Assert.Equal(_hub.Hashes(), _replica.Hashes());
        Assert.Equal(_hub.Store.Progress.LogTime, _replica.Store.Progress.LogTime);
    }

    [Fact]
    public void A_gap_a_repeat_and_a_swapped_pair_are_refused()
    {
        var rest = Rest();
        var records = Pages.Unpack(rest.Records);
        AssertRefused(Pages.Of(_hub, 12, 21));
        AssertRefused(Pages.Of(_hub, 10, 21));
        AssertRefused(rest with { Records = Pages.Pack([.. records[..3], .. records[4..]]) });
        AssertRefused(rest with { Records = Pages.Pack([.. records[..3], records[2], .. records[3..]]) });
        AssertRefused(rest with { Records = Pages.Pack([records[1], records[0], .. records[2..]]) });
        AssertRefused(rest with { Records = Pages.Pack([.. records[..8], records[9], records[8]]) });
        AssertGoesOn();
    }

    [Fact]
    public void A_page_that_holds_more_or_less_than_it_says_is_refused()
    {
        var rest = Rest();
        AssertRefused(rest with { To = new(20) });
        AssertRefused(rest with { To = new(22) });
        AssertRefused(rest with { Records = default });
        AssertGoesOn();
    }

    [Fact]
    public void Every_changed_byte_of_a_page_is_refused()
    {
        var rest = Rest();
        for (var at = 0; at < rest.Records.Length; at++)
        {
            var damaged = rest.Records.Memory.ToArray();
            damaged[at] ^= (byte)(1 << (at % 8));
            AssertRefused(rest with { Records = new(damaged) });
        }

        AssertGoesOn();
    }

    [Fact]
    public void A_page_cut_off_anywhere_is_refused()
    {
        var rest = Rest();
        for (var length = 0; length < rest.Records.Length; length++)
        {
            AssertRefused(rest with { Records = new(rest.Records.Memory[..length]) });
        }

        AssertGoesOn();
    }

    [Fact]
    public void Random_damage_is_refused_with_the_one_exception()
    {
        var rest = Rest();
        Gen.Select(Gen.Int[0, rest.Records.Length - 1], Gen.Byte.Array[1, 12]).Sample(
            (at, bytes) =>
            {
                var damaged = rest.Records.Memory.ToArray();
                bytes.AsSpan(0, Math.Min(bytes.Length, damaged.Length - at)).CopyTo(damaged.AsSpan(at));
                if (!damaged.AsSpan().SequenceEqual(rest.Records.Span))
                {
                    AssertRefused(rest with { Records = new(damaged) });
                }
            },
            iter: 500, threads: 1);
        AssertGoesOn();
    }

    [Fact]
    public void Records_of_another_history_or_cluster_do_not_fit_the_chain()
    {
        var rest = Rest();
        foreach (var forged in new[] { new ForgedLog(Cluster, new(9, 9)), new ForgedLog(new(9, 9), History), new ForgedLog(Cluster, History) })
        {
            forged.Create("flags");
            while (forged.Records.Count < 20)
            {
                forged.Put(HubStore.Flags, "a", $"{forged.Records.Count}");
            }

            AssertRefused(rest with { Records = Pages.Pack(forged.Records[10..]) });
        }

        AssertGoesOn();
    }

    [Fact]
    public void The_first_page_of_an_empty_replica_is_checked_against_the_cluster_and_history_it_names()
    {
        var first = Pages.Of(_hub, 1, 11);
        AssertRefused(first with { Cluster = new(9, 9) });
        AssertRefused(first with { Source = first.Source with { History = new(9, 9) } });
        Assert.True(_replica.Store.Progress.Cluster.IsNone);
    }

    [Fact]
    public void A_refused_first_page_of_another_cluster_does_not_spoil_the_next_one()
    {
        var foreign = new ForgedLog(new(9, 9), new(9, 9)).Create("theirs").Put(HubStore.Flags, "a", "1").Page();
        AssertRefused(foreign with { To = new(99) });
        AssertGoesOn();
    }

    [Fact]
    public void A_forged_log_with_good_content_is_applied()
    {
        // Proof of the forger: what the next tests send is refused for what it says, not for how it was made.
        var log = new ForgedLog(Cluster, History).Create("flags").Put(HubStore.Flags, "a", "1");
        log.Add(HubStore.Flags, ForgedLog.Puts(("b", [])), extensions: [1, 0x00, 0x07, 2, 0xaa, 0xbb]);
        var progress = _applier.Apply(log.Page());
        Assert.Equal((new Revision(3), log.Progress.Chain), (progress.Position.Revision, progress.Chain));
        using var view = _replica.Store.AcquireView();
        using var row = view.Get(HubStore.Flags, "a"u8);
        Assert.Equal("1"u8, row.Row.Value);

        // An extension that need not be understood is kept with the record.
        var records = new ByteWriter();
        var chain = view.FindChain(new(2))!.Value;
        ChangeLog.ReadPage(view, new(3), ref chain, 1_000_000, records);
        Assert.Equal(Pages.Pack([log.Records[2]]).Span, records.WrittenSpan);
    }

    [Theory]
    [InlineData("future format version")]
    [InlineData("unknown hash algorithm")]
    [InlineData("extension that must be understood")]
    [InlineData("too many extensions")]
    [InlineData("too many mutations")]
    [InlineData("more mutations than there are")]
    [InlineData("bytes after the mutations")]
    [InlineData("unknown mutation kind")]
    [InlineData("range delete")]
    [InlineData("empty prefix")]
    [InlineData("prefix over the limit")]
    [InlineData("prefix delete in the catalog")]
    [InlineData("empty key")]
    [InlineData("key over the limit")]
    [InlineData("value over the limit")]
    [InlineData("unknown keyspace")]
    [InlineData("gap of revisions")]
    [InlineData("gap of keyspace sequences")]
    [InlineData("log time that goes back")]
    [InlineData("keyspace dropped outside the catalog")]
    [InlineData("catalog dropped")]
    [InlineData("last keyspace number dropped")]
    [InlineData("keyspace number used before")]
    [InlineData("last keyspace number created")]
    [InlineData("catalog row that is none")]
    [InlineData("catalog name that is none")]
    public void A_record_whose_chain_fits_is_refused_for_what_it_says(string what)
    {
        var log = new ForgedLog(Cluster, History).Create("flags").Put(HubStore.Flags, "a", "1");
        _applier.Apply(log.Page());
        var good = ForgedLog.Puts(("a", "2"u8.ToArray()));
        switch (what)
        {
            case "future format version":
                log.Add(HubStore.Flags, good, change: bytes => bytes[0] = 2);
                break;
            case "unknown hash algorithm":
                log.Add(HubStore.Flags, good, change: bytes => bytes[1] = 2);
                break;
            case "extension that must be understood":
                log.Add(HubStore.Flags, good, extensions: [1, 0x80, 0x07, 1, 0xaa]);
                break;
            case "too many extensions":
                log.Add(HubStore.Flags, good, extensions: [65, .. Enumerable.Repeat<byte[]>([0, 7, 0], 65).SelectMany(bytes => bytes)]);
                break;
            case "too many mutations":
                log.Add(HubStore.Flags, ForgedLog.Puts([.. Enumerable.Range(0, Limits.MaxMutations + 1).Select(i => ($"{i}", Array.Empty<byte>()))]));
                break;
            case "more mutations than there are":
                log.Add(HubStore.Flags, [2, .. good[1..]]);
                break;
            case "bytes after the mutations":
                log.Add(HubStore.Flags, [.. good, 0]);
                break;
            case "unknown mutation kind":
                log.Add(HubStore.Flags, [1, 9, 1, (byte)'a']);
                break;
            case "range delete":
                log.Add(HubStore.Flags, [1, (byte)MutationKind.DeleteRange, 1, (byte)'a', 1, (byte)'b']);
                break;
            case "empty prefix":
                log.Add(HubStore.Flags, [1, (byte)MutationKind.DeletePrefix, 0]);
                break;
            case "prefix over the limit":
                log.Add(HubStore.Flags, [1, (byte)MutationKind.DeletePrefix, 0x81, 0x08, .. new byte[Limits.MaxKeyBytes + 1]]);
                break;
            case "prefix delete in the catalog":
                log.Add(KeyspaceId.Catalog, [1, (byte)MutationKind.DeletePrefix, 1, (byte)'f']);
                break;
            case "empty key":
                log.Add(HubStore.Flags, [1, (byte)MutationKind.Delete, 0]);
                break;
            case "key over the limit":
                log.Add(HubStore.Flags, ForgedLog.Puts((new('k', Limits.MaxKeyBytes + 1), [])));
                break;
            case "value over the limit":
                log.Add(HubStore.Flags, ForgedLog.Puts(("a", new byte[Limits.MaxValueBytes + 1])));
                break;
            case "unknown keyspace":
                log.Add(new(2), good);
                break;
            case "gap of revisions":
                log.Add(HubStore.Flags, good, skipRevisions: 1);
                break;
            case "gap of keyspace sequences":
                log.Add(HubStore.Flags, good, skipSequences: 1);
                break;
            case "log time that goes back":
                log.Add(HubStore.Flags, good, logTime: new(1_699_999_999_999));
                break;
            case "keyspace dropped outside the catalog":
                log.Add(HubStore.Flags, [1, (byte)MutationKind.DropKeyspace, 0, 0, 0, 1]);
                break;
            case "catalog dropped":
                log.Add(KeyspaceId.Catalog, [1, (byte)MutationKind.DropKeyspace, 0, 0, 0, 0]);
                break;
            case "last keyspace number dropped":
                log.Add(KeyspaceId.Catalog, [1, (byte)MutationKind.DropKeyspace, 0xff, 0xff, 0xff, 0xff]);
                break;
            case "keyspace number used before":
                log.Add(KeyspaceId.Catalog, ForgedLog.Puts(("zero", CatalogRow.Write(new(2), KeyspaceSettings.Default, new(3)))));
                _applier.Apply(log.Page(3));
                log.Add(KeyspaceId.Catalog, [1, (byte)MutationKind.DropKeyspace, 0, 0, 0, 2]);
                _applier.Apply(log.Page(4));
                log.Add(KeyspaceId.Catalog, ForgedLog.Puts(("again", CatalogRow.Write(new(2), KeyspaceSettings.Default, new(5)))));
                break;
            case "last keyspace number created":
                log.Add(KeyspaceId.Catalog, ForgedLog.Puts(("last", CatalogRow.Write(new(uint.MaxValue), KeyspaceSettings.Default, new(3)))));
                break;
            case "catalog row that is none":
                log.Add(KeyspaceId.Catalog, ForgedLog.Puts(("name", "no row"u8.ToArray())));
                break;
            case "catalog name that is none":
                log.Add(KeyspaceId.Catalog, ForgedLog.Puts(("No Name", CatalogRow.Write(new(2), KeyspaceSettings.Default, new(3)))));
                break;
        }

        AssertRefused(log.Page(_replica.Store.Progress.Position.Revision.Value + 1));
    }

    [Fact]
    public void A_record_that_the_database_refuses_does_not_keep_the_store_from_opening_again()
    {
        var log = new ForgedLog(Cluster, History).Create("flags").Put(HubStore.Flags, "a", "1");
        using (var replica = new ReplicaStore(_directory.Sub("again")))
        {
            var applier = new PageApplier(replica.Store);
            applier.Apply(log.Page());
            log.Add(KeyspaceId.Catalog, [1, (byte)MutationKind.DropKeyspace, 0xff, 0xff, 0xff, 0xff]);
            Assert.ThrowsAny<Exception>(() => applier.Apply(log.Page(3)));
        }

        using var again = new ReplicaStore(_directory.Sub("again"));
        Assert.Equal((new Revision(2), 2), (again.Store.Progress.Position.Revision, again.Rows()));
    }

    [Fact]
    public void A_refused_page_leaves_nothing_behind_for_the_next_one()
    {
        var log = new ForgedLog(Cluster, History).Create("flags");
        _applier.Apply(log.Page());
        var bad = new ForgedLog(Cluster, History).Create("flags").Create("bad").Put(HubStore.Flags, "a", "bad").Add(HubStore.Flags, [1, 9]);
        AssertRefused(bad.Page(2));
        log.Put(HubStore.Flags, "a", "good").Create("good").Put(new(2), "b", "good");
        _applier.Apply(log.Page(2));
        Assert.Equal(log.Progress.Chain, _replica.Store.Progress.Chain);
        using var view = _replica.Store.AcquireView();
        Assert.Null(view.FindKeyspace(KeyspaceName.Parse("bad")));
        using var row = view.Get(HubStore.Flags, "a"u8);
        Assert.Equal("good"u8, row.Row.Value);
    }

    public void Dispose()
    {
        _replica.Dispose();
        _hub.Dispose();
        _directory.Dispose();
    }
}
