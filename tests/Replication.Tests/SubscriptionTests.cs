using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Storage.Native;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a replica that holds some keyspaces has exactly the hub's state of them at each of its revisions, and nothing of the others.
/// Method: random histories in which keyspaces come, change and go; pages from real sources, also from one that holds a part itself, compared
/// with the hub's state at the same revision after each page; pages that leave something out or bring something in.
/// </summary>
public sealed class SubscriptionTests : IDisposable
{
    private static readonly string[] Names = ["flags", "route-eu", "route-us", "rules", "route-x"];

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly View _start;

    public SubscriptionTests()
    {
        _hub = new(_directory.Sub("hub"));
        _start = _hub.Store.AcquireView();
    }

    private static Subscription Of(params string[] patterns) =>
        Subscription.TryCreate(patterns, out var subscription, out var problem) ? subscription : throw new ArgumentException(problem);

    private void Write(Random random, int count)
    {
        for (var i = 0; i < count; i++)
        {
            var name = Names[random.Next(Names.Length)];
            using var view = _hub.Store.AcquireView();
            var keyspace = view.FindKeyspace(KeyspaceName.Parse(name))?.Id;
            _hub.Apply(random.Next(12) switch
            {
                0 => _hub.Commands.Create(name),
                1 => _hub.Commands.Update(name, new() { SkipUnchanged = random.Next(2) == 0 }),
                2 when name != "flags" => _hub.Commands.Drop(name),
                3 => _hub.Commands.Delete(keyspace ?? HubStore.Flags, $"k{random.Next(20)}"),
                5 => _hub.Commands.DeletePrefix(keyspace ?? HubStore.Flags, random.Next(4) == 0 ? "k" : $"k{random.Next(20)}"),
                4 => _hub.Commands.PutFor(keyspace ?? HubStore.Flags, $"k{random.Next(20)}", $"{i}", TimeSpan.FromHours(1)),
                _ => _hub.Commands.Put(keyspace ?? HubStore.Flags, $"k{random.Next(20)}", $"of {name} {new string('v', random.Next(200))}"),
            });
        }
    }

    private ChainHash Expected(Revision at, Subscription subscription)
    {
        using var log = _hub.Store.AcquireView();
        return StateHash.Compute(_start, log, at, Stop, subscription).State;
    }

    private LogSource Source(NodeStore store, string node, long far) =>
        new(NodeId.Parse(node), store, new HubLogClock(store, () => true, TimeProvider.System), new() { FarRecords = far }, TimeProvider.System);

    private static OpenPullRequest Request(StoreProgress own, string child) => new(
        NodeId.Parse(child), RegionName.Parse("eu"), "eu:1", own.Cluster, own.Position, own.Chain, Keyspaces: own.Subscription.Patterns?.ToArray());

    /// <summary>Pulls until level; each page is compared.</summary>
    private async Task<int> PullAsync(LogSource source, ReplicaStore replica, Random random, string child = "eu-0")
    {
        var opened = await source.OpenAsync(Request(replica.Store.Progress, child), Stop);
        Assert.Equal(OpenPullStatus.Open, opened.Status);
        var applier = new PageApplier(replica.Store);
        var pages = 0;
        for (; replica.Store.Progress.Position.Revision < opened.Source.Revision; pages++)
        {
            var page = await source.NextAsync(new(opened.Session, pages, default, random.Next(1, 2_000), TimeSpan.Zero), Stop);
            Assert.Equal((PageStatus.Ok, replica.Store.Progress.Position.Revision.Next), (page.Status, page.From));
            applier.Apply(page);
            Assert.Equal(page.To, replica.Store.Progress.Position.Revision.Next);
            Assert.Equal(Expected(replica.Store.Progress.Position.Revision, replica.Store.Progress.Subscription), replica.Hashes().State);
        }

        return pages;
    }

    [Theory]
    [InlineData(1, 10_000L, "route-*")]
    [InlineData(2, 5L, "route-*")]
    [InlineData(3, 5L, "flags", "route-us")]
    [InlineData(4, 40L, "*s")]
    [InlineData(5, 0L, "none-of-them")]
    [InlineData(6, 10_000L, "none-of-them")]
    [InlineData(7, 0L, "flags")]
    public async Task A_replica_has_the_hubs_state_of_its_keyspaces_at_every_revision(int seed, long far, params string[] patterns)
    {
        var random = new Random(seed);
        var subscription = Of(patterns);
        using var source = Source(_hub.Store, "hub-0", far);
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        Assert.False(replica.Store.Subscribe(subscription));
        Write(random, 300);
        var pages = await PullAsync(source, replica, random);
        for (var round = 0; round < 6; round++)
        {
            Write(random, random.Next(1, 120));
            pages += await PullAsync(source, replica, random);
        }

        Assert.True(pages > 7);
        AssertHasOnly(replica.Store, subscription);
        using var again = replica.Store.AcquireView();
        Assert.Equal(_hub.Store.Progress.Position, again.Position);
        Assert.Equal(_hub.Store.Progress.Chain, again.Progress.Chain);
    }

    /// <summary>No record and no row of a keyspace that is not in it.</summary>
    private static void AssertHasOnly(NodeStore store, Subscription subscription)
    {
        using var view = store.AcquireView();
        using var log = view.OpenLog();
        for (var more = log.Seek(new(1)); more; more = log.Next())
        {
            var record = RecordView.Parse(log.Record);
            if (record.Header.Keyspace != KeyspaceId.Catalog)
            {
                var reader = new ByteReader(record.MutationBytes);
                reader.ReadVarint();
                var value = System.Text.Encoding.UTF8.GetString(MutationFormat.Read(ref reader).Value);
                Assert.True(!value.StartsWith("of ", StringComparison.Ordinal) || subscription.Includes(KeyspaceName.Parse(value.Split(' ')[1])) || record.Header.Keyspace == HubStore.Flags, value);
            }
        }
    }

    [Fact]
    public async Task A_source_whose_record_of_a_drop_is_damaged_says_so_and_leaves_nothing_out()
    {
        _hub.ApplyOne(_hub.Commands.Create("route-eu"));
        using var view = _hub.Store.AcquireView();
        var keyspace = view.FindKeyspace(KeyspaceName.Parse("route-eu"))!.Id;
        for (var i = 0; i < 20; i++)
        {
            _hub.ApplyOne(_hub.Commands.Put(keyspace, $"k{i}", "v"));
        }

        var drop = _hub.ApplyOne(_hub.Commands.Drop("route-eu")).Revision;
        using var source = Source(_hub.Store, "hub-0", 1_000);
        async Task<LogPage> FirstAsync()
        {
            var opened = await source.OpenAsync(Request(new() { Subscription = Of("route-*") }, "eu-0"), Stop);
            return await source.NextAsync(new(opened.Session, 0, default, 10, TimeSpan.Zero), Stop);
        }

        Assert.Equal(PageStatus.Ok, (await FirstAsync()).Status);

        // The id of the keyspace that goes is the last thing before the chains.
        var record = _hub.Records()[(int)drop.Value - 1];
        record[^((2 * ChainHash.SizeBytes) + 1)] ^= 1;
        var key = new byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(key, drop);
        var batch = new WriteBatchBuilder();
        batch.Put(_hub.Store.Database.FamilyId(ColumnFamily.Log), key, record);
        _hub.Store.Database.Write(batch);
        _hub.Store.Publish(_hub.Store.Progress);
        Assert.Equal(PageStatus.SourceDamaged, (await FirstAsync()).Status);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_session_ends_where_its_source_lets_go_of_what_the_child_holds(bool isPart)
    {
        Write(new(3), 100);
        using var hub = Source(_hub.Store, "hub-0", 10);
        using var middle = new ReplicaStore(_directory.Sub("middle"));
        await PullAsync(hub, middle, new(3));
        using var between = Source(middle.Store, "eu-0", 10);
        var opened = await between.OpenAsync(Request(new() { Subscription = isPart ? Of("rules") : Subscription.All }, "eu-1"), Stop);
        Assert.Equal(OpenPullStatus.Open, opened.Status);
        Assert.Equal(PageStatus.Ok, (await between.NextAsync(new(opened.Session, 0, default, 500, TimeSpan.Zero), Stop)).Status);

        // A page from here on would lack records of the child's, and nothing in it would show that.
        middle.Store.Subscribe(Of("route-*"));
        Assert.Equal(PageStatus.SessionLost, (await between.NextAsync(new(opened.Session, 1, default, 500, TimeSpan.Zero), Stop)).Status);
        Assert.Equal(OpenPullStatus.NotHeld, (await between.OpenAsync(Request(new() { Subscription = Of("rules") }, "eu-1"), Stop)).Status);
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public async Task A_child_of_a_partial_replica_has_a_part_of_the_part_and_no_more(int seed)
    {
        var random = new Random(seed);
        using var hub = Source(_hub.Store, "hub-0", 10);
        using var middle = new ReplicaStore(_directory.Sub("middle"));
        middle.Store.Subscribe(Of("route-*", "rules"));
        using var between = Source(middle.Store, "eu-0", random.Next(2) == 0 ? 5 : 10_000);
        using var leaf = new ReplicaStore(_directory.Sub("leaf"), "eu-1");
        leaf.Store.Subscribe(Of("route-eu", "rules"));
        for (var round = 0; round < 6; round++)
        {
            Write(random, random.Next(1, 150));
            await PullAsync(hub, middle, random);
            await PullAsync(between, leaf, random, "eu-1");
        }

        foreach (var tooMuch in new[] { Of("flags"), Of("r*"), Subscription.All })
        {
            var request = Request(leaf.Store.Progress, "eu-1") with { Keyspaces = tooMuch.Patterns?.ToArray() };
            Assert.Equal(OpenPullStatus.NotHeld, (await between.OpenAsync(request, Stop)).Status);
        }

        // It may go on at the hub, and come back.
        Write(random, 50);
        await PullAsync(hub, leaf, random, "eu-1");
        Assert.Equal(OpenPullStatus.SourceBehind, (await between.OpenAsync(Request(leaf.Store.Progress, "eu-1"), Stop)).Status);
    }

    [Theory]
    [InlineData("a record left out")]
    [InlineData("a record twice")]
    [InlineData("two records swapped")]
    [InlineData("a record of another keyspace")]
    [InlineData("a record beyond the page")]
    [InlineData("a flipped byte")]
    [InlineData("another chain at the end")]
    [InlineData("no chain at the end")]
    [InlineData("a flipped bit of the log's chain on the way")]
    [InlineData("an end too far on the way")]
    public async Task A_page_that_is_not_the_part_is_refused_and_nothing_of_it_applied(string fault)
    {
        _hub.Apply(_hub.Commands.Create("route-eu"));
        for (var i = 0; i < 20; i++)
        {
            _hub.Apply(_hub.Commands.Put(new(i % 2 == 0 ? 1u : 2u), $"k{i}", $"v{i}"));
        }

        using var source = Source(_hub.Store, "hub-0", 1_000);
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        replica.Store.Subscribe(Of("route-eu"));
        var opened = await source.OpenAsync(Request(replica.Store.Progress, "eu-0"), Stop);
        var page = await source.NextAsync(new(opened.Session, 0, default, 1_000_000, TimeSpan.Zero), Stop);
        var records = Pages.Unpack(page.Records);
        Assert.Equal(12, records.Count);
        var hostile = fault switch
        {
            "a record left out" => page with { Records = Pages.Pack(records.Where((_, i) => i != 7)) },
            "a record twice" => page with { Records = Pages.Pack([.. records[..8], .. records[7..]]) },
            "two records swapped" => page with { Records = Pages.Pack([.. records[..5], records[6], records[5], .. records[7..]]) },
            "a record of another keyspace" => page with { Records = Pages.Pack([.. records[..2], _hub.Records()[2], .. records[2..]]) },
            "a record beyond the page" => page with { To = new(page.To.Value - 1) },
            "a flipped byte" => page with { Records = Pages.Pack([.. records[..^1], [.. records[^1][..^50], (byte)(records[^1][^50] ^ 1), .. records[^1][^49..]]]) },
            "another chain at the end" => page with { Chain = new(1, 2) },
            "a flipped bit of the log's chain on the way" =>
                page with { Records = Pages.Pack([.. records[..3], [.. records[3][..^1], (byte)(records[3][^1] ^ 8)], .. records[4..]]) },
            "an end too far on the way" => page with { To = page.To.Next },
            "no chain at the end" => page with { Chain = default, To = page.To.Next },
            _ => throw new ArgumentOutOfRangeException(nameof(fault)),
        };
        Assert.Throws<MalformedDataException>(() => new PageApplier(replica.Store).Apply(fault.EndsWith("on the way", StringComparison.Ordinal) ? hostile : hostile.Sealed()));
        Assert.Equal(Revision.None, replica.Store.Progress.Position.Revision);
        new PageApplier(replica.Store).Apply(page);
        Assert.Equal(Expected(replica.Store.Progress.Position.Revision, Of("route-eu")), replica.Hashes().State);
    }

    [Fact]
    public async Task A_log_with_gaps_is_cut_and_opens_again_and_its_damage_is_found()
    {
        var random = new Random(21);
        Write(random, 400);
        using var source = Source(_hub.Store, "hub-0", 10);
        var path = _directory.Sub("replica");
        using (var replica = new ReplicaStore(path))
        {
            replica.Store.Subscribe(Of("route-*"));
            await PullAsync(source, replica, random);
            var before = replica.Hashes();
            replica.Store.CutLog(new(150), Stop);
            Assert.InRange(replica.Store.Progress.Oldest.Value, 2, 150);
            replica.Store.CutLog(new(replica.Store.Progress.Position.Revision.Value + 1), Stop);
            Assert.Equal(before, replica.Hashes());
            Write(random, 100);
            await PullAsync(source, replica, random);
        }

        using (var again = new ReplicaStore(path))
        {
            Assert.Equal(Of("route-*"), again.Store.Progress.Subscription);
            Write(random, 100);
            await PullAsync(source, again, random);
            using var between = Source(again.Store, "eu-0", 10);
            var opened = await between.OpenAsync(Request(StoreProgress.Empty with { Subscription = Of("route-eu") }, "eu-1"), Stop);
            Assert.Equal(OpenPullStatus.TooOld, opened.Status);
        }
    }

    public void Dispose()
    {
        _start.Dispose();
        _hub.Dispose();
        _directory.Dispose();
    }
}
