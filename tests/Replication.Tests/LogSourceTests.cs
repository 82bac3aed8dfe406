using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Sequencing;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a source opens a session only to a child whose past it shares, and answers its requests in the order of their numbers.
/// Method: a source on a real hub's store with fake time, children that a test plays.
/// </summary>
public sealed class LogSourceTests : IDisposable
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly FakeTimeProvider _time = new();
    private readonly HubStore _hub;
    private readonly LogSource _source;

    public LogSourceTests()
    {
        _hub = new(_directory.Sub("hub"));
        for (var i = 2; i <= 20; i++)
        {
            _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, $"k{i % 5}", $"v{i}"));
        }

        _source = Source(_hub.Store);
    }

    private LogSource Source(NodeStore store, LogSourceOptions? options = null) =>
        new(NodeId.Parse("hub-0"), store, new HubLogClock(store, () => true, _time), options ?? new(), _time);

    private OpenPullRequest Request(long revision, string child = "eu-0")
    {
        using var view = _hub.Store.AcquireView();
        return new(
            NodeId.Parse(child), RegionName.Parse("eu"), "eu:1", view.Progress.Cluster, view.Position with { Revision = new(revision) },
            view.FindChain(new(revision))!.Value);
    }

    private static OpenPullRequest Empty(string child = "eu-0") => new(NodeId.Parse(child), RegionName.Parse("eu"), "eu:1", default, default, default);

    private async Task<OpenPullStatus> Open(OpenPullRequest request) => (await _source.OpenAsync(request, Stop)).Status;

    private async Task<long> Session(long revision) => (await _source.OpenAsync(Request(revision), Stop)).Session;

    private Task<LogPage> Next(long session, long number, int bytes = 1_000_000, int waitSeconds = 3) =>
        _source.NextAsync(new(session, number, default, bytes, TimeSpan.FromSeconds(waitSeconds)), Stop).AsTask();

    [Fact]
    public async Task A_child_is_judged_by_cluster_history_position_and_chain()
    {
        var good = Request(10);
        Assert.Equal(OpenPullStatus.Open, await Open(good));
        Assert.Equal(OpenPullStatus.Open, await Open(Request(20)));
        Assert.Equal(OpenPullStatus.Open, await Open(Request(0)));
        Assert.Equal(OpenPullStatus.Open, await Open(Empty()));
        Assert.Equal(OpenPullStatus.Self, await Open(good with { Child = NodeId.Parse("hub-0") }));
        Assert.Equal(OpenPullStatus.OtherCluster, await Open(good with { Cluster = new(9, 9) }));
        Assert.Equal(OpenPullStatus.Diverged, await Open(good with { Position = good.Position with { History = new(9, 9) } }));
        Assert.Equal(OpenPullStatus.Diverged, await Open(good with { Position = good.Position with { Log = new(1) } }));
        Assert.Equal(OpenPullStatus.Diverged, await Open(good with { Chain = Request(11).Chain }));
        Assert.Equal(OpenPullStatus.SourceBehind, await Open(good with { Position = good.Position with { Revision = new(21) } }));
    }

    [Fact]
    public async Task A_child_hears_what_the_source_has_at_its_position()
    {
        Assert.Equal(Request(10).Chain, (await _source.OpenAsync(Request(10) with { Chain = new(9, 9) }, Stop)).Chain);
        var otherHistory = Request(10) with { Position = new(LogId.Main, new(9, 9), new(10)) };
        Assert.Equal(Request(10).Chain, (await _source.OpenAsync(otherHistory, Stop)).Chain);
        Assert.Equal(default, (await _source.OpenAsync(otherHistory with { Position = otherHistory.Position with { Revision = new(99) } }, Stop)).Chain);
    }

    [Fact]
    public async Task A_child_hears_the_sources_way_to_the_hub_once_and_again_when_it_changes_and_is_refused_where_it_is_on_it()
    {
        NodeId[] above = [NodeId.Parse("us-0"), NodeId.Parse("hub-1")];
        using var source = new LogSource(NodeId.Parse("eu-1"), _hub.Store, new HubLogClock(_hub.Store, () => true, _time), new(), _time, () => above);
        var opened = await source.OpenAsync(Request(10), Stop);
        Assert.Equal("eu-1 us-0 hub-1", string.Join(' ', opened.Path));
        Assert.Equal(OpenPullStatus.Cycle, (await source.OpenAsync(Request(10, "us-0"), Stop)).Status);

        ValueTask<LogPage> Page(long number) => source.NextAsync(new(opened.Session, number, default, 1, TimeSpan.Zero), Stop);

        Assert.Null((await Page(0)).Path);
        above = [NodeId.Parse("us-0"), NodeId.Parse("hub-1")];
        Assert.Null((await Page(1)).Path);
        above = [NodeId.Parse("hub-2")];
        Assert.Equal("eu-1 hub-2", string.Join(' ', (await Page(2)).Path!));
        Assert.Null((await Page(3)).Path);
        above = [];
        Assert.Equal("eu-1", string.Join(' ', (await Page(4)).Path!));
        var described = source.Describe();
        Assert.Equal((NodeId.Parse("eu-1"), _hub.Store.Progress.Position, 1), (described.Node, described.Position, described.Path.Length));
    }

    [Fact]
    public async Task A_child_that_stands_where_the_log_was_cut_goes_on_and_one_before_it_is_too_old()
    {
        _hub.Store.CutLog(new(11), Stop);
        var stood = new StoreProgress { Cluster = _hub.Store.Progress.Cluster, Position = _hub.Store.Progress.Position with { Revision = new(9) } };
        Assert.Equal(OpenPullStatus.TooOld, await Open(new(NodeId.Parse("eu-0"), RegionName.Parse("eu"), "eu:1", stood.Cluster, stood.Position, default)));
        Assert.Equal(OpenPullStatus.Diverged, await Open(Request(10) with { Chain = default }));
        var session = await Session(10);
        Assert.Equal(new Revision(11), (await Next(session, 0)).From);
        Assert.Equal(OpenPullStatus.TooOld, await Open(Empty()));

        // The log is cut past a session's cursor while it is open: said, and never skipped.
        session = await Session(12);
        _hub.Store.CutLog(new(15), Stop);
        var page = await Next(session, 0);
        Assert.Equal((PageStatus.TooOld, new Revision(15)), (page.Status, page.Oldest));
    }

    [Fact]
    public async Task A_source_without_data_is_not_available()
    {
        using var empty = new ReplicaStore(_directory.Sub("empty"), "us-0");
        using var source = Source(empty.Store);
        Assert.Equal(OpenPullStatus.Unavailable, (await source.OpenAsync(Empty(), Stop)).Status);
    }

    [Fact]
    public async Task Pages_of_a_session_follow_each_other_without_gap_within_their_budget()
    {
        var session = await Session(3);
        var from = new Revision(4);
        var records = new List<byte[]>();
        for (var number = 0; from <= new Revision(20); number++)
        {
            var page = await Next(session, number, bytes: 400);
            Assert.Equal((PageStatus.Ok, from), (page.Status, page.From));
            Assert.InRange(page.Records.Length, 1, 500);
            records.AddRange(Pages.Unpack(page.Records));
            from = page.To;
        }

        Assert.Equal(_hub.Records().Skip(3), records);
    }

    [Fact]
    public async Task A_page_has_one_record_at_least_however_small_its_budget()
    {
        var session = await Session(0);
        Assert.Equal((new Revision(1), new Revision(2)), await Bounds(session, 0, 1));
        Assert.Equal((new Revision(2), new Revision(3)), await Bounds(session, 1, -5));

        async Task<(Revision, Revision)> Bounds(long of, long number, int bytes)
        {
            var page = await Next(of, number, bytes);
            return (page.From, page.To);
        }
    }

    [Fact]
    public async Task Requests_that_arrive_out_of_order_are_answered_in_order()
    {
        var session = await Session(0);
        var late = new[] { 3L, 1L, 2L }.Select(number => (Number: number, Page: Next(session, number, bytes: 1))).ToList();
        Assert.All(late, request => Assert.False(request.Page.IsCompleted));
        var first = await Next(session, 0, bytes: 1);
        Assert.Equal(new Revision(1), first.From);
        foreach (var (number, page) in late)
        {
            Assert.Equal((PageStatus.Ok, new Revision(1 + number)), ((await page).Status, (await page).From));
        }
    }

    [Fact]
    public async Task A_number_that_was_answered_or_is_asked_twice_or_is_far_ahead_loses_the_session()
    {
        var session = await Session(0);
        await Next(session, 0);
        Assert.Equal(PageStatus.SessionLost, (await Next(session, 0)).Status);
        Assert.Equal(PageStatus.SessionLost, (await Next(session, 1_000)).Status);
        var early = Next(session, 2);
        Assert.Equal(PageStatus.SessionLost, (await Next(session, 2)).Status);
        Assert.Equal(PageStatus.SessionLost, (await Next(session + 1, 0)).Status);
        Assert.False(early.IsCompleted);
    }

    [Fact]
    public async Task A_request_whose_predecessor_never_comes_ends_the_session()
    {
        var session = await Session(0);
        var early = Next(session, 1);
        _time.Advance(TimeSpan.FromSeconds(4));
        Assert.Equal(PageStatus.SessionLost, (await early).Status);
        Assert.Equal(PageStatus.SessionLost, (await Next(session, 0)).Status);
    }

    [Fact]
    public async Task A_request_that_was_cancelled_in_its_turn_ends_the_session_for_those_behind_it()
    {
        var session = await Session(20);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var first = _source.NextAsync(new(session, 0, default, 1_000, TimeSpan.FromSeconds(3)), patience.Token).AsTask();
        var second = Next(session, 1);
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        Assert.Equal(PageStatus.SessionLost, (await second).Status);
    }

    [Fact]
    public async Task At_the_end_of_the_log_a_request_waits_for_the_next_record()
    {
        var session = await Session(20);
        var waiting = Next(session, 0);
        Assert.False(waiting.IsCompleted);
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "new", "1"));
        var page = await waiting;
        Assert.Equal((new Revision(21), new Revision(22)), (page.From, page.To));
    }

    [Fact]
    public async Task At_the_end_of_the_log_a_request_is_answered_empty_when_its_wait_or_the_longest_wait_is_over()
    {
        var session = await Session(20);
        var brief = Next(session, 0, waitSeconds: 1);
        _time.Advance(TimeSpan.FromSeconds(1));
        var page = await brief;
        Assert.Equal((PageStatus.Ok, new Revision(21), new Revision(21), 0), (page.Status, page.From, page.To, page.Records.Length));

        var patient = Next(session, 1, waitSeconds: 1_000);
        _time.Advance(TimeSpan.FromSeconds(2.9));
        Assert.False(patient.IsCompleted);
        _time.Advance(TimeSpan.FromSeconds(0.1));
        Assert.Equal(new Revision(21), (await patient).To);
    }

    [Fact]
    public async Task A_request_that_waited_for_its_turn_does_not_wait_as_long_again_for_a_record()
    {
        var session = await Session(20);
        var requests = new[] { Next(session, 0), Next(session, 1), Next(session, 2) };
        _time.Advance(TimeSpan.FromSeconds(3));
        foreach (var page in await Task.WhenAll(requests).WaitAsync(Eventually.Deadline, Stop))
        {
            Assert.Equal((PageStatus.Ok, new Revision(21), new Revision(21)), (page.Status, page.From, page.To));
        }
    }

    [Fact]
    public async Task A_source_that_restarted_answers_no_session_of_its_last_life()
    {
        var old = await Session(20);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        using var restarted = Source(_hub.Store);
        var session = (await restarted.OpenAsync(Request(10, "eu-1"), Stop)).Session;
        Assert.NotEqual(old, session);
        Assert.Equal(PageStatus.SessionLost, (await restarted.NextAsync(new(old, 0, default, 1_000, TimeSpan.Zero), Stop)).Status);
        var page = await restarted.NextAsync(new(session, 0, default, 1_000, TimeSpan.Zero), Stop);
        Assert.Equal((PageStatus.Ok, new Revision(11)), (page.Status, page.From));
    }

    [Fact]
    public async Task A_long_poll_takes_no_place_in_the_room_of_reads()
    {
        var session = await Session(20);
        var waiting = Next(session, 0);
        Assert.Equal((1, 0), (_hub.Store.Polls.Inside, _hub.Store.Waiters.Inside));
        _time.Advance(TimeSpan.FromSeconds(3));
        await waiting;
    }

    [Fact]
    public async Task A_stop_ends_long_polls()
    {
        var session = await Session(20);
        var waiting = Next(session, 0);
        _source.Stop();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
    }

    [Fact]
    public async Task A_child_that_opens_again_ends_its_older_session_and_no_other()
    {
        var old = await Session(0);
        var other = (await _source.OpenAsync(Request(5, "eu-1"), Stop)).Session;
        var current = await Session(10);
        Assert.Equal(PageStatus.SessionLost, (await Next(old, 0)).Status);
        Assert.Equal(new Revision(11), (await Next(current, 0)).From);
        Assert.Equal(new Revision(6), (await Next(other, 0)).From);
        Assert.Equal(["eu-0", "eu-1"], _source.Children.Select(child => child.Node.Value).Order());
    }

    [Fact]
    public async Task Children_are_bounded_and_those_that_fell_silent_make_room()
    {
        using var source = Source(_hub.Store, new() { MaxChildren = 2 });
        Assert.Equal(OpenPullStatus.Open, (await source.OpenAsync(Empty("a"), Stop)).Status);
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(OpenPullStatus.Open, (await source.OpenAsync(Empty("b"), Stop)).Status);
        Assert.Equal(OpenPullStatus.Unavailable, (await source.OpenAsync(Empty("c"), Stop)).Status);
        Assert.Equal(OpenPullStatus.Open, (await source.OpenAsync(Empty("a"), Stop)).Status);
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(OpenPullStatus.Unavailable, (await source.OpenAsync(Empty("c"), Stop)).Status);
        _time.Advance(TimeSpan.FromSeconds(6));
        Assert.Equal(OpenPullStatus.Open, (await source.OpenAsync(Empty("c"), Stop)).Status);
        Assert.Equal(["c"], source.Children.Select(child => child.Node.Value));
    }

    public void Dispose()
    {
        _source.Dispose();
        _hub.Dispose();
        _directory.Dispose();
    }
}
