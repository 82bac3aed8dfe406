using CsCheck;
using Microsoft.Extensions.Time.Testing;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: a session never forgets what it has seen and never takes another cluster's word. Method: the session alone, answers as
/// a test makes them, fake time.
/// </summary>
public sealed class SessionTests
{
    private static readonly ClusterUuid Cluster = new(1, 2);
    private static readonly HistoryId History = new(3, 4);

    private readonly FakeTimeProvider _time = new();
    private readonly Session _session;

    public SessionTests() => _session = new(_time);

    private static LogPosition At(long revision, HistoryId? history = null) => new(LogId.Main, history ?? History, new(revision));

    private static AnswerContext Context(long logTime = 1_000, ClusterUuid? cluster = null) => new(cluster ?? Cluster, At(1_000_000), new(logTime), null);

    private LogPosition Position => _session.Require(ReadOptions.Session).AtLeast;

    [Fact]
    public void A_new_session_has_seen_nothing_and_asks_for_nothing()
    {
        Assert.Null(_session.Token);
        Assert.Equal((default, default), (_session.Require(ReadOptions.Session).Cluster, Position));
        Assert.Null(_session.FreshLogTime);
    }

    [Fact]
    public void What_was_seen_only_grows_whatever_the_order_of_the_answers() => Gen.Long[0, 100].Array[1, 30].Sample(revisions =>
    {
        var session = new Session(_time);
        var highest = 0L;
        foreach (var revision in revisions)
        {
            session.Learn(Context(), At(revision));
            highest = Math.Max(highest, revision);
            Assert.Equal(highest, session.Require(ReadOptions.Session).AtLeast.Revision.Value);
            Assert.Equal(highest, session.Token!.Value.Position.Revision.Value);
        }
    });

    [Fact]
    public void It_learns_what_the_caller_saw_and_not_how_far_the_node_is()
    {
        _session.Learn(Context(), At(5));
        Assert.Equal(At(5), Position);
    }

    [Fact]
    public void An_answer_without_a_position_names_the_cluster_and_keeps_the_position()
    {
        _session.Learn(Context(), At(5));
        _session.Learn(Context(), default);
        Assert.Equal(new SessionToken(Cluster, At(5)), _session.Token);
    }

    [Fact]
    public void An_answer_of_another_cluster_or_history_does_not_move_the_position()
    {
        _session.Learn(Context(), At(5));
        _session.Learn(Context(cluster: new(9, 9)), At(50));
        _session.Learn(Context(), At(50, new(9, 9)));
        _session.Learn(Context(cluster: default(ClusterUuid)), At(50));
        Assert.Equal(new SessionToken(Cluster, At(5)), _session.Token);
    }

    [Fact]
    public void An_answer_of_another_cluster_does_not_set_the_time_for_ids()
    {
        _session.Learn(Context(logTime: 1_000), At(5));
        _session.Learn(Context(logTime: 99_000_000, cluster: new(9, 9)), At(5));
        Assert.Equal(new LogTime(1_000), _session.FreshLogTime);
    }

    [Fact]
    public void A_token_is_taken_over_and_grows_from_there()
    {
        _session.Token = new SessionToken(Cluster, At(10));
        Assert.Equal((Cluster, At(10)), (_session.Require(ReadOptions.Session).Cluster, Position));
        _session.Learn(Context(), At(7));
        Assert.Equal(At(10), Position);
        _session.Learn(Context(), At(11));
        Assert.Equal(At(11), Position);
        _session.Token = null;
        Assert.Null(_session.Token);
        Assert.Equal(default, Position);
    }

    [Fact]
    public void A_read_asks_for_the_later_of_the_session_and_its_own_position()
    {
        _session.Learn(Context(), At(10));
        Assert.Equal(At(10), _session.Require(ReadOptions.AtLeast(At(5))).AtLeast);
        Assert.Equal(At(20), _session.Require(ReadOptions.AtLeast(At(20))).AtLeast);
        Assert.Equal(At(10), Position);
        Assert.Equal(At(3, new(9, 9)), _session.Require(ReadOptions.AtLeast(At(3, new(9, 9)))).AtLeast);
        var requirement = _session.Require(new() { Consistency = ReadConsistency.Linearizable, AllowStaleWhenCutOff = true });
        Assert.Equal((ReadConsistency.Linearizable, true, Cluster), (requirement.Consistency, requirement.AllowStaleWhenCutOff, requirement.Cluster));
    }

    [Fact]
    public void Log_time_is_that_of_the_latest_answer_and_fresh_for_half_a_minute()
    {
        // An answer may correct it downwards: the hub's own word, after another node's clock was ahead.
        _session.Learn(Context(logTime: 5_000), At(1));
        _session.Learn(Context(logTime: 4_000), At(1));
        Assert.Equal(new LogTime(4_000), _session.FreshLogTime);
        _time.Advance(TimeSpan.FromSeconds(29.999));
        Assert.Equal(new LogTime(4_000), _session.FreshLogTime);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Null(_session.FreshLogTime);
        _session.Learn(Context(logTime: 5_000), At(1));
        Assert.Equal(new LogTime(5_000), _session.FreshLogTime);
    }

    [Fact]
    public void A_node_that_does_not_know_the_time_teaches_none()
    {
        _session.Learn(Context(logTime: 0), At(1));
        Assert.Null(_session.FreshLogTime);
    }

    [Fact]
    public async Task Many_answers_at_once_leave_the_latest()
    {
        await Task.WhenAll(Enumerable.Range(0, 4).Select(thread => Task.Run(
            () =>
            {
                for (var revision = 1 + thread; revision <= 10_000; revision += 2)
                {
                    _session.Learn(Context(), At(revision));
                    Assert.True(Position.Revision.Value >= revision);
                }
            },
            TestContext.Current.CancellationToken)));
        Assert.Equal(At(10_000), Position);
    }
}
