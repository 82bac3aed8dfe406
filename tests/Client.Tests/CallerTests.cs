using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: what a write is said to have become is true, whatever its tries met. Method: the caller over a link of the test; each
/// try is answered as the test says, and time is the test's.
/// </summary>
public sealed class CallerTests : IAsyncDisposable
{
    private static readonly OperationId Id = new(new(1_000), 1, 2);

    private readonly PausedTime _time = new();
    private readonly TestLink _link;
    private readonly Caller _caller;
    private int _sent;

    public CallerTests()
    {
        _link = new(_time);
        _caller = new(_link, _link, new(), _time);
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>What becomes of one try.</summary>
    private delegate Task<MergedOutcomes> Try(LinkSession session, CancellationToken cancellation);

    public static TheoryData<string> UnansweredTries => ["error", "lost session", "lost leader", "no answer in time"];

    private static Try Answer(CommitOutcome outcome) => (_, _) => Task.FromResult(new MergedOutcomes(new([outcome]), default));

    private static Task<MergedOutcomes> NeverAsync(LinkSession session, CancellationToken cancellation) =>
        new TaskCompletionSource<MergedOutcomes>().Task.WaitAsync(cancellation);

    /// <summary>Tries that may still be on their way when the caller hears of their end.</summary>
    private Try Unanswered(string how) => how switch
    {
        "error" => (_, _) => throw new IOException("The connection broke."),
        "lost leader" => Answer(CommitOutcome.Unknown),
        "lost session" => async (session, cancellation) =>
        {
            await _link.ReplaceSessionAsync();
            return await NeverAsync(session, cancellation);
        },
        _ => NeverAsync,
    };

    /// <summary>Commits; the last of the tries stands for all that follow.</summary>
    private Task<CommitOutcome> CommitAsync(bool isKnownId, CancellationToken cancellation, params Try[] tries)
    {
        return CommitAsync();

        async Task<CommitOutcome> CommitAsync()
        {
            var (outcome, _) = await _caller.CommitAsync(
                (session, stop) => tries[Math.Min(_sent++, tries.Length - 1)](session, stop), Id, isKnownId, _caller.Begin(), cancellation);
            return outcome;
        }
    }

    /// <summary>
    /// Lets time pass until the commit, begun just now, has ended: from pause to pause, so that a try has the time that this machine needs
    /// for it, or, where nobody is to answer, on and on.
    /// </summary>
    private async Task<CommitOutcome> EndAsync(Task<CommitOutcome> commit, bool isAnswered = true)
    {
        var deadline = _time.GetUtcNow() + QuicksilverClientOptions.DefaultDeadline;
        await Eventually.TrueAsync(
            () =>
            {
                if (isAnswered)
                {
                    _time.EndPause(deadline);
                }
                else
                {
                    _time.Advance(TimeSpan.FromMilliseconds(200));
                }

                return commit.IsCompleted;
            },
            "the end of the commit", Stop);
        return await commit;
    }

    private async Task<QuicksilverException> FailAsync(Task<CommitOutcome> commit, bool isAnswered = true)
    {
        var e = await Assert.ThrowsAsync<QuicksilverException>(() => EndAsync(commit, isAnswered));
        Assert.Equal(Id, e.OperationId);
        return e;
    }

    [Theory]
    [InlineData("error")]
    [InlineData("lost session")]
    [InlineData("lost leader")]
    public async Task A_refusal_after_a_try_that_was_not_answered_is_unknown(string how)
    {
        foreach (var refusal in new[] { CommitOutcome.ConditionFailed(0, new(7)), CommitOutcome.KeyspaceNotFound, CommitOutcome.KeyspaceExists(new(3)), CommitOutcome.Unchanged(new(7)), CommitOutcome.Expired, CommitOutcome.TooManyRows(new(7)) })
        {
            _sent = 0;
            var e = await FailAsync(CommitAsync(false, Stop, Unanswered(how), Answer(refusal)));
            Assert.Equal((QuicksilverErrorCode.OutcomeUnknown, WriteOutcome.Unknown), (e.Code, e.Outcome));
            Assert.Equal(2, _sent);
        }
    }

    [Fact]
    public async Task A_refusal_after_tries_that_were_certainly_refused_is_certain()
    {
        var refusal = CommitOutcome.ConditionFailed(0, new(7));
        Assert.Equal(refusal, await EndAsync(CommitAsync(
            false, Stop, Answer(CommitOutcome.Unavailable), Answer(CommitOutcome.Overloaded(TimeSpan.FromSeconds(1))), Answer(refusal))));
        Assert.Equal(3, _sent);
    }

    [Theory]
    [InlineData("error")]
    [InlineData("lost session")]
    [InlineData("lost leader")]
    public async Task An_answer_that_holds_for_every_try_is_certain_after_one_that_was_not_answered(string how)
    {
        foreach (var answer in new[] { CommitOutcome.Committed(new(5)), CommitOutcome.OperationIdReused, CommitOutcome.Invalid("x") })
        {
            _sent = 0;
            Assert.Equal(answer, await EndAsync(CommitAsync(false, Stop, Unanswered(how), Answer(answer))));
        }
    }

    [Theory]
    [InlineData("error")]
    [InlineData("lost session")]
    [InlineData("lost leader")]
    public async Task An_id_from_the_future_is_asked_again_as_it_is_once_a_try_was_not_answered(string how)
    {
        Assert.Equal(
            CommitOutcome.Committed(new(5)),
            await EndAsync(CommitAsync(false, Stop, Unanswered(how), Answer(CommitOutcome.FromFuture), Answer(CommitOutcome.FromFuture), Answer(CommitOutcome.Committed(new(5))))));
        Assert.Equal(4, _sent);
        _sent = 0;
        var e = await FailAsync(CommitAsync(false, Stop, Unanswered(how), Answer(CommitOutcome.FromFuture)));
        Assert.Equal((QuicksilverErrorCode.OutcomeUnknown, WriteOutcome.Unknown), (e.Code, e.Outcome));
    }

    [Fact]
    public async Task An_id_from_the_future_that_nobody_else_knows_is_handed_back_at_once()
    {
        Assert.Equal(CommitOutcome.FromFuture, await EndAsync(CommitAsync(false, Stop, Answer(CommitOutcome.Unavailable), Answer(CommitOutcome.FromFuture))));
        Assert.Equal(2, _sent);
    }

    [Theory]
    [InlineData(CommitKind.Unavailable)]
    [InlineData(CommitKind.Overloaded)]
    [InlineData(CommitKind.FromFuture)]
    [InlineData(CommitKind.Expired)]
    public async Task A_write_that_the_caller_names_is_unknown_although_this_call_was_refused(CommitKind kind)
    {
        var refusal = kind switch
        {
            CommitKind.Unavailable => CommitOutcome.Unavailable,
            CommitKind.Overloaded => CommitOutcome.Overloaded(TimeSpan.FromMilliseconds(1)),
            CommitKind.FromFuture => CommitOutcome.FromFuture,
            _ => CommitOutcome.Expired,
        };
        var e = await FailAsync(CommitAsync(true, Stop, Answer(refusal)));
        Assert.Equal((QuicksilverErrorCode.OutcomeUnknown, WriteOutcome.Unknown), (e.Code, e.Outcome));
    }

    [Theory]
    [InlineData(false, WriteOutcome.NotCommitted)]
    [InlineData(true, WriteOutcome.Unknown)]
    public async Task Without_a_link_only_a_write_that_the_caller_names_may_have_happened(bool isKnownId, WriteOutcome outcome)
    {
        _link.GoDown();
        var e = await FailAsync(CommitAsync(isKnownId, Stop, NeverAsync), isAnswered: false);
        Assert.Equal((QuicksilverErrorCode.Unavailable, outcome), (e.Code, e.Outcome));
        Assert.Equal(0, _sent);
    }

    [Theory]
    [MemberData(nameof(UnansweredTries))]
    public async Task A_write_without_an_answer_until_the_deadline_is_unknown(string how)
    {
        var isAnswered = how != "no answer in time";
        var e = await FailAsync(CommitAsync(false, Stop, Unanswered(how), isAnswered ? Answer(CommitOutcome.Unavailable) : NeverAsync), isAnswered);
        Assert.Equal((QuicksilverErrorCode.OutcomeUnknown, WriteOutcome.Unknown), (e.Code, e.Outcome));
    }

    [Fact]
    public async Task A_caller_that_stops_waiting_for_an_answer_hears_that_the_write_may_have_happened()
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var commit = CommitAsync(false, patience.Token, NeverAsync);
        Assert.Equal(1, _sent);
        await patience.CancelAsync();
        AssertUncertain(await Assert.ThrowsAnyAsync<OperationCanceledException>(() => commit));
    }

    [Theory]
    [InlineData("error")]
    [InlineData("lost leader")]
    public async Task A_caller_that_stops_waiting_between_two_tries_hears_that_the_write_may_have_happened(string how)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var commit = CommitAsync(false, patience.Token, Unanswered(how));
        Assert.Equal((1, false), (_sent, commit.IsCompleted));
        await patience.CancelAsync();
        AssertUncertain(await Assert.ThrowsAnyAsync<OperationCanceledException>(() => commit));
    }

    [Fact]
    public async Task A_caller_that_stops_waiting_for_a_new_link_hears_that_the_write_may_have_happened()
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var commit = CommitAsync(false, patience.Token, (_, _) =>
        {
            _link.GoDown();
            throw new IOException("The connection broke.");
        });
        _time.Advance(TimeSpan.FromSeconds(1));
        await patience.CancelAsync();
        AssertUncertain(await Assert.ThrowsAnyAsync<OperationCanceledException>(() => commit));
    }

    [Fact]
    public async Task A_caller_that_stops_waiting_before_anything_was_sent_hears_nothing_of_a_write()
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        _link.GoDown();
        var commit = CommitAsync(false, patience.Token, NeverAsync);
        await patience.CancelAsync();
        Assert.Null((await Assert.ThrowsAnyAsync<OperationCanceledException>(() => commit)).InnerException);
        Assert.Equal(0, _sent);
    }

    [Fact]
    public async Task A_caller_that_had_given_up_before_it_began_hears_nothing_of_a_write()
    {
        Assert.Null((await Assert.ThrowsAnyAsync<OperationCanceledException>(() => CommitAsync(false, new(canceled: true), NeverAsync))).InnerException);
        Assert.Equal(0, _sent);
    }

    [Fact]
    public async Task A_write_that_was_on_its_way_when_the_client_was_disposed_is_unknown_and_not_tried_again()
    {
        var e = await FailAsync(CommitAsync(false, Stop, async (session, cancellation) =>
        {
            Assert.True(_caller.Close());
            await _link.ReplaceSessionAsync();
            return await NeverAsync(session, cancellation);
        }));
        Assert.Equal((QuicksilverErrorCode.OutcomeUnknown, WriteOutcome.Unknown, 1), (e.Code, e.Outcome, _sent));
        Assert.Contains("disposed", e.Message, StringComparison.Ordinal);
        Assert.False(_caller.Close());
        Assert.Throws<ObjectDisposedException>(() => _caller.Begin());
    }

    [Fact]
    public async Task A_write_that_was_certainly_refused_before_the_client_was_disposed_did_not_happen()
    {
        await Assert.ThrowsAsync<ObjectDisposedException>(() => EndAsync(CommitAsync(false, Stop, (_, _) =>
        {
            _caller.Close();
            return Task.FromResult(new MergedOutcomes(new([CommitOutcome.Unavailable]), default));
        })));
        Assert.Equal(1, _sent);
    }

    [Fact]
    public async Task A_write_that_waited_for_a_link_when_the_client_was_disposed_was_never_sent()
    {
        _link.GoDown();
        var commit = CommitAsync(false, Stop, NeverAsync);
        Assert.True(_caller.Close());
        await _link.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => commit);
        Assert.Equal(0, _sent);
    }

    [Fact]
    public async Task A_write_that_found_the_hub_overloaded_until_its_deadline_says_so_and_when_to_come_again()
    {
        var wait = TimeSpan.FromMilliseconds(700);
        var e = await FailAsync(CommitAsync(false, Stop, Answer(CommitOutcome.Overloaded(wait))));
        Assert.Equal((QuicksilverErrorCode.Overloaded, WriteOutcome.NotCommitted, (TimeSpan?)wait, true), (e.Code, e.Outcome, e.RetryAfter, e.IsTransient));
    }

    [Fact]
    public async Task Only_a_write_whose_fate_the_hub_can_tell_is_to_be_asked_for_again()
    {
        Assert.Contains($"Ask again with operation id {Id}", (await FailAsync(CommitAsync(false, Stop, Answer(CommitOutcome.Unknown)))).Message, StringComparison.Ordinal);
        var forgotten = (await FailAsync(CommitAsync(true, Stop, Answer(CommitOutcome.Expired)))).Message;
        Assert.DoesNotContain("Ask again", forgotten, StringComparison.Ordinal);
        Assert.Contains("Read what it was to change", forgotten, StringComparison.Ordinal);
    }

    private static void AssertUncertain(OperationCanceledException e)
    {
        var inner = Assert.IsType<QuicksilverException>(e.InnerException);
        Assert.Equal((QuicksilverErrorCode.OutcomeUnknown, WriteOutcome.Unknown, (OperationId?)Id), (inner.Code, inner.Outcome, inner.OperationId));
    }

    public ValueTask DisposeAsync() => _link.DisposeAsync();
}
