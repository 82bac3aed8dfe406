using Quicksilver.Model;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Testing.Tests;

/// <summary>Goal: each check of the logs finds the fault it is for. Method: logs in order, and the same with one thing wrong.</summary>
public sealed class LogChecksTests
{
    private static readonly List<LoggedWrite> Log = [.. Enumerable.Range(1, 5).Select(i => Write(i, i))];

    private static LoggedWrite Write(long revision, int operation, ulong digest = 7) =>
        new(new(revision), new(new(1), 0, (ulong)operation), new(digest, (ulong)operation));

    [Fact]
    public void Logs_in_order_have_nothing_wrong()
    {
        Assert.Empty(LogChecks.Dense("a", Log));
        Assert.Empty(LogChecks.Once(Log));
        Assert.Empty(LogChecks.Agree("a", Log, "b", Log[..3]));
        Assert.Empty(LogChecks.Durable(Log, Log.Select(write => new AcknowledgedWrite(write.Operation, write.Revision))));
    }

    [Fact]
    public void A_gap_a_repetition_and_a_swap_are_found()
    {
        Assert.Single(LogChecks.Dense("a", [Log[0], Log[2]]));
        Assert.Single(LogChecks.Dense("a", [Log[0], Log[0]]));
        Assert.NotEmpty(LogChecks.Dense("a", [Log[1], Log[0]]));
    }

    [Fact]
    public void A_write_that_took_effect_twice_is_found() => Assert.Single(LogChecks.Once([.. Log, Write(6, 3)]));

    [Fact]
    public void Two_nodes_that_differ_at_one_revision_are_found() =>
        Assert.Single(LogChecks.Agree("a", Log, "b", [.. Log[..4], Write(5, 5, digest: 8)]));

    [Fact]
    public void An_acknowledged_write_that_is_missing_or_elsewhere_is_found()
    {
        Assert.Single(LogChecks.Durable(Log[..4], [new(Log[4].Operation, Log[4].Revision)]));
        Assert.Single(LogChecks.Durable(Log, [new(Log[4].Operation, Log[3].Revision)]));
    }
}
