using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: keyspaces that cannot be added stop nothing else, and damage is healed once, and from a source that has none of it. Method: the state
/// machine alone, event by event.
/// </summary>
public sealed class ProgressCopiesTests
{
    private static readonly ClusterUuid Cluster = new(1, 2);
    private static readonly HistoryId History = new(3, 4);
    private static readonly Subscription Held = Of("a*");
    private static readonly Subscription Wanted = Of("a*", "b");

    private readonly List<ProgressEffect> _effects = [];

    private static Subscription Of(params string[] patterns) =>
        Subscription.TryCreate(patterns, out var subscription, out var problem) ? subscription : throw new ArgumentException(problem);

    private static StoreProgress At(long revision, Subscription subscription) => new()
    {
        Cluster = Cluster, Position = new(LogId.Main, History, new(revision)), Chain = new(5, 6), Subscription = subscription,
    };

    private static Progress Make(Subscription wanted)
    {
        var progress = new Progress(new(), new Random(1), wanted: wanted);
        progress.Reset(At(10, Held));
        return progress;
    }

    private long Attempt { get; set; }

    private string Step(Progress progress, ProgressEvent happened)
    {
        _effects.Clear();
        progress.Step(happened, _effects);
        foreach (var effect in _effects)
        {
            Attempt = effect switch
            {
                ProgressEffect.Open open => open.Attempt,
                ProgressEffect.Wait wait => wait.Attempt,
                ProgressEffect.Next next => next.Attempt,
                ProgressEffect.Bootstrap bootstrap => bootstrap.Attempt,
                ProgressEffect.Install install => install.Attempt,
                _ => Attempt,
            };
        }

        return string.Join(' ', _effects.Select(effect => effect switch
        {
            ProgressEffect.Bootstrap { Adds: true } or ProgressEffect.Install { Adds: true } => $"{effect.GetType().Name}Added",
            _ => effect.GetType().Name,
        }));
    }

    private string Open(Progress progress) => Step(progress, new ProgressEvent.Opened(
        Attempt, new(OpenPullStatus.Open, 99, Cluster, new(LogId.Main, History, new(100)), new(1), new(1_000), [NodeId.Parse("hub-0")], new(5, 6))));

    private string Link(Progress progress, string node, int others = 0) => Step(progress, new ProgressEvent.LinkUp(NodeId.Parse(node), others));

    private static LogPage Page(long from, long to, long source = 100) =>
        new(PageStatus.Ok, Cluster, new(LogId.Main, History, new(source)), new(1), new(1_000), TimeSpan.Zero, new(from), new(to), default);

    [Fact]
    public void What_is_held_is_pulled_on_where_no_copy_of_the_rest_comes()
    {
        var progress = Make(Wanted);
        Assert.Equal("Open", Link(progress, "hub-0"));
        Assert.Equal("BootstrapAdded", Open(progress));
        Assert.Equal("AddLater Open", Step(progress, new ProgressEvent.BootstrapFailed(Attempt, "NotHeld")));
        Assert.InRange(((ProgressEffect.AddLater)_effects[0]).Duration, TimeSpan.FromSeconds(0.5), TimeSpan.FromSeconds(1));
        Assert.Equal("Next Next", Open(progress));
        Assert.Equal("Next Apply", Step(progress, new ProgressEvent.PageArrived(Attempt, 0, Page(11, 12))));
        Step(progress, new ProgressEvent.Applied(new(LogId.Main, History, new(11)), new(7, 7)));
        Assert.Equal(ProgressState.Pulling, progress.State);
        Assert.Contains("NotHeld", progress.Trouble, StringComparison.Ordinal);

        // Its time has come, and this time there is one.
        Assert.Equal("Open", Step(progress, new ProgressEvent.AddDue()));
        Assert.Equal("BootstrapAdded", Open(progress));
        Assert.Equal("InstallAdded", Step(progress, new ProgressEvent.SnapshotReceived(Attempt, new(11))));
        Assert.Equal("Open", Step(progress, new ProgressEvent.Installed(At(11, Wanted))));
        Assert.Equal("Next Next", Open(progress));
        Assert.Equal("Next Level", Step(progress, new ProgressEvent.PageArrived(Attempt, 0, Page(12, 12))));
        Assert.Null(progress.Trouble);
        Assert.Equal("", Step(progress, new ProgressEvent.AddDue()));
    }

    [Fact]
    public void A_source_that_gives_no_copy_of_the_rest_is_left_for_another_and_that_one_is_asked_at_once()
    {
        var progress = Make(Wanted);
        Link(progress, "hub-0", others: 1);
        for (var i = 0; i < 2; i++)
        {
            Assert.Equal("BootstrapAdded", Open(progress));
            Assert.Equal("AddLater Open", Step(progress, new ProgressEvent.BootstrapFailed(Attempt, "NotHeld")));
            Assert.Equal("Next Next", Open(progress));
            Assert.Equal("Open", Step(progress, new ProgressEvent.AddDue()));
        }

        Assert.Equal("BootstrapAdded", Open(progress));
        Assert.Equal("LeaveSource", Step(progress, new ProgressEvent.BootstrapFailed(Attempt, "NotHeld")));
        Step(progress, new ProgressEvent.LinkLost());
        Link(progress, "hub-1", others: 1);
        Assert.Equal("BootstrapAdded", Open(progress));
    }

    [Fact]
    public void Damage_that_is_found_while_keyspaces_are_added_is_healed_all_the_same()
    {
        var progress = Make(Wanted);
        Link(progress, "hub-0");
        Assert.Equal("BootstrapAdded", Open(progress));
        Assert.Equal("", Step(progress, new ProgressEvent.Damaged("a row")));
        Assert.Equal("Bootstrap", Step(progress, new ProgressEvent.SnapshotReceived(Attempt, new(10))));
        Assert.Equal("Install", Step(progress, new ProgressEvent.SnapshotReceived(Attempt, new(20))));
        Step(progress, new ProgressEvent.Installed(At(20, Wanted)));
        Assert.Equal("Next Next", Open(progress));
    }

    [Fact]
    public void Damage_that_is_found_while_added_keyspaces_are_put_in_place_is_healed_after_it()
    {
        var progress = Make(Wanted);
        Link(progress, "hub-0");
        Open(progress);
        Assert.Equal("InstallAdded", Step(progress, new ProgressEvent.SnapshotReceived(Attempt, new(10))));
        Step(progress, new ProgressEvent.Damaged("a row"));
        Step(progress, new ProgressEvent.Installed(At(10, Wanted)));
        Assert.Equal("Bootstrap", Open(progress));
    }

    [Fact]
    public void A_source_whose_copy_is_damaged_as_well_is_left_for_another_and_with_no_other_asked_again()
    {
        var progress = Make(Held);
        Link(progress, "hub-0", others: 1);
        Open(progress);
        Assert.Equal("Bootstrap", Step(progress, new ProgressEvent.Damaged("a row")));
        Step(progress, new ProgressEvent.SnapshotReceived(Attempt, new(20)));
        Step(progress, new ProgressEvent.Installed(At(20, Held)));
        Open(progress);
        Assert.Equal("LeaveSource", Step(progress, new ProgressEvent.Damaged("a row", Again: true)));
        Assert.Equal(SourceFault.Damaged, ((ProgressEffect.LeaveSource)_effects[0]).Fault);
        Step(progress, new ProgressEvent.LinkLost());
        Link(progress, "hub-1", others: 1);
        Assert.Equal("Bootstrap", Open(progress));
        Step(progress, new ProgressEvent.SnapshotReceived(Attempt, new(30)));
        Step(progress, new ProgressEvent.Installed(At(30, Held)));

        // The only one now.
        Link(progress, "hub-1", others: 0);
        Open(progress);
        Assert.Equal("Bootstrap", Step(progress, new ProgressEvent.Damaged("a row", Again: true)));
    }

    [Fact]
    public void A_page_that_goes_beyond_its_source_is_refused()
    {
        var progress = Make(Held);
        Link(progress, "hub-0");
        Open(progress);
        Assert.Equal("Next Apply", Step(progress, new ProgressEvent.PageArrived(Attempt, 0, Page(11, 101))));
        Step(progress, new ProgressEvent.Applied(new(LogId.Main, History, new(100)), new(7, 7)));
        Assert.Equal("Wait", Step(progress, new ProgressEvent.PageArrived(Attempt, 1, Page(101, 103, source: 101))));
        Assert.Equal((PullProblem.PageRefused, 1L), (progress.Problem, progress.RefusedPages));
    }
}
