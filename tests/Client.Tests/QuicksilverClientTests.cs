using System.Reflection;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: one write is one operation id unless that is certain to have done nothing, and what the SDK says of it is true. Method:
/// a client over a link of the test; a command is its operation id, and each call is answered as the test says.
/// </summary>
public sealed class QuicksilverClientTests : IAsyncDisposable
{
    private static readonly OperationId Given = new(new(1_000), 1, 2);

    private readonly PausedTime _time = new();
    private readonly TestLink _link;
    private readonly QuicksilverClient _client;
    private readonly List<OperationId> _sent = [];
    private Call[] _calls = [];
    private bool _keyspaceIsGone;

    public QuicksilverClientTests()
    {
        _link = new(_time);
        _client = new(_link, new(), _time);
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>What becomes of one call.</summary>
    private delegate Task<CommitOutcome> Call();

    private static Call Answer(CommitOutcome outcome) => () => Task.FromResult(outcome);

    private static Task<CommitOutcome> BreakAsync() => throw new IOException("The connection broke.");

    /// <summary>An outcome of a kind that this build has no name for.</summary>
    private static CommitOutcome Newer() => (CommitOutcome)Activator.CreateInstance(
        typeof(CommitOutcome), BindingFlags.Instance | BindingFlags.NonPublic, null, [(CommitKind)200, new Revision(9), 0, null], null)!;

    /// <summary>Commits, while time goes on from pause to pause; the last of the calls stands for all that follow.</summary>
    private async Task<CommitResult> CommitAsync(OperationId? given, params Call[] calls)
    {
        _calls = calls;

        // What a client knows that has had an answer; without it, it would ask for the time first.
        _client.SessionState.Learn(new(new(1, 2), default, new(500), null), default);
        var deadline = _time.GetUtcNow() + QuicksilverClientOptions.DefaultDeadline;
        var commit = _client.CommitAsync(
            id =>
            {
                var command = new byte[OperationId.SizeBytes];
                id.Write(command);
                return new((command, 1, _ => async (request, _) =>
                {
                    _sent.AddRange(CommandBatch.Unpack(request.Commands).Select(bytes => OperationId.Read(bytes.Span)));

                    // As over a wire, no call is answered in line.
                    await Task.Yield();
                    return new([await _calls[Math.Min(_sent.Count, _calls.Length) - 1]()], default);
                }));
            },
            given, () => _keyspaceIsGone = true, "flags", _client.Caller.Begin(), Stop).AsTask();
        await Eventually.TrueAsync(
            () =>
            {
                _time.EndPause(deadline);
                return commit.IsCompleted;
            },
            "the end of the commit", Stop);
        return await commit;
    }

    private Task<QuicksilverException> FailAsync(OperationId? given, params Call[] calls) =>
        Assert.ThrowsAsync<QuicksilverException>(() => CommitAsync(given, calls));

    [Theory]
    [InlineData(CommitKind.FromFuture)]
    [InlineData(CommitKind.Expired)]
    public async Task A_new_id_that_was_refused_for_its_time_is_replaced_once(CommitKind kind)
    {
        var refusal = Answer(kind == CommitKind.Expired ? CommitOutcome.Expired : CommitOutcome.FromFuture);
        var result = await CommitAsync(null, refusal, Answer(CommitOutcome.Committed(new(5))));
        Assert.Equal((CommitStatus.Committed, new Revision(5), _sent[1]), (result.Status, result.Revision, result.OperationId));
        Assert.Equal(2, _sent.Distinct().Count());

        _sent.Clear();
        var e = await FailAsync(null, refusal);
        Assert.Equal((QuicksilverErrorCode.Unavailable, WriteOutcome.NotCommitted, (OperationId?)_sent[1]), (e.Code, e.Outcome, e.OperationId));
        Assert.Equal(2, _sent.Count);
    }

    [Fact]
    public async Task An_id_from_the_future_is_kept_once_a_try_with_it_was_not_answered()
    {
        var result = await CommitAsync(null, BreakAsync, Answer(CommitOutcome.FromFuture), Answer(CommitOutcome.Committed(new(5))));
        Assert.Equal(CommitStatus.Committed, result.Status);
        Assert.Equal(3, _sent.Count);
        Assert.Equal(result.OperationId, Assert.Single(_sent.Distinct()));
    }

    [Theory]
    [InlineData(CommitKind.FromFuture)]
    [InlineData(CommitKind.Expired)]
    public async Task An_id_that_the_caller_named_is_never_replaced_and_its_write_may_have_happened(CommitKind kind)
    {
        var e = await FailAsync(Given, Answer(kind == CommitKind.Expired ? CommitOutcome.Expired : CommitOutcome.FromFuture));
        Assert.Equal((QuicksilverErrorCode.OutcomeUnknown, WriteOutcome.Unknown, (OperationId?)Given), (e.Code, e.Outcome, e.OperationId));
        Assert.Equal(Given, Assert.Single(_sent.Distinct()));
    }

    [Fact]
    public async Task An_outcome_that_only_a_newer_hub_knows_is_unknown()
    {
        foreach (var outcome in new[] { Newer(), default })
        {
            _sent.Clear();
            var e = await FailAsync(null, Answer(outcome));
            Assert.Equal((QuicksilverErrorCode.OutcomeUnknown, WriteOutcome.Unknown, (OperationId?)_sent[0]), (e.Code, e.Outcome, e.OperationId));
            Assert.Single(_sent);
        }
    }

    [Fact]
    public async Task Too_many_rows_for_a_prefix_delete_are_a_request_that_was_certainly_refused()
    {
        var e = await FailAsync(null, Answer(CommitOutcome.TooManyRows(new(7))));
        Assert.Equal((QuicksilverErrorCode.InvalidRequest, WriteOutcome.NotCommitted, (OperationId?)_sent[0]), (e.Code, e.Outcome, e.OperationId));
        Assert.Contains("revision 7", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_keyspace_that_is_gone_is_looked_up_once_more()
    {
        var result = await CommitAsync(null, Answer(CommitOutcome.KeyspaceNotFound), Answer(CommitOutcome.Committed(new(5))));
        Assert.Equal((CommitStatus.Committed, true), (result.Status, _keyspaceIsGone));
        _sent.Clear();
        var e = await FailAsync(null, Answer(CommitOutcome.KeyspaceNotFound));
        Assert.Equal((QuicksilverErrorCode.KeyspaceNotFound, WriteOutcome.NotCommitted, 2), (e.Code, e.Outcome, _sent.Count));
    }

    [Theory]
    [InlineData(false, WriteOutcome.NotCommitted)]
    [InlineData(true, WriteOutcome.Unknown)]
    public async Task Where_nothing_could_be_sent_only_a_write_that_the_caller_names_may_have_happened(bool isGiven, WriteOutcome outcome)
    {
        _client.SessionState.Learn(new(new(1, 2), default, new(500), null), default);
        OperationId? given = isGiven ? Given : null;
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await _client.CommitAsync(
            _ => throw new QuicksilverException(QuicksilverErrorCode.KeyspaceNotFound, "There is no keyspace 'flags'."), given, null, "flags", _client.Caller.Begin(), Stop));
        Assert.Equal((QuicksilverErrorCode.KeyspaceNotFound, outcome, given), (e.Code, e.Outcome, e.OperationId));
    }

    [Fact]
    public async Task A_try_after_a_lost_session_goes_over_the_new_one_and_does_not_wait_for_calls_of_the_old_one()
    {
        var result = await CommitAsync(
            null,
            async () =>
            {
                await _link.ReplaceSessionAsync();
                return await new TaskCompletionSource<CommitOutcome>().Task;
            },
            Answer(CommitOutcome.Committed(new(5))));
        Assert.Equal((CommitStatus.Committed, 2), (result.Status, _sent.Count));
    }

    public ValueTask DisposeAsync() => _client.DisposeAsync();
}
