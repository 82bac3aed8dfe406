using CsCheck;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: pages are applied in order and only right after the applied position, whatever arrives when. Method: the state machine
/// alone; a table of every event in every state, then random sequences of events.
/// </summary>
public sealed class ProgressTests
{
    private static readonly ClusterUuid Cluster = new(1, 2);
    private static readonly HistoryId History = new(3, 4);
    private static readonly PullOptions Options = new();

    private readonly Progress _progress = new(Options, new Random(1));
    private readonly List<ProgressEffect> _effects = [];

    public ProgressTests() => _progress.Reset(At(10));

    private static StoreProgress At(long revision) => new()
    {
        Cluster = Cluster, Position = new(LogId.Main, History, new(revision)), Chain = new(5, 6),
    };

    private static OpenPullAnswer Answer(OpenPullStatus status) =>
        new(status, 99, Cluster, new(LogId.Main, History, new(100)), new(1), new(1_000), [NodeId.Parse("hub-0")], new(5, 6));

    private static LogPage Page(long from, long to, PageStatus status = PageStatus.Ok, ClusterUuid? cluster = null, HistoryId? history = null) => new(
        status, cluster ?? Cluster, new(LogId.Main, history ?? History, new(100)), new(1), new(1_000), TimeSpan.Zero, new(from), new(to), default);

    private long Attempt { get; set; }

    /// <summary>One event; the effects in short.</summary>
    private string Step(ProgressEvent happened)
    {
        _effects.Clear();
        _progress.Step(happened, _effects);
        foreach (var effect in _effects)
        {
            Attempt = effect switch
            {
                ProgressEffect.Open open => open.Attempt,
                ProgressEffect.Wait wait => wait.Attempt,
                ProgressEffect.Next next => next.Attempt,
                ProgressEffect.Bootstrap bootstrap => bootstrap.Attempt,
                _ => Attempt,
            };
        }

        return string.Join(' ', _effects.Select(effect => effect.GetType().Name));
    }

    private void Reach(ProgressState state)
    {
        ProgressEvent[] way = state switch
        {
            ProgressState.Disconnected => [],
            ProgressState.Probing => [new ProgressEvent.LinkUp()],
            ProgressState.Waiting => [new ProgressEvent.LinkUp(), new ProgressEvent.CallFailed(1)],
            ProgressState.Pulling => [new ProgressEvent.LinkUp(), new ProgressEvent.Opened(1, Answer(OpenPullStatus.Open))],
            ProgressState.Bootstrapping => [new ProgressEvent.LinkUp(), new ProgressEvent.Opened(1, Answer(OpenPullStatus.TooOld))],
            _ => [new ProgressEvent.LinkUp(), new ProgressEvent.Opened(1, Answer(OpenPullStatus.OtherCluster))],
        };
        Array.ForEach(way, happened => Step(happened));
        Assert.Equal(state, _progress.State);
    }

    private ProgressEvent Event(string name)
    {
        var late = name.StartsWith("late ", StringComparison.Ordinal);
        var attempt = late ? Attempt - 1 : Attempt;
        return (late ? name[5..] : name) switch
        {
            "link up" => new ProgressEvent.LinkUp(),
            "link lost" => new ProgressEvent.LinkLost(),
            "wait over" => new ProgressEvent.WaitOver(attempt),
            "call failed" => new ProgressEvent.CallFailed(attempt),
            "open" => new ProgressEvent.Opened(attempt, Answer(OpenPullStatus.Open)),
            "open: too old" => new ProgressEvent.Opened(attempt, Answer(OpenPullStatus.TooOld)),
            "open: behind" => new ProgressEvent.Opened(attempt, Answer(OpenPullStatus.SourceBehind)),
            "open: diverged" => new ProgressEvent.Opened(attempt, Answer(OpenPullStatus.Diverged)),
            "open: other cluster" => new ProgressEvent.Opened(attempt, Answer(OpenPullStatus.OtherCluster)),
            "open: cycle" => new ProgressEvent.Opened(attempt, Answer(OpenPullStatus.Cycle)),
            "open: self" => new ProgressEvent.Opened(attempt, Answer(OpenPullStatus.Self)),
            "open: unavailable" => new ProgressEvent.Opened(attempt, Answer(OpenPullStatus.Unavailable)),
            "open: unspecified" => new ProgressEvent.Opened(attempt, Answer(OpenPullStatus.Unspecified)),
            "page" => new ProgressEvent.PageArrived(attempt, 0, Page(11, 15)),
            "empty page" => new ProgressEvent.PageArrived(attempt, 0, Page(11, 11)),
            "second page" => new ProgressEvent.PageArrived(attempt, 1, Page(15, 20)),
            "gap" => new ProgressEvent.PageArrived(attempt, 0, Page(12, 15)),
            "repeat" => new ProgressEvent.PageArrived(attempt, 0, Page(10, 15)),
            "backward page" => new ProgressEvent.PageArrived(attempt, 0, Page(11, 9)),
            "page: session lost" => new ProgressEvent.PageArrived(attempt, 0, Page(0, 0, PageStatus.SessionLost)),
            "page: damaged" => new ProgressEvent.PageArrived(attempt, 0, Page(11, 11, PageStatus.SourceDamaged)),
            "page: unspecified" => new ProgressEvent.PageArrived(attempt, 0, Page(11, 15, PageStatus.Unspecified)),
            "page: too old" => new ProgressEvent.PageArrived(attempt, 0, Page(11, 11, PageStatus.TooOld)),
            "page: other cluster" => new ProgressEvent.PageArrived(attempt, 0, Page(11, 15, cluster: new(9, 9))),
            "page: other history" => new ProgressEvent.PageArrived(attempt, 0, Page(11, 15, history: new(9, 9))),
            "refused" => new ProgressEvent.Refused("why"),
            "apply failed" => new ProgressEvent.ApplyFailed("why"),
            "snapshot" => new ProgressEvent.SnapshotReceived(attempt),
            "installed" => new ProgressEvent.Installed(At(50)),
            "bootstrap failed" => new ProgressEvent.BootstrapFailed(attempt, "why"),
            _ => throw new ArgumentException(name, nameof(name)),
        };
    }

    [Theory]
    [InlineData(ProgressState.Disconnected, "link up", ProgressState.Probing, "Open")]
    [InlineData(ProgressState.Disconnected, "link lost", ProgressState.Disconnected, "")]
    [InlineData(ProgressState.Disconnected, "wait over", ProgressState.Disconnected, "")]
    [InlineData(ProgressState.Disconnected, "call failed", ProgressState.Disconnected, "")]
    [InlineData(ProgressState.Disconnected, "open", ProgressState.Disconnected, "")]
    [InlineData(ProgressState.Disconnected, "open: too old", ProgressState.Disconnected, "")]
    [InlineData(ProgressState.Disconnected, "page", ProgressState.Disconnected, "")]
    [InlineData(ProgressState.Disconnected, "apply failed", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Probing, "link up", ProgressState.Probing, "Open")]
    [InlineData(ProgressState.Probing, "link lost", ProgressState.Disconnected, "")]
    [InlineData(ProgressState.Probing, "wait over", ProgressState.Probing, "")]
    [InlineData(ProgressState.Probing, "call failed", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Probing, "late call failed", ProgressState.Probing, "")]
    [InlineData(ProgressState.Probing, "open", ProgressState.Pulling, "Next Next")]
    [InlineData(ProgressState.Probing, "late open", ProgressState.Probing, "")]
    [InlineData(ProgressState.Probing, "open: too old", ProgressState.Bootstrapping, "Bootstrap")]
    [InlineData(ProgressState.Probing, "late open: too old", ProgressState.Probing, "")]
    [InlineData(ProgressState.Probing, "open: behind", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Probing, "open: diverged", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Probing, "open: other cluster", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Probing, "open: self", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Probing, "open: cycle", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Probing, "open: unavailable", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Probing, "open: unspecified", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Probing, "page", ProgressState.Probing, "")]
    [InlineData(ProgressState.Probing, "apply failed", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Waiting, "link up", ProgressState.Probing, "Open")]
    [InlineData(ProgressState.Waiting, "link lost", ProgressState.Disconnected, "")]
    [InlineData(ProgressState.Waiting, "wait over", ProgressState.Probing, "Open")]
    [InlineData(ProgressState.Waiting, "late wait over", ProgressState.Waiting, "")]
    [InlineData(ProgressState.Waiting, "call failed", ProgressState.Waiting, "")]
    [InlineData(ProgressState.Waiting, "open", ProgressState.Waiting, "")]
    [InlineData(ProgressState.Waiting, "late open: diverged", ProgressState.Waiting, "")]
    [InlineData(ProgressState.Waiting, "page", ProgressState.Waiting, "")]
    [InlineData(ProgressState.Waiting, "apply failed", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Pulling, "link up", ProgressState.Probing, "Open")]
    [InlineData(ProgressState.Pulling, "link lost", ProgressState.Disconnected, "")]
    [InlineData(ProgressState.Pulling, "wait over", ProgressState.Pulling, "")]
    [InlineData(ProgressState.Pulling, "call failed", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Pulling, "late call failed", ProgressState.Pulling, "")]
    [InlineData(ProgressState.Pulling, "open", ProgressState.Pulling, "")]
    [InlineData(ProgressState.Pulling, "open: diverged", ProgressState.Pulling, "")]
    [InlineData(ProgressState.Pulling, "page", ProgressState.Pulling, "Next Apply")]
    [InlineData(ProgressState.Pulling, "late page", ProgressState.Pulling, "")]
    [InlineData(ProgressState.Pulling, "empty page", ProgressState.Pulling, "Next Level")]
    [InlineData(ProgressState.Pulling, "second page", ProgressState.Pulling, "")]
    [InlineData(ProgressState.Pulling, "gap", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Pulling, "late gap", ProgressState.Pulling, "")]
    [InlineData(ProgressState.Pulling, "repeat", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Pulling, "backward page", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Pulling, "page: session lost", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Pulling, "page: damaged", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Pulling, "page: unspecified", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Pulling, "page: too old", ProgressState.Bootstrapping, "Bootstrap")]
    [InlineData(ProgressState.Pulling, "page: other cluster", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Pulling, "page: other history", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Pulling, "refused", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Pulling, "apply failed", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Probing, "snapshot", ProgressState.Probing, "")]
    [InlineData(ProgressState.Probing, "bootstrap failed", ProgressState.Probing, "")]
    [InlineData(ProgressState.Waiting, "snapshot", ProgressState.Waiting, "")]
    [InlineData(ProgressState.Pulling, "snapshot", ProgressState.Pulling, "")]
    [InlineData(ProgressState.Bootstrapping, "link up", ProgressState.Probing, "Open")]
    [InlineData(ProgressState.Bootstrapping, "link lost", ProgressState.Disconnected, "")]
    [InlineData(ProgressState.Bootstrapping, "wait over", ProgressState.Bootstrapping, "")]
    [InlineData(ProgressState.Bootstrapping, "call failed", ProgressState.Bootstrapping, "")]
    [InlineData(ProgressState.Bootstrapping, "open", ProgressState.Bootstrapping, "")]
    [InlineData(ProgressState.Bootstrapping, "page", ProgressState.Bootstrapping, "")]
    [InlineData(ProgressState.Bootstrapping, "snapshot", ProgressState.Bootstrapping, "Install")]
    [InlineData(ProgressState.Bootstrapping, "late snapshot", ProgressState.Bootstrapping, "")]
    [InlineData(ProgressState.Bootstrapping, "installed", ProgressState.Probing, "Open")]
    [InlineData(ProgressState.Bootstrapping, "bootstrap failed", ProgressState.Waiting, "Wait")]
    [InlineData(ProgressState.Bootstrapping, "late bootstrap failed", ProgressState.Bootstrapping, "")]
    [InlineData(ProgressState.Bootstrapping, "apply failed", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Stopped, "link up", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Stopped, "link lost", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Stopped, "wait over", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Stopped, "call failed", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Stopped, "open", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Stopped, "page", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Stopped, "refused", ProgressState.Stopped, "")]
    [InlineData(ProgressState.Stopped, "apply failed", ProgressState.Stopped, "")]
    public void Every_event_in_every_state_leads_where_the_table_says(ProgressState before, string happened, ProgressState after, string effects)
    {
        Reach(before);
        Assert.Equal(effects, Step(Event(happened)));
        Assert.Equal(after, _progress.State);
    }

    [Theory]
    [InlineData("open: diverged", StopReason.Diverged)]
    [InlineData("open: other cluster", StopReason.OtherCluster)]
    [InlineData("open: self", StopReason.Self)]
    [InlineData("page: other cluster", StopReason.OtherCluster)]
    [InlineData("apply failed", StopReason.StorageFailed)]
    public void What_no_retry_can_mend_stops_with_its_reason_and_stays_so(string happened, StopReason reason)
    {
        Reach(happened.StartsWith("open", StringComparison.Ordinal) ? ProgressState.Probing : ProgressState.Pulling);
        Step(Event(happened));
        Assert.Equal((ProgressState.Stopped, reason), (_progress.State, _progress.StopReason));
        var trouble = _progress.Trouble;
        Assert.NotNull(trouble);
        foreach (var later in new[] { "link lost", "link up", "wait over", "open", "page", "open: self" })
        {
            Assert.Equal("", Step(Event(later)));
        }

        Step(new ProgressEvent.Applied(At(11).Position, default));
        Assert.Equal((ProgressState.Stopped, reason, trouble), (_progress.State, _progress.StopReason, _progress.Trouble));
    }

    [Fact]
    public void A_session_asks_from_its_own_position_and_keeps_its_window_of_requests_open()
    {
        Step(new ProgressEvent.LinkUp());
        var open = Assert.IsType<ProgressEffect.Open>(_effects[0]);
        Assert.Equal((Cluster, At(10).Position, new ChainHash(5, 6)), (open.Cluster, open.Position, open.Chain));

        Step(new ProgressEvent.Opened(open.Attempt, Answer(OpenPullStatus.Open)));
        Assert.Equal(
            [new NextPageRequest(99, 0, new(10), Options.PageBytes, Options.MaxWait), new NextPageRequest(99, 1, new(10), Options.PageBytes, Options.MaxWait)],
            _effects.Cast<ProgressEffect.Next>().Select(next => next.Request));

        Step(Event("page"));
        Assert.Equal(2, Assert.IsType<ProgressEffect.Next>(_effects[0]).Request.Number);
        Step(new ProgressEvent.Applied(At(14).Position, new(7, 7)));
        Step(new ProgressEvent.PageArrived(Attempt, 1, Page(15, 15)));
        Assert.Equal((3L, new Revision(14)), (Assert.IsType<ProgressEffect.Next>(_effects[0]).Request.Number, ((ProgressEffect.Next)_effects[0]).Request.Applied));
    }

    [Fact]
    public void After_a_loss_it_resumes_from_what_was_applied_last()
    {
        Reach(ProgressState.Pulling);
        Step(Event("page"));
        Step(new ProgressEvent.Applied(At(14).Position, new(7, 7)));
        Step(new ProgressEvent.LinkLost());
        Step(new ProgressEvent.LinkUp());
        var open = Assert.IsType<ProgressEffect.Open>(_effects[0]);
        Assert.Equal((At(14).Position, new ChainHash(7, 7)), (open.Position, open.Chain));
    }

    [Fact]
    public void Pages_that_arrive_out_of_order_are_applied_in_order()
    {
        Reach(ProgressState.Pulling);
        Assert.Equal("", Step(new ProgressEvent.PageArrived(Attempt, 1, Page(15, 20))));
        Assert.Equal("Next Apply", Step(new ProgressEvent.PageArrived(Attempt, 0, Page(11, 15))));
        Assert.Equal(new Revision(11), Assert.IsType<ProgressEffect.Apply>(_effects[1]).Page.From);
        Assert.Equal("Next Apply", Step(new ProgressEvent.Applied(At(14).Position, new(7, 7))));
        Assert.Equal(new Revision(15), Assert.IsType<ProgressEffect.Apply>(_effects[1]).Page.From);
        Assert.Equal("", Step(new ProgressEvent.Applied(At(19).Position, new(7, 8))));
        Assert.Equal(ProgressState.Pulling, _progress.State);
    }

    [Fact]
    public void A_page_of_an_earlier_session_is_ignored_in_the_next_one()
    {
        Reach(ProgressState.Pulling);
        var old = Attempt;
        Step(new ProgressEvent.LinkLost());
        Step(new ProgressEvent.LinkUp());
        Step(new ProgressEvent.Opened(Attempt, Answer(OpenPullStatus.Open)));
        Assert.NotEqual(old, Attempt);
        Assert.Equal("", Step(new ProgressEvent.PageArrived(old, 0, Page(11, 15))));
        Assert.Equal("", Step(new ProgressEvent.PageArrived(old, 0, Page(11, 15, PageStatus.TooOld))));
        Assert.Equal(ProgressState.Pulling, _progress.State);
        Assert.Equal("Next Apply", Step(new ProgressEvent.PageArrived(Attempt, 0, Page(11, 12))));
    }

    [Fact]
    public void An_empty_replica_takes_cluster_and_history_from_its_source()
    {
        var progress = new Progress(Options, new Random(1));
        progress.Reset(StoreProgress.Empty);
        progress.Step(new ProgressEvent.LinkUp(), _effects);
        Assert.Equal(default, Assert.IsType<ProgressEffect.Open>(_effects[0]).Cluster);
        _effects.Clear();
        progress.Step(new ProgressEvent.Opened(1, Answer(OpenPullStatus.Open)), _effects);
        progress.Step(new ProgressEvent.PageArrived(1, 0, Page(1, 3)), _effects);
        Assert.Equal(new Revision(1), Assert.IsType<ProgressEffect.Apply>(_effects[^1]).Page.From);
    }

    [Fact]
    public void An_empty_replica_takes_a_copy_where_the_log_is_long_and_reads_the_log_where_it_is_short()
    {
        var progress = new Progress(Options with { MaxRecordsToBegin = 99 }, new Random(1));
        progress.Reset(StoreProgress.Empty);
        progress.Step(new ProgressEvent.LinkUp(), _effects);
        _effects.Clear();
        progress.Step(new ProgressEvent.Opened(1, Answer(OpenPullStatus.Open)), _effects);
        Assert.IsType<ProgressEffect.Bootstrap>(Assert.Single(_effects));

        // One that has something goes on with the log, however long it is.
        progress.Reset(At(1));
        progress.Step(new ProgressEvent.LinkUp(), _effects);
        _effects.Clear();
        progress.Step(new ProgressEvent.Opened(3, Answer(OpenPullStatus.Open)), _effects);
        Assert.Equal(ProgressState.Pulling, progress.State);
    }

    [Fact]
    public void After_a_copy_it_goes_on_from_the_revision_of_the_copy()
    {
        Reach(ProgressState.Bootstrapping);
        Step(Event("snapshot"));
        Step(Event("installed"));
        var open = Assert.IsType<ProgressEffect.Open>(_effects[0]);
        Assert.Equal(At(50).Position, open.Position);
        Assert.Equal(1, _progress.Bootstraps);
    }

    [Fact]
    public void An_empty_replica_whose_first_source_gave_nothing_may_take_another_cluster_from_the_next_one()
    {
        // Nothing was applied, so nothing binds it to the first: a wrong upstream that is corrected must not need a restart.
        var progress = new Progress(Options, new Random(1));
        progress.Reset(StoreProgress.Empty);
        progress.Step(new ProgressEvent.LinkUp(), _effects);
        progress.Step(new ProgressEvent.Opened(1, Answer(OpenPullStatus.Open) with { Cluster = new(9, 9) }), _effects);
        progress.Step(new ProgressEvent.LinkLost(), _effects);
        _effects.Clear();
        progress.Step(new ProgressEvent.LinkUp(), _effects);
        Assert.Equal(default, Assert.IsType<ProgressEffect.Open>(_effects[0]).Cluster);
    }

    [Fact]
    public void The_wait_grows_with_each_failure_up_to_its_limit_and_starts_again_after_a_success()
    {
        Step(new ProgressEvent.LinkUp());
        TimeSpan Fail()
        {
            Step(new ProgressEvent.CallFailed(Attempt));
            var wait = Assert.IsType<ProgressEffect.Wait>(_effects[0]).Duration;
            Step(new ProgressEvent.WaitOver(Attempt));
            return wait;
        }

        for (var failure = 0; failure < 2_000; failure++)
        {
            var limit = Math.Min(Options.MaxBackoff.TotalMilliseconds, Options.MinBackoff.TotalMilliseconds * Math.Pow(2, Math.Min(failure, 30)));
            Assert.InRange(Fail().TotalMilliseconds, limit / 2, limit);
        }

        Step(new ProgressEvent.Opened(Attempt, Answer(OpenPullStatus.Open)));
        Assert.InRange(Fail().TotalMilliseconds, Options.MaxBackoff.TotalMilliseconds / 2, Options.MaxBackoff.TotalMilliseconds);
        Step(new ProgressEvent.Opened(Attempt, Answer(OpenPullStatus.Open)));
        Step(Event("empty page"));
        Assert.InRange(Fail().TotalMilliseconds, Options.MinBackoff.TotalMilliseconds / 2, Options.MinBackoff.TotalMilliseconds);
    }

    [Fact]
    public void Random_events_never_apply_a_page_that_does_not_follow_the_applied_position()
    {
        long applies = 0;
        Gen.Select(Gen.Int[0, 15], Gen.Int[0, 3], Gen.Int[0, 3], Gen.Int[-1, 2], Gen.Int[0, 4], Gen.Int[0, 30]).Array[0, 80].Sample(
            steps =>
            {
                var progress = new Progress(new() { Window = 3 }, new Random(1));
                progress.Reset(At(10));
                var position = 10L;
                var (attempt, number, nextFrom) = (0L, 0L, 11L);
                var effects = new List<ProgressEffect>();
                foreach (var (what, lag, ahead, shift, length, rare) in steps)
                {
                    var of = attempt - (lag == 0 ? 1 : 0);
                    ProgressEvent happened = what switch
                    {
                        0 => new ProgressEvent.LinkUp(),
                        1 when rare == 0 => new ProgressEvent.LinkLost(),
                        2 => new ProgressEvent.WaitOver(of),
                        3 when rare < 5 => new ProgressEvent.CallFailed(of),
                        4 or 5 => new ProgressEvent.Opened(of, Answer(rare == 1 ? (OpenPullStatus)length : OpenPullStatus.Open)),
                        _ => new ProgressEvent.PageArrived(
                            of, number + (ahead == 3 ? 1 : 0), Page(position + 1 + (rare < 6 ? shift : 0), position + 1 + length, rare == 0 ? (PageStatus)lag : PageStatus.Ok)),
                    };
                    number = what >= 6 && ahead != 3 ? number + 1 : number;
                    for (ProgressEvent? next = happened; next is not null;)
                    {
                        var before = progress.State;
                        effects.Clear();
                        progress.Step(next, effects);
                        next = null;
                        foreach (var effect in effects)
                        {
                            Assert.NotEqual(ProgressState.Stopped, before);
                            switch (effect)
                            {
                                case ProgressEffect.Open open:
                                    (attempt, number) = (open.Attempt, 0);
                                    Assert.Equal(position, open.Position.Revision.Value);
                                    break;
                                case ProgressEffect.Wait wait:
                                    attempt = wait.Attempt;
                                    break;
                                case ProgressEffect.Apply apply:
                                    Interlocked.Increment(ref applies);
                                    Assert.Null(next);
                                    Assert.Equal(position + 1, apply.Page.From.Value);
                                    Assert.True(apply.Page.To > apply.Page.From);
                                    if (rare == 7)
                                    {
                                        next = new ProgressEvent.Refused("random");
                                        break;
                                    }

                                    position = apply.Page.To.Value - 1;
                                    next = new ProgressEvent.Applied(At(position).Position, new(5, (ulong)position));
                                    break;
                            }
                        }
                    }

                    nextFrom = position + 1;
                }

                Assert.True(nextFrom >= 11);
            },
            iter: 10_000);
        Assert.True(applies > 1_000, $"Only {applies} pages were applied: the sequences are too tame.");
    }
}
