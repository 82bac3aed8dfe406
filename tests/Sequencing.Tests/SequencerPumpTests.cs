using CsCheck;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: every submission is completed exactly once, entries keep the order and the caps, and stamps never go back. Method: the
/// pump alone, driven event by event; random sequences of events at the end.
/// </summary>
public sealed class SequencerPumpTests
{
    private static readonly StoreProgress State = new() { Position = new(LogId.Main, new(3, 4), new(7)), Chain = new(5, 6), LogTime = new(1_000) };

    private static Submission Make(int commands, int bytesEach = 10, byte mark = 0)
    {
        var list = Enumerable.Range(0, commands).Select(_ => (ReadOnlyMemory<byte>)Enumerable.Repeat(mark, bytesEach).ToArray()).ToList();
        return new(list, commands * bytesEach);
    }

    private static (EntryHeader Header, List<byte> Marks) Read(Proposal proposal)
    {
        var reader = new ByteReader(proposal.Entry.Span);
        var header = EntryFormat.ReadHeader(ref reader, out var count);
        var marks = new List<byte>();
        for (var i = 0; i < count; i++)
        {
            var command = EntryFormat.ReadCommand(ref reader, out _);
            marks.Add(command.IsEmpty ? (byte)0 : command[0]);
        }

        reader.ExpectEnd();
        return (header, marks);
    }

    private static CommitOutcome[] Committed(int count, int from = 1) =>
        [.. Enumerable.Range(from, count).Select(i => CommitOutcome.Committed(new(i)))];

    private static CommitOutcome[] Answer(Submission submission) =>
        submission.Outcomes.IsCompletedSuccessfully ? submission.Outcomes.Result : throw new InvalidOperationException("Not answered.");

    private static void AssertAll(Submission submission, CommitOutcome expected)
    {
        Assert.Equal(Enumerable.Repeat(expected, submission.Commands.Count), Answer(submission));
    }

    [Fact]
    public void What_is_queued_goes_into_one_entry_in_order_and_each_caller_gets_its_own_outcomes()
    {
        var pump = new SequencerPump(new(), 42);
        var submissions = new[] { Make(2, mark: 1), Make(1, mark: 2), Make(3, mark: 3) };
        Assert.All(submissions, submission => Assert.Null(pump.Enqueue(submission)));
        Assert.Equal((6, 60L), (pump.QueuedCommands, pump.QueuedBytes));

        var proposal = pump.MakeEntry(State, new(2_000))!;
        var (header, marks) = Read(proposal);
        Assert.Equal(new EntryHeader(new(42, 1), new(2_000), new(7), new(5, 6)), header);
        Assert.Equal(new byte[] { 1, 1, 2, 3, 3, 3 }, marks);
        Assert.Equal((0, 0L), (pump.QueuedCommands, pump.QueuedBytes));
        Assert.Null(pump.MakeEntry(State, new(2_000)));

        pump.OnApplied(proposal.Id, Committed(6));
        Assert.Equal(Committed(2), Answer(submissions[0]));
        Assert.Equal(Committed(1, 3), Answer(submissions[1]));
        Assert.Equal(Committed(3, 4), Answer(submissions[2]));
    }

    [Fact]
    public void An_entry_of_another_process_completes_nobody()
    {
        var pump = new SequencerPump(new(), 42);
        var submission = Make(1);
        pump.Enqueue(submission);
        var proposal = pump.MakeEntry(State, new(2_000))!;
        pump.OnApplied(new(41, proposal.Id.Number), Committed(1));
        pump.OnApplied(new(42, proposal.Id.Number + 1), Committed(1));
        Assert.False(submission.Outcomes.IsCompleted);
    }

    [Fact]
    public void A_proposal_that_was_not_made_says_unavailable_and_one_that_expired_says_unknown()
    {
        var pump = new SequencerPump(new(), 42);
        var first = Make(2);
        pump.Enqueue(first);
        Assert.False(pump.OnResult(pump.MakeEntry(State, new(1))!.Id, ProposeResult.NotProposed));
        AssertAll(first, CommitOutcome.Unavailable);

        var second = Make(2);
        pump.Enqueue(second);
        var proposal = pump.MakeEntry(State, new(1))!;
        pump.OnExpired(proposal.Id);
        AssertAll(second, CommitOutcome.Unknown);

        // Too late: the caller has its answer.
        pump.OnApplied(proposal.Id, Committed(2));
        AssertAll(second, CommitOutcome.Unknown);
    }

    [Fact]
    public void A_proposal_applied_by_the_next_leader_before_it_expires_is_answered_with_its_outcome()
    {
        var pump = new SequencerPump(new(), 42);
        var lost = Make(1);
        pump.Enqueue(lost);
        var open = pump.MakeEntry(State, new(1))!;
        var next = Make(1);
        pump.Enqueue(next);
        var second = pump.MakeEntry(State, new(1))!;

        pump.OnApplied(second.Id, Committed(1, 9));
        pump.OnApplied(open.Id, Committed(1, 8));
        pump.OnExpired(open.Id);
        AssertAll(lost, CommitOutcome.Committed(new(8)));
        AssertAll(next, CommitOutcome.Committed(new(9)));
    }

    [Fact]
    public void Refusing_the_queue_leaves_what_is_on_its_way_alone_and_expiring_all_ends_it()
    {
        var pump = new SequencerPump(new(), 42);
        var (open, queued) = (Make(1), Make(3));
        pump.Enqueue(open);
        pump.MakeEntry(State, new(1));
        pump.Enqueue(queued);
        pump.RefuseQueued();
        AssertAll(queued, CommitOutcome.Unavailable);
        Assert.Equal((0, 0L), (pump.QueuedCommands, pump.QueuedBytes));
        Assert.False(open.Outcomes.IsCompleted);
        Assert.Null(pump.MakeEntry(State, new(1)));
        pump.ExpireAll();
        AssertAll(open, CommitOutcome.Unknown);
    }

    [Fact]
    public void A_closed_pump_refuses_what_is_queued_and_what_comes_later_and_lets_what_is_on_its_way_end()
    {
        var pump = new SequencerPump(new(), 42);
        var (open, queued, late) = (Make(1), Make(3), Make(1));
        pump.Enqueue(open);
        var proposal = pump.MakeEntry(State, new(1))!;
        pump.Enqueue(queued);
        pump.Close();
        AssertAll(queued, CommitOutcome.Unavailable);
        Assert.Equal(CommitOutcome.Unavailable, pump.Enqueue(late));
        Assert.False(late.Outcomes.IsCompleted);
        Assert.Null(pump.MakeEntry(State, new(1)));
        pump.OnApplied(proposal.Id, Committed(1));
        AssertAll(open, CommitOutcome.Committed(new(1)));
    }

    [Fact]
    public void An_entry_ends_at_the_cap_of_commands_and_of_bytes()
    {
        var pump = new SequencerPump(new() { MaxEntryCommands = 5, MaxEntryBytes = 100 }, 42);
        foreach (var submission in new[] { Make(3, mark: 1), Make(2, mark: 2), Make(1, mark: 3), Make(1, 60, 4), Make(1, 31, 5) })
        {
            pump.Enqueue(submission);
        }

        Assert.Equal(new byte[] { 1, 1, 1, 2, 2 }, Read(pump.MakeEntry(State, new(1))!).Marks);
        Assert.Equal(new byte[] { 3, 4 }, Read(pump.MakeEntry(State, new(1))!).Marks);
        Assert.Equal(new byte[] { 5 }, Read(pump.MakeEntry(State, new(1))!).Marks);
    }

    [Fact]
    public void A_lone_submission_over_the_caps_goes_alone()
    {
        var pump = new SequencerPump(new() { MaxEntryCommands = 5, MaxEntryBytes = 100, MaxQueuedCommands = 2, MaxQueuedBytes = 50 }, 42);
        var big = Make(9, 100, 1);
        Assert.Null(pump.Enqueue(big));
        Assert.Equal(CommitKind.Overloaded, pump.Enqueue(Make(1, 1))?.Kind);
        Assert.Equal(9, Read(pump.MakeEntry(State, new(1))!).Marks.Count);
        Assert.Null(pump.Enqueue(Make(1, 1)));
    }

    [Fact]
    public void A_full_queue_takes_nothing_and_takes_again_when_an_entry_was_made()
    {
        var byCount = new SequencerPump(new() { MaxQueuedCommands = 4, MaxEntryCommands = 2 }, 42);
        Assert.Null(byCount.Enqueue(Make(2)));
        Assert.Null(byCount.Enqueue(Make(2)));
        var refused = Make(1);
        Assert.Equal(CommitKind.Overloaded, byCount.Enqueue(refused)?.Kind);
        Assert.Equal(4, byCount.QueuedCommands);
        byCount.MakeEntry(State, new(1));
        Assert.Null(byCount.Enqueue(refused));

        var byBytes = new SequencerPump(new() { MaxQueuedBytes = 100 }, 42);
        Assert.Null(byBytes.Enqueue(Make(1, 60)));
        Assert.Null(byBytes.Enqueue(Make(1, 40)));
        Assert.Equal(CommitKind.Overloaded, byBytes.Enqueue(Make(1, 1))?.Kind);
        Assert.Equal(100, byBytes.QueuedBytes);
    }

    [Fact]
    public void Stamps_never_go_back_when_the_clock_does_or_the_state_is_behind()
    {
        var pump = new SequencerPump(new(), 42);
        long Stamp(long logTime, long now)
        {
            pump.Enqueue(Make(1));
            return Read(pump.MakeEntry(State with { LogTime = new(logTime) }, new(now))!).Header.LogTime.Value;
        }

        Assert.Equal(1_000, Stamp(logTime: 1_000, now: 500));
        Assert.Equal(2_000, Stamp(logTime: 1_000, now: 2_000));
        Assert.Equal(2_000, Stamp(logTime: 1_000, now: 1_500));
        Assert.Equal(3_000, Stamp(logTime: 3_000, now: 1_500));
        Assert.Equal(3_000, Stamp(logTime: 0, now: 0));
    }

    [Fact]
    public void Whatever_happens_in_whatever_order_every_submission_is_completed_once_and_stamps_and_numbers_grow()
    {
        Gen.Select(Gen.Int[0, 9], Gen.Int[0, 6], Gen.Int[0, 60]).Array[0, 60].Sample(
            steps =>
            {
                var options = new SequencerOptions { MaxQueuedCommands = 12, MaxQueuedBytes = 200, MaxEntryCommands = 6, MaxEntryBytes = 90 };
                var pump = new SequencerPump(options, 1);
                var taken = new List<(Submission Submission, string Fate)>();
                var open = new List<Proposal>();
                var (stamp, number) = (0L, 0UL);
                byte mark = 0;
                foreach (var (what, amount, size) in steps)
                {
                    switch (what)
                    {
                        case <= 3:
                            var submission = Make(amount, size, ++mark);
                            var queued = (pump.QueuedCommands, pump.QueuedBytes);
                            if (pump.Enqueue(submission) is null)
                            {
                                taken.Add((submission, ""));
                            }
                            else
                            {
                                Assert.Equal(queued, (pump.QueuedCommands, pump.QueuedBytes));
                                Assert.False(submission.Outcomes.IsCompleted);
                            }

                            break;
                        case <= 6:
                            if (pump.MakeEntry(State with { LogTime = new(amount * 10) }, new(size)) is { } proposal)
                            {
                                var (header, marks) = Read(proposal);
                                Assert.True(header.LogTime.Value >= stamp && header.Proposal.Number > number);
                                (stamp, number) = (header.LogTime.Value, header.Proposal.Number);
                                Assert.True(proposal.Submissions.Count == 1
                                    || (marks.Count <= 6 && proposal.Submissions.Sum(s => s.Bytes) <= 90));
                                open.Add(proposal);
                            }

                            break;
                        case 7 when open.Count > 0:
                            var applied = open[amount % open.Count];
                            pump.OnApplied(applied.Id, Committed(applied.Submissions.Sum(s => s.Commands.Count)));
                            break;
                        case 8 when open.Count > 0:
                            if (amount % 2 == 0)
                            {
                                pump.OnExpired(open[amount % open.Count].Id);
                            }
                            else
                            {
                                pump.OnResult(open[amount % open.Count].Id, ProposeResult.NotProposed);
                            }

                            break;
                        case 9 when amount == 0:
                            pump.RefuseQueued();
                            break;
                    }
                }

                var answered = taken.Where(t => t.Submission.Outcomes.IsCompleted).ToDictionary(t => t.Submission, t => Answer(t.Submission));
                pump.RefuseQueued();
                pump.ExpireAll();
                foreach (var (submission, _) in taken)
                {
                    Assert.Equal(submission.Commands.Count, Answer(submission).Length);
                    Assert.True(!answered.TryGetValue(submission, out var first) || ReferenceEquals(first, Answer(submission)));
                }

                Assert.Equal((0, 0L), (pump.QueuedCommands, pump.QueuedBytes));
            },
            iter: 2_000);
    }
}
