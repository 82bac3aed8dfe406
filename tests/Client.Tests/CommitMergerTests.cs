using CsCheck;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: commits of many callers share calls, and each caller gets its own outcomes, or the fate of its call. Method: a send
/// that the test answers when it likes; each command carries a number, each outcome gives it back.
/// </summary>
public sealed class CommitMergerTests
{
    private readonly List<Call> _calls = [];

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private sealed record Call(List<int> Numbers, int Bytes, TaskCompletionSource<CommitManyAnswer> Answer);

    private CommitMerger Merger() => new(
        request =>
        {
            var commands = CommandBatch.Unpack(request.Commands);
            var call = new Call(
                [.. commands.Select(command => BitConverter.ToInt32(command.Span))], commands.Sum(command => command.Length),
                new(TaskCreationOptions.RunContinuationsAsynchronously));
            lock (_calls)
            {
                _calls.Add(call);
            }

            return call.Answer.Task;
        });

    private async Task<Call> Called(int number)
    {
        await Eventually.TrueAsync(() => { lock (_calls) { return _calls.Count > number; } }, $"call {number}", Stop);
        lock (_calls)
        {
            return _calls[number];
        }
    }

    private static ReadOnlyMemory<byte> Command(int number, int size = 4)
    {
        var bytes = new byte[size];
        BitConverter.TryWriteBytes(bytes, number);
        return bytes;
    }

    private static Task<MergedOutcomes> Commit(CommitMerger merger, params int[] numbers) =>
        merger.CommitAsync([.. numbers.Select(number => Command(number))], Stop);

    private static void Answer(Call call) => call.Answer.SetResult(
        new([.. call.Numbers.Select(number => CommitOutcome.Committed(new(number)))], new(new(1, 2), default, new(call.Numbers.Count), "gateway")));

    private static long[] Numbers(MergedOutcomes merged) => [.. merged.Outcomes.Select(outcome => outcome.Revision.Value)];

    [Fact]
    public async Task A_lone_commit_goes_at_once_and_alone()
    {
        var commit = Commit(Merger(), 1, 2);
        var call = Assert.Single(_calls);
        Assert.Equal([1, 2], call.Numbers);
        Answer(call);
        var merged = await commit;
        Assert.Equal([1L, 2], Numbers(merged));
        Assert.Equal("gateway", merged.Context.WriteGateway);
    }

    [Fact]
    public async Task What_comes_while_a_call_is_on_its_way_goes_with_the_next_in_order()
    {
        var merger = Merger();
        var first = Commit(merger, 1);
        var others = new[] { Commit(merger, 2, 3), Commit(merger, 4), Commit(merger), Commit(merger, 5, 6) };
        Assert.Single(_calls);
        Answer(_calls[0]);
        Assert.Equal((List<long>)[1], Numbers(await first));

        var second = await Called(1);
        Assert.Equal([2, 3, 4, 5, 6], second.Numbers);
        Assert.All(others, commit => Assert.False(commit.IsCompleted));
        Answer(second);
        Assert.Equal(new long[][] { [2, 3], [4], [], [5, 6] }, (await Task.WhenAll(others)).Select(Numbers));
        Assert.Equal(2, _calls.Count);
    }

    [Fact]
    public async Task A_failed_call_fails_all_of_its_batch_and_nobody_else()
    {
        var merger = Merger();
        var first = Commit(merger, 1);
        var batch = new[] { Commit(merger, 2), Commit(merger, 3) };
        _calls[0].Answer.SetException(new IOException("first"));
        Assert.Equal("first", (await Assert.ThrowsAsync<IOException>(() => first)).Message);

        var second = await Called(1);
        var later = Commit(merger, 4);
        second.Answer.SetException(new IOException("second"));
        foreach (var commit in batch)
        {
            Assert.Equal("second", (await Assert.ThrowsAsync<IOException>(() => commit)).Message);
        }

        Answer(await Called(2));
        Assert.Equal((List<long>)[4], Numbers(await later));
    }

    [Fact]
    public async Task A_send_that_throws_at_once_is_the_fate_of_its_batch_too()
    {
        var merger = new CommitMerger(_ => throw new InvalidOperationException("no link"));
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal("no link", (await Assert.ThrowsAsync<InvalidOperationException>(() => Commit(merger, i))).Message);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public async Task An_answer_with_another_number_of_outcomes_is_nobodys_answer(int outcomes)
    {
        var commit = Commit(Merger(), 1, 2);
        _calls[0].Answer.SetResult(new([.. Enumerable.Repeat(CommitOutcome.Committed(new(1)), outcomes)], default));
        await Assert.ThrowsAsync<MalformedDataException>(() => commit);
    }

    [Fact]
    public async Task A_batch_ends_at_the_cap_of_commands()
    {
        var merger = Merger();
        var first = Commit(merger, 0);
        var sizes = new[] { Limits.MaxCommandsPerBatch - 1, 1, 1 };
        var commits = sizes.Select(size => merger.CommitAsync([.. Enumerable.Repeat(Command(7), size)], Stop)).ToList();
        Answer(_calls[0]);
        Assert.Equal(Limits.MaxCommandsPerBatch, (await Called(1)).Numbers.Count);
        Answer(await Called(1));
        Assert.Single((await Called(2)).Numbers);
        Answer(await Called(2));
        await first;
        Assert.Equal(sizes, (await Task.WhenAll(commits)).Select(merged => merged.Outcomes.Count));
    }

    [Fact]
    public async Task A_batch_ends_at_the_cap_of_bytes_and_a_larger_commit_goes_alone()
    {
        var merger = Merger();
        var first = Commit(merger, 0);
        var commits = new[] { Limits.MaxBatchBytes - 10, 10, 11, Limits.MaxTransactionBytes, 12 }
            .Select((size, number) => merger.CommitAsync([Command(number, size)], Stop)).ToList();
        Answer(_calls[0]);
        var number = 1;
        foreach (var expected in new int[][] { [0, 1], [2], [3], [4] })
        {
            var call = await Called(number++);
            Assert.Equal(expected, call.Numbers);
            Answer(call);
        }

        await Task.WhenAll([first, .. commits]);
    }

    [Fact]
    public async Task What_its_caller_gave_up_before_it_was_sent_is_not_sent_and_the_others_are()
    {
        var merger = Merger();
        var first = Commit(merger, 1);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var impatient = merger.CommitAsync([Command(2)], patience.Token);
        var patient = Commit(merger, 3);
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => impatient);
        Answer(_calls[0]);
        var second = await Called(1);
        Assert.Equal([3], second.Numbers);
        Answer(second);
        Assert.Equal((List<long>)[1], Numbers(await first));
        Assert.Equal((List<long>)[3], Numbers(await patient));
    }

    [Fact]
    public async Task What_waits_is_bounded_and_beyond_it_the_answer_is_overloaded()
    {
        var merger = Merger();
        var sent = Commit(merger, 0);
        var waiting = merger.CommitAsync([.. Enumerable.Repeat((ReadOnlyMemory<byte>)BitConverter.GetBytes(1), CommitMerger.MaxWaitingCommands)], Stop);
        var refused = await Commit(merger, 2);
        Assert.Equal([CommitKind.Overloaded], refused.Outcomes.Select(outcome => outcome.Kind));
        Assert.False(waiting.IsCompleted);
        Answer(_calls[0]);
        await sent;
    }

    [Fact]
    public async Task Many_callers_at_once_each_get_their_own() => await Gen.Int[0, 4].Array[1, 40].SampleAsync(
        async sizes =>
        {
            var merger = new CommitMerger(async request =>
            {
                await Task.Yield();
                return new([.. CommandBatch.Unpack(request.Commands).Select(c => CommitOutcome.Committed(new(BitConverter.ToInt32(c.Span))))], default);
            });
            await Task.WhenAll(sizes.Select((size, caller) => Task.Run(async () =>
            {
                for (var round = 0; round < 3; round++)
                {
                    var numbers = Enumerable.Range(0, size).Select(i => (caller * 1_000) + (round * 10) + i).ToArray();
                    Assert.Equal(numbers.Select(number => (long)number), Numbers(await Commit(merger, numbers)));
                }
            })));
        },
        iter: 50);
}
