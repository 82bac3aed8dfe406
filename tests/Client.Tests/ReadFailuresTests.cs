using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>Goal: whoever hears that a read failed hears what to do next. Method: every status, with and without what the node says of it.</summary>
public sealed class ReadFailuresTests
{
    public static TheoryData<ReadStatus> Failures => [.. Enum.GetValues<ReadStatus>().Except([ReadStatus.Unspecified, ReadStatus.Ok])];

    [Theory]
    [MemberData(nameof(Failures))]
    public void Every_failure_of_a_read_says_what_to_do_next_and_is_no_write(ReadStatus status)
    {
        foreach (var problem in new[] { null, "It is so.", "it is so" })
        {
            var e = ReadFailures.ToException(status, default, problem, "flags");
            Assert.Equal((WriteOutcome.NotAWrite, (OperationId?)null), (e.Outcome, e.OperationId));
            Assert.Matches(@"\. (Try|Create|Check|Change|Ask|Read) [^.].*\.$", e.Message);
            Assert.DoesNotContain("..", e.Message, StringComparison.Ordinal);
        }
    }
}
