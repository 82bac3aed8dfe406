using Quicksilver.Model;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Testing.Tests;

/// <summary>
/// Goal: the checker accepts what one copy could have answered, and finds what it could not. Method: histories of a copy that works, some
/// made by hand and some of random clients, and the same with bugs planted in the copy.
/// </summary>
public sealed class LinearizabilityTests
{
    private long _clock;

    private Operation Get(string? value, long revision, long called, long returned) =>
        new(0, "k", OperationKind.Get, null, default, OperationResult.Done, value, new(revision), called, returned);

    private static Operation Put(string value, long revision, long called, long returned, OperationResult result = OperationResult.Done) =>
        new(0, "k", OperationKind.Put, value, default, result, null, new(revision), called, returned);

    private static Verdict Check(params Operation[] history) => Linearizability.Check(history).Single().Verdict;

    [Fact]
    public void A_read_may_answer_either_side_of_a_write_that_overlaps_it()
    {
        Assert.Equal(Verdict.Linearizable, Check(Put("a", 1, 0, 1), Put("b", 2, 2, 10), Get("a", 1, 3, 9)));
        Assert.Equal(Verdict.Linearizable, Check(Put("a", 1, 0, 1), Put("b", 2, 2, 10), Get("b", 2, 3, 9)));
    }

    [Fact]
    public void A_read_that_began_after_a_write_was_answered_must_see_it() =>
        Assert.Equal(Verdict.Illegal, Check(Put("a", 1, 0, 1), Put("b", 2, 2, 3), Get("a", 1, 4, 5)));

    [Fact]
    public void Two_reads_one_after_the_other_do_not_go_back() =>
        Assert.Equal(Verdict.Illegal, Check(Put("a", 1, 0, 1), Put("b", 2, 2, 20), Get("b", 2, 3, 4), Get("a", 1, 5, 6)));

    [Fact]
    public void A_write_with_an_unknown_outcome_may_show_late_or_never_and_not_come_and_go()
    {
        var unknown = Put("b", 0, 2, 3, OperationResult.Unknown);
        Assert.Equal(Verdict.Linearizable, Check(Put("a", 1, 0, 1), unknown, Get("a", 1, 4, 5), Get("b", 2, 6, 7)));
        Assert.Equal(Verdict.Linearizable, Check(Put("a", 1, 0, 1), unknown, Get("a", 1, 4, 5)));
        Assert.Equal(Verdict.Illegal, Check(Put("a", 1, 0, 1), unknown, Get("b", 2, 4, 5), Get("a", 1, 6, 7)));
        Assert.Equal(Verdict.Illegal, Check(Put("a", 1, 0, 1), unknown, Get("b", 2, 4, 5), Get("b", 3, 6, 7)));
    }

    [Fact]
    public void A_condition_that_was_met_had_the_revision_and_one_that_was_refused_had_another()
    {
        Operation PutIf(long expected, OperationResult result, long revision) =>
            new(0, "k", OperationKind.PutIf, "c", new(expected), result, null, new(revision), 4, 5);
        Assert.Equal(Verdict.Linearizable, Check(Put("a", 1, 0, 1), PutIf(1, OperationResult.Done, 2)));
        Assert.Equal(Verdict.Illegal, Check(Put("a", 1, 0, 1), PutIf(0, OperationResult.Done, 2)));
        Assert.Equal(Verdict.Linearizable, Check(Put("a", 1, 0, 1), PutIf(0, OperationResult.Refused, 1)));
        Assert.Equal(Verdict.Illegal, Check(Put("a", 1, 0, 1), PutIf(1, OperationResult.Refused, 1)));
    }

    [Fact]
    public void A_search_that_takes_too_long_is_undecided()
    {
        var history = Enumerable.Range(1, 24).Select(i => Put($"v{i}", 0, 0, 100, OperationResult.Done) with { Revision = new(i) }).ToList();
        history.Add(Get("none of these", 99, 101, 102));
        Assert.Equal(Verdict.Undecided, Linearizability.Check(history, maxSteps: 20).Single().Verdict);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_clients_of_one_copy_are_linearizable(int seed)
    {
        var verdicts = Linearizability.Check(Run(seed, Bug.None));
        Assert.All(verdicts, verdict => Assert.Equal(Verdict.Linearizable, verdict.Verdict));
    }

    [Theory]
    [InlineData(Bug.StaleRead)]
    [InlineData(Bug.LostWrite)]
    [InlineData(Bug.WriteAppliedTwice)]
    [InlineData(Bug.ConditionIgnored)]
    [InlineData(Bug.WrongRevision)]
    public void A_bug_that_is_planted_in_the_copy_is_found(Bug bug)
    {
        foreach (var seed in Enumerable.Range(1, 5))
        {
            Assert.Contains(Linearizability.Check(Run(seed, bug), maxSteps: 200_000), verdict => verdict.Verdict != Verdict.Linearizable);
        }
    }

    public enum Bug
    {
        None = 0,
        StaleRead = 1,
        LostWrite = 2,
        WriteAppliedTwice = 3,
        ConditionIgnored = 4,
        WrongRevision = 5,
    }

    /// <summary>32 clients and 3 keys on one copy. Each operation takes effect at a random moment of its time.</summary>
    private List<Operation> Run(int seed, Bug bug)
    {
        var random = new Random(seed);
        var copies = new Dictionary<string, (string? Value, long Revision, string? Before, long BeforeRevision)>();
        var revision = 0L;
        var history = new List<Operation>();
        var running = new List<(Operation Asked, long Answers)>();
        _clock = 0;
        var doubled = new List<(string Key, string Value)>();
        for (var i = 0; i < 3_000; i++)
        {
            _clock++;
            var key = $"k{random.Next(3)}";
            var copy = copies.GetValueOrDefault(key);
            var isBroken = random.Next(100) == 0;
            var called = _clock - random.Next(1, 30);
            var returned = _clock + random.Next(1, 30);
            switch (random.Next(4))
            {
                case 0 or 1:
                    var (value, at) = bug == Bug.StaleRead && isBroken ? (copy.Before, copy.BeforeRevision) : (copy.Value, copy.Revision);
                    at += bug == Bug.WrongRevision && isBroken ? 1 : 0;
                    history.Add(new(i, key, OperationKind.Get, null, default, OperationResult.Done, value, new(at), _clock, _clock));
                    break;
                case 2:
                    revision++;
                    // An unknown write could have had any revision, and so explain a condition that was met.
                    var isUnknown = bug != Bug.ConditionIgnored && random.Next(50) == 0;
                    var happens = !(bug == Bug.LostWrite && isBroken) && !(isUnknown && random.Next(2) == 0);
                    history.Add(new(i, key, OperationKind.Put, $"v{i}", default, isUnknown ? OperationResult.Unknown : OperationResult.Done, null, new(isUnknown ? 0 : revision), called, returned));
                    copies[key] = happens ? ($"v{i}", revision, copy.Value, copy.Revision) : copy;
                    if (bug == Bug.WriteAppliedTwice && isBroken)
                    {
                        doubled.Add((key, $"v{i}"));
                    }

                    break;
                default:
                    var expected = random.Next(2) == 0 ? copy.Revision : Math.Max(0, copy.Revision - 1);
                    if (expected == copy.Revision || (bug == Bug.ConditionIgnored && isBroken))
                    {
                        revision++;
                        history.Add(new(i, key, OperationKind.PutIf, $"v{i}", new(expected), OperationResult.Done, null, new(revision), called, returned));
                        copies[key] = ($"v{i}", revision, copy.Value, copy.Revision);
                    }
                    else
                    {
                        history.Add(new(i, key, OperationKind.PutIf, $"v{i}", new(expected), OperationResult.Refused, null, new(copy.Revision), _clock, _clock));
                    }

                    break;
            }

            // The copy of a write that arrives late takes effect a second time.
            if (doubled.Count > 0 && random.Next(10) == 0)
            {
                var (late, again) = doubled[0];
                doubled.RemoveAt(0);
                revision++;
                var now = copies[late];
                copies[late] = (again, revision, now.Value, now.Revision);
            }
        }

        return history;
    }
}
