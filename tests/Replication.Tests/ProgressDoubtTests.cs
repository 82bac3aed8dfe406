using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a source that is wrong or fails is left for another, and a replica's own state is given up only where two independent sources agree
/// against it. Method: the state machine alone, linked to sources that a test plays.
/// </summary>
public sealed class ProgressDoubtTests
{
    private static readonly ClusterUuid Cluster = new(1, 2);
    private static readonly HistoryId History = new(3, 4);
    private static readonly PullOptions Options = new();

    private readonly List<ProgressEffect> _effects = [];

    private long Attempt { get; set; }

    private static StoreProgress At(long revision) => new()
    {
        Cluster = Cluster, Position = new(LogId.Main, History, new(revision)), Chain = new(5, 6),
    };

    private static OpenPullAnswer Answer(OpenPullStatus status, string path = "hub-0", ulong chain = 77) => new(
        status, 99, Cluster, new(LogId.Main, History, new(100)), new(1), new(1_000),
        [.. path.Split('>').Select(NodeId.Parse)], status == OpenPullStatus.Diverged ? new(chain, chain) : new(5, 6));

    private static LogPage Page(long from, long to, PageStatus status = PageStatus.Ok) => new(
        status, Cluster, new(LogId.Main, History, new(100)), new(1), new(1_000), TimeSpan.Zero, new(from), new(to), default);

    private ProgressEvent Event(string name) => name switch
    {
        "call failed" => new ProgressEvent.CallFailed(Attempt),
        "open: behind" => new ProgressEvent.Opened(Attempt, Answer(OpenPullStatus.SourceBehind)),
        "open: unavailable" => new ProgressEvent.Opened(Attempt, Answer(OpenPullStatus.Unavailable)),
        _ => throw new ArgumentException(name, nameof(name)),
    };

    private static readonly NodeId Self = NodeId.Parse("eu-0");

    /// <summary>A state machine that has other sources, linked to one.</summary>
    private Progress Linked(string node, int others = 2)
    {
        var progress = new Progress(Options, new Random(1), Self);
        progress.Reset(At(10));
        Link(progress, node, others);
        return progress;
    }

    private void Link(Progress progress, string node, int others = 2)
    {
        _effects.Clear();
        progress.Step(new ProgressEvent.LinkLost(), _effects);
        progress.Step(new ProgressEvent.LinkUp(NodeId.Parse(node), others), _effects);
        Attempt = Assert.IsType<ProgressEffect.Open>(Assert.Single(_effects)).Attempt;
    }

    private ProgressEffect Open(Progress progress, OpenPullAnswer answer)
    {
        _effects.Clear();
        progress.Step(new ProgressEvent.Opened(Attempt, answer), _effects);
        return _effects[0];
    }

    private static void AssertLeaves(SourceFault fault, ProgressEffect effect) => Assert.Equal(fault, Assert.IsType<ProgressEffect.LeaveSource>(effect).Fault);

    [Theory]
    [InlineData(OpenPullStatus.OtherCluster, SourceFault.Wrong)]
    [InlineData(OpenPullStatus.Self, SourceFault.Wrong)]
    [InlineData(OpenPullStatus.Cycle, SourceFault.Cycle)]
    public void A_wrong_source_is_left_at_once_where_there_is_another(OpenPullStatus status, SourceFault fault)
    {
        var progress = Linked("hub-0");
        AssertLeaves(fault, Open(progress, Answer(status)));
        Assert.Equal(ProgressState.Disconnected, progress.State);
    }

    [Fact]
    public void A_source_whose_way_to_the_hub_leads_over_this_node_is_left()
    {
        AssertLeaves(SourceFault.Cycle, Open(Linked("eu-1"), Answer(OpenPullStatus.Open, "eu-1>eu-0>hub-0")));

        // Also where it came to be so later.
        var progress = Linked("eu-1");
        Open(progress, Answer(OpenPullStatus.Open, "eu-1>hub-0"));
        Assert.Equal("eu-1 hub-0", string.Join(' ', progress.Path));
        _effects.Clear();
        progress.Step(new ProgressEvent.PageArrived(Attempt, 0, Page(11, 12) with { Path = [NodeId.Parse("eu-1"), Self] }), _effects);
        AssertLeaves(SourceFault.Cycle, Assert.Single(_effects));
        Assert.Empty(progress.Path);
    }

    [Theory]
    [InlineData("open: behind", SourceFault.Behind, 3)]
    [InlineData("open: unavailable", SourceFault.Unavailable, 3)]
    [InlineData("call failed", SourceFault.Failing, 3)]
    public void A_source_that_fails_again_and_again_is_left_where_there_is_another(string happened, SourceFault fault, int times)
    {
        foreach (var hasOthers in new[] { true, false })
        {
            var progress = Linked("hub-0", hasOthers ? 1 : 0);
            for (var i = 1; i <= times; i++)
            {
                _effects.Clear();
                progress.Step(Event(happened), _effects);
                if (i == times && hasOthers)
                {
                    AssertLeaves(fault, Assert.Single(_effects));
                    break;
                }

                Attempt = Assert.IsType<ProgressEffect.Wait>(Assert.Single(_effects)).Attempt;
                _effects.Clear();
                progress.Step(new ProgressEvent.WaitOver(Attempt), _effects);
                Attempt = Assert.IsType<ProgressEffect.Open>(Assert.Single(_effects)).Attempt;
            }
        }
    }

    [Fact]
    public void A_damaged_source_is_left_at_once()
    {
        var progress = Linked("hub-0");
        Open(progress, Answer(OpenPullStatus.Open));
        _effects.Clear();
        progress.Step(new ProgressEvent.PageArrived(Attempt, 0, Page(11, 11, PageStatus.SourceDamaged)), _effects);
        AssertLeaves(SourceFault.Damaged, Assert.Single(_effects));
    }

    [Fact]
    public void Nothing_is_given_up_on_the_word_of_one_source_however_often_it_says_it()
    {
        var progress = Linked("hub-0", others: 1);
        for (var i = 0; i < 10; i++)
        {
            AssertLeaves(SourceFault.Diverged, Open(progress, Answer(OpenPullStatus.Diverged)));
            Link(progress, "hub-0");
        }

        Link(progress, "hub-0", others: 0);
        _effects.Clear();
        progress.Step(new ProgressEvent.Opened(Attempt, Answer(OpenPullStatus.Diverged)), _effects);
        Assert.Empty(_effects);
        Assert.Equal((ProgressState.Stopped, StopReason.Diverged), (progress.State, progress.StopReason));
    }

    [Theory]
    [InlineData("hub-0", "us-0>hub-1")]
    [InlineData("us-0>hub-1", "hub-0")]
    [InlineData("us-0>hub-1", "ap-0>hub-1")]
    public void Two_sources_that_agree_against_it_make_a_replica_give_up_its_state_and_keep_it_aside(string first, string second)
    {
        var progress = Linked(first.Split('>')[0]);
        AssertLeaves(SourceFault.Diverged, Open(progress, Answer(OpenPullStatus.Diverged, first)));
        Link(progress, second.Split('>')[0]);
        Attempt = Assert.IsType<ProgressEffect.Bootstrap>(Open(progress, Answer(OpenPullStatus.Diverged, second))).Attempt;
        _effects.Clear();
        progress.Step(new ProgressEvent.SnapshotReceived(Attempt), _effects);
        Assert.True(Assert.IsType<ProgressEffect.Install>(Assert.Single(_effects)).Quarantine);
        progress.Step(new ProgressEvent.Installed(At(100)), _effects);
        Assert.Equal(ProgressState.Probing, progress.State);
    }

    [Theory]
    [InlineData("eu-1>hub-0", "hub-0", 77, "one pulls from the other")]
    [InlineData("hub-0", "eu-1>hub-0", 77, "one pulls from the other")]
    [InlineData("hub-0", "us-0>hub-1", 78, "they do not agree")]
    [InlineData("hub-0", "hub-1", 77, "both are the hub, which can have been put back from old copies")]
    [InlineData("us-0>hub-0", "us-0>hub-0", 77, "they are one")]
    public void Two_sources_that_are_not_independent_or_do_not_agree_are_not_believed(string first, string second, ulong secondChain, string why)
    {
        var progress = Linked(first.Split('>')[0]);
        AssertLeaves(SourceFault.Diverged, Open(progress, Answer(OpenPullStatus.Diverged, first)));
        Link(progress, second.Split('>')[0]);
        var effect = Open(progress, Answer(OpenPullStatus.Diverged, second, secondChain));
        Assert.True(effect is ProgressEffect.LeaveSource, why);
    }

    [Fact]
    public void Where_every_source_contradicts_and_none_is_believed_the_replica_stops_and_keeps_what_it_has()
    {
        var progress = Linked("hub-0");
        AssertLeaves(SourceFault.Diverged, Open(progress, Answer(OpenPullStatus.Diverged, "hub-0")));
        Link(progress, "hub-1");
        AssertLeaves(SourceFault.Diverged, Open(progress, Answer(OpenPullStatus.Diverged, "hub-1")));
        Link(progress, "hub-2");
        _effects.Clear();
        progress.Step(new ProgressEvent.Opened(Attempt, Answer(OpenPullStatus.Diverged, "hub-2")), _effects);
        Assert.Empty(_effects);
        Assert.Equal((ProgressState.Stopped, StopReason.Diverged), (progress.State, progress.StopReason));
    }

    [Fact]
    public void A_source_that_has_what_the_replica_has_clears_the_doubt()
    {
        var progress = Linked("hub-0");
        AssertLeaves(SourceFault.Diverged, Open(progress, Answer(OpenPullStatus.Diverged, "hub-0")));
        Link(progress, "hub-1");
        Open(progress, Answer(OpenPullStatus.Open, "hub-1"));
        Link(progress, "hub-2");
        AssertLeaves(SourceFault.Diverged, Open(progress, Answer(OpenPullStatus.Diverged, "hub-2")));
    }

    [Fact]
    public void What_a_source_said_of_another_position_is_forgotten()
    {
        var progress = Linked("hub-0");
        AssertLeaves(SourceFault.Diverged, Open(progress, Answer(OpenPullStatus.Diverged, "hub-0")));
        progress.Reset(At(12));
        Link(progress, "hub-1");
        AssertLeaves(SourceFault.Diverged, Open(progress, Answer(OpenPullStatus.Diverged, "hub-1")));
    }
}
