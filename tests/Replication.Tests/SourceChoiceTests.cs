using CsCheck;
using Quicksilver.Model;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a replica pulls from the best source that works, leaves one that does not for one that was seen to be better, and comes back
/// without haste. Method: the state machine alone with a clock of numbers.
/// </summary>
public sealed class SourceChoiceTests
{
    private static readonly NodeId Self = NodeId.Parse("eu-0");
    private static readonly ClusterUuid Cluster = new(1, 2);
    private static readonly SourceOptions Options = new() { Jitter = 0, FirstReturnAfter = TimeSpan.FromSeconds(30) };

    private readonly SourceChoice _choice = new(Options, new Random(1));

    public SourceChoiceTests() => _choice.SetCandidates(["a", "b", "c"]);

    private static TimeSpan At(double seconds) => TimeSpan.FromSeconds(seconds);

    private static SourceDescription Seen(string node, long revision, double? ageSeconds, string? path = null, ClusterUuid? cluster = null) => new(
        NodeId.Parse(node), cluster ?? Cluster, new(LogId.Main, new(3, 4), new(revision)), new(1), ageSeconds is { } age ? At(age) : null,
        [.. (path ?? node).Split('>').Select(NodeId.Parse)]);

    private string Order(double now) => string.Concat(_choice.Order(At(now)));

    private bool Look(string source, SourceDescription? seen, double now) => _choice.OnDescribed(source, seen, Self, Cluster, At(now));

    [Fact]
    public void Sources_are_tried_in_their_order_and_those_that_failed_last()
    {
        Assert.Equal("abc", Order(0));
        _choice.OnLeft("a", SourceFault.Failing, At(0));
        Assert.Equal("bca", Order(1));
        _choice.OnLeft("b", SourceFault.Behind, At(2));
        _choice.OnLeft("c", SourceFault.Unavailable, At(3));
        Assert.Equal("abc", Order(4));
        Assert.Equal("abc", Order(11));
        Assert.Equal("abc", Order(100));
    }

    [Theory]
    [InlineData(SourceFault.Damaged)]
    [InlineData(SourceFault.Diverged)]
    [InlineData(SourceFault.Wrong)]
    public void A_source_that_is_distrusted_is_not_tried_at_all_for_a_while(SourceFault fault)
    {
        _choice.OnLeft("a", fault, At(0));
        Assert.Equal("bc", Order(59));
        Assert.Equal("abc", Order(61));
        _choice.SetCandidates(["a"]);
        _choice.OnLeft("a", fault, At(100));
        Assert.Equal("", Order(101));
    }

    [Fact]
    public void A_good_source_is_stayed_with_and_a_better_one_looked_at_now_and_then()
    {
        _choice.OnUp("b", At(0));
        for (var second = 0; second < 30; second++)
        {
            _choice.OnHeard(At(0.1), new(100 + second), At(second));
            Assert.Null(_choice.NextLook(At(second)));
        }

        Assert.Equal("a", _choice.NextLook(At(30)));
        Assert.Null(_choice.NextLook(At(31)));

        // No answer, or one that is not as good: it stays, and looks again after a while.
        Assert.False(Look("a", null, 32));
        _choice.OnHeard(At(0.1), new(200), At(58));
        Assert.Null(_choice.NextLook(At(59)));
        _choice.OnHeard(At(0.1), new(200), At(60));
        Assert.Equal("a", _choice.NextLook(At(60)));
        Assert.False(Look("a", Seen("hub-0", 300, 11), 61));
        Assert.False(Look("a", Seen("hub-0", 300, null), 61));
        Assert.True(Look("a", Seen("hub-0", 199, 0.1), 61));
        _choice.OnUp("a", At(62));
        _choice.OnHeard(At(0.1), new(200), At(1_000));
        Assert.Null(_choice.NextLook(At(1_000)));
    }

    [Fact]
    public void The_first_source_of_a_process_is_left_sooner_for_a_better_one_that_appears()
    {
        var choice = new SourceChoice(new() { Jitter = 0 }, new Random(1));
        choice.SetCandidates(["b"]);
        choice.OnUp("b", At(0));
        choice.OnHeard(At(0), new(1), At(3));
        choice.SetCandidates(["a", "b"]);
        Assert.Equal("a", choice.NextLook(At(3)));
        choice.OnUp("a", At(3));
        choice.OnUp("b", At(4));
        choice.OnUp("b", At(5));
        choice.OnHeard(At(0), new(1), At(34));
        Assert.Null(choice.NextLook(At(34)));
        Assert.Equal("a", choice.NextLook(At(35)));
    }

    [Fact]
    public void A_stale_source_is_left_for_any_that_is_further_and_for_none_that_is_not()
    {
        _choice.OnUp("a", At(0));
        _choice.OnHeard(At(1), new(100), At(1));
        Assert.Null(_choice.NextLook(At(29)));

        // Its age goes on while it says nothing.
        Assert.Equal("b", _choice.NextLook(At(31)));
        Assert.Equal("c", _choice.NextLook(At(31)));
        Assert.Null(_choice.NextLook(At(31)));
        Assert.False(Look("b", Seen("us-0", 100, 31), 32));
        Assert.False(Look("c", Seen("us-1", 99, 0), 32));
        Assert.Equal("b", _choice.NextLook(At(37)));
        Assert.True(Look("b", Seen("us-0", 101, 40), 37));
        Assert.Equal("bca", Order(38));
    }

    [Fact]
    public void Of_two_at_the_same_revision_the_one_that_heard_of_the_hub_much_later_is_further()
    {
        _choice.OnUp("a", At(0));
        _choice.OnHeard(At(40), new(100), At(1));
        Assert.Equal("b", _choice.NextLook(At(1)));
        Assert.False(Look("b", Seen("us-0", 100, 30), 1));
        Assert.True(Look("b", Seen("us-0", 100, 20), 1));
    }

    [Fact]
    public void A_source_that_never_knew_its_age_is_stale_after_as_long()
    {
        _choice.OnUp("a", At(0));
        _choice.OnHeard(null, new(5), At(20));
        Assert.Null(_choice.NextLook(At(40)));
        _choice.OnHeard(null, new(5), At(45));
        Assert.Equal("b", _choice.NextLook(At(51)));
        Assert.True(Look("b", Seen("us-0", 6, 1), 51));
    }

    [Fact]
    public void A_source_that_pulls_from_this_node_or_is_of_another_cluster_is_never_better()
    {
        _choice.OnUp("a", At(0));
        Assert.Equal("b", _choice.NextLook(At(40)));
        Assert.False(Look("b", Seen("us-0", 500, 0, "us-0>eu-0>hub-0"), 40));
        Assert.Equal("c", _choice.NextLook(At(40)));
        Assert.False(Look("c", Seen("us-1", 500, 0, cluster: new(9, 9)), 40));
        Assert.Equal("ab", Order(41));

        // The one may do so no more after a while.
        Assert.Equal("b", _choice.NextLook(At(46)));
        Assert.True(Look("b", Seen("us-0", 500, 0, "us-0>hub-0"), 46));
    }

    [Fact]
    public void What_was_seen_of_a_source_while_the_link_changed_says_nothing()
    {
        _choice.OnUp("a", At(0));
        Assert.Equal("b", _choice.NextLook(At(40)));
        _choice.OnLost();
        Assert.False(Look("b", Seen("us-0", 500, 0), 40));
        Assert.Null(_choice.NextLook(At(100)));
        _choice.OnUp("b", At(41));
        Assert.False(Look("b", Seen("us-0", 500, 0), 42));
    }

    [Fact]
    public void A_source_that_is_no_candidate_any_more_is_left_for_any_candidate()
    {
        _choice.OnUp("c", At(0));
        _choice.SetCandidates(["b"]);
        Assert.Equal(1, _choice.Others);
        Assert.Null(_choice.NextLook(At(29)));
        Assert.Equal("b", _choice.NextLook(At(30)));
        _choice.OnHeard(At(0), new(7), At(30));
        Assert.True(Look("b", Seen("us-0", 7, 0), 31));
    }

    [Fact]
    public void Children_of_one_source_do_not_move_together()
    {
        var times = Enumerable.Range(0, 50).Select(seed =>
        {
            var choice = new SourceChoice(new(), new Random(seed));
            choice.SetCandidates(["a", "b"]);
            choice.OnLeft("a", SourceFault.Failing, At(0));
            return Enumerable.Range(0, 200).First(tenth => choice.Order(At(tenth / 10.0))[0] == "a");
        }).ToList();
        Assert.InRange(times.Min(), 79, 100);
        Assert.InRange(times.Max(), 100, 121);
        Assert.True(times.Distinct().Count() > 10);
    }

    [Fact]
    public void A_source_that_works_is_only_left_for_one_that_was_seen_to_be_better_whatever_happens()
    {
        Gen.Select(Gen.Int[0, 5], Gen.Int[0, 2], Gen.Long[0, 20], Gen.Double[0, 60], Gen.Double[0, 20]).Array[1, 60].Sample(steps =>
        {
            var choice = new SourceChoice(new(), new Random(7));
            string[] names = ["a", "b", "c"];
            choice.SetCandidates(names);
            var now = TimeSpan.Zero;
            var revision = 0L;
            foreach (var (what, who, number, seconds, pause) in steps)
            {
                now += At(pause);
                switch (what)
                {
                    case 0:
                        choice.OnUp(names[who], now);
                        revision = 0;
                        break;
                    case 1:
                        choice.OnLost();
                        break;
                    case 2:
                        choice.OnLeft(names[who], (SourceFault)(1 + (number % 8)), now);
                        break;
                    case 3:
                        revision = number;
                        choice.OnHeard(At(seconds), new(number), now);
                        break;
                    default:
                        var look = choice.NextLook(now);
                        Assert.True(look is null || (look != choice.Current && names.Contains(look)));
                        if (look is not null && choice.OnDescribed(look, Seen("us-0", number, seconds), Self, Cluster, now))
                        {
                            var preferred = Array.IndexOf(names, look) < Array.IndexOf(names, choice.Current);
                            Assert.True(number >= revision || (preferred && seconds <= 10), "it is not behind, or better and fresh");
                        }

                        break;
                }

                Assert.Equal(choice.Order(now).Count, choice.Order(now).Distinct().Count());
            }
        });
    }
}
