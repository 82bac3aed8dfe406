using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: the sequencer answers every caller, whatever the consensus log does. Method: a real store and applier behind a
/// consensus log that a test scripts, with fake time.
/// </summary>
public sealed class SequencerTests : IAsyncDisposable
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000));
    private readonly ScriptedLog _log = new();
    private readonly Sequencer _sequencer;

    public SequencerTests()
    {
        _hub = new(_directory.Sub("hub"));
        _sequencer = new(_log, _hub.Store, new HubLogClock(_hub.Store, () => true, _time), new() { MaxQueuedCommands = 2 }, 77, _time, NullLogger<Sequencer>.Instance);
        _log.Apply = entry => _sequencer.OnApplied(_hub.Applier.Apply(new(_hub.Index.Value + 1), entry.Span)!);
        _sequencer.Start();
    }

    private Task<CommitOutcome[]> Commit(string key) =>
        _sequencer.CommitAsync([_hub.Commands.Put(HubStore.Flags, key, "v")], Stop).AsTask();

    [Fact]
    public async Task A_command_is_answered_with_the_outcome_of_its_entry()
    {
        Assert.Equal([CommitOutcome.Committed(new(2))], await Commit("a"));
        Assert.Equal([CommitOutcome.Committed(new(3))], await Commit("a"));
    }

    [Fact]
    public async Task Commands_that_come_while_an_entry_is_on_its_way_share_the_next_one()
    {
        var gate = _log.HoldNext();
        var first = Commit("a");
        await _log.Proposed(1);
        var (second, third) = (Commit("b"), Commit("c"));
        Assert.Equal([CommitKind.Overloaded], (await Commit("d")).Select(outcome => outcome.Kind));
        gate.SetResult(ProposeResult.Applied);
        Assert.Equal([2L, 3L, 4L], (await Task.WhenAll(first, second, third)).Select(outcomes => outcomes[0].Revision.Value));
        Assert.Equal(2, _log.Proposals);
    }

    [Fact]
    public async Task A_member_that_does_not_lead_proposes_nothing()
    {
        _log.IsLeader = false;
        Assert.Equal([CommitOutcome.Unavailable], await Commit("a"));
        Assert.Null(await _sequencer.ReadBarrierAsync(Stop));
        Assert.Equal(0, _log.Proposals);
    }

    [Fact]
    public async Task A_proposal_of_unknown_fate_is_answered_unknown_after_the_grace_and_not_before()
    {
        _log.HoldNext().SetResult(ProposeResult.Unknown);
        var lost = Commit("a");
        await _log.Proposed(1);

        // The next one passes; only then is the expiry of the first surely armed.
        Assert.Equal([CommitKind.Committed], (await Commit("b")).Select(outcome => outcome.Kind));
        _time.Advance(new SequencerOptions().UnknownGrace - TimeSpan.FromMilliseconds(1));
        Assert.False(lost.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal([CommitOutcome.Unknown], await lost);
    }

    [Fact]
    public async Task A_proposal_of_unknown_fate_that_is_applied_in_time_is_answered_with_its_outcome()
    {
        _log.HoldNext().SetResult(ProposeResult.Unknown);
        var lost = Commit("a");
        await _log.Proposed(1);
        Assert.Equal([CommitOutcome.Committed(new(2))], await Commit("b"));
        _log.Apply!(_log.Entries[0]);
        Assert.Equal([CommitOutcome.Committed(new(3))], await lost);
    }

    [Fact]
    public async Task A_consensus_log_that_throws_is_a_fate_unknown_and_not_the_end()
    {
        _log.HoldNext().SetException(new IOException("disk"));
        var lost = Commit("a");
        await _log.Proposed(1);
        Assert.Equal([CommitKind.Committed], (await Commit("b")).Select(outcome => outcome.Kind));
        _time.Advance(new SequencerOptions().UnknownGrace);
        Assert.Equal([CommitOutcome.Unknown], await lost);
    }

    [Fact]
    public async Task A_proposal_whose_entry_the_store_took_for_one_it_had_is_answered_unknown()
    {
        _log.Apply = _ => { };
        Assert.Equal([CommitOutcome.Unknown], await Commit("a").WaitAsync(Eventually.Deadline, Stop));
    }

    [Fact]
    public async Task A_caller_that_stops_waiting_does_not_undo_its_command()
    {
        var gate = _log.HoldNext();
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var commit = _sequencer.CommitAsync([_hub.Commands.Put(HubStore.Flags, "a", "1")], patience.Token).AsTask();
        await _log.Proposed(1);
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => commit);
        gate.SetResult(ProposeResult.Applied);
        Assert.Equal([CommitOutcome.Committed(new(3))], await Commit("b"));
        Assert.Equal("1", _hub.Get("a"));
    }

    [Fact]
    public async Task A_stop_completes_what_was_taken_and_refuses_what_comes_later()
    {
        var gate = _log.HoldNext();
        var taken = Commit("a");
        await _log.Proposed(1);
        var queued = Commit("b");
        var stop = _sequencer.StopAsync();
        Assert.Equal([CommitOutcome.Unavailable], await Commit("c"));
        gate.SetResult(ProposeResult.Applied);
        await stop;
        Assert.Equal([CommitOutcome.Committed(new(2))], await taken);
        Assert.Equal([CommitOutcome.Committed(new(3))], await queued);
    }

    [Fact]
    public async Task A_command_that_races_with_the_stop_is_answered()
    {
        // The stop falls between the caller's look at the state and its place in the queue.
        _log.OnLeadership = () =>
        {
            _log.OnLeadership = null;
            _sequencer.StopAsync().GetAwaiter().GetResult();
        };

        // On a thread of its own, because it blocks, and what it waits for may need one of the pool.
        var commit = Task.Factory.StartNew(() => Commit("a"), Stop, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap();
        var outcomes = await commit.WaitAsync(Eventually.Deadline, Stop);
        Assert.Equal(CommitKind.Unavailable, outcomes[0].Kind);
    }

    public async ValueTask DisposeAsync()
    {
        await _sequencer.DisposeAsync();
        _hub.Dispose();
        _directory.Dispose();
    }

    /// <summary>A consensus log of one member: applies each entry at once, or answers what the test says.</summary>
    private sealed class ScriptedLog : IConsensusLog
    {
        private readonly Queue<TaskCompletionSource<ProposeResult>> _held = new();

        public Action<ReadOnlyMemory<byte>>? Apply { get; set; }

        public Action? OnLeadership { get; set; }

        public bool IsLeader { get; set; } = true;

        public List<byte[]> Entries { get; } = [];

        public int Proposals => Volatile.Read(ref _proposals);

        private int _proposals;

        public Leadership Leadership
        {
            get
            {
                OnLeadership?.Invoke();
                return new(IsLeader, new(1), null);
            }
        }

        public TaskCompletionSource<ProposeResult> HoldNext()
        {
            var held = new TaskCompletionSource<ProposeResult>(TaskCreationOptions.RunContinuationsAsynchronously);
            _held.Enqueue(held);
            return held;
        }

        public Task Proposed(int count) => Eventually.TrueAsync(() => Proposals >= count, "a proposal", Stop);

        public async ValueTask<ProposeResult> ProposeAsync(ReadOnlyMemory<byte> entry, CancellationToken cancellation)
        {
            Entries.Add(entry.ToArray());
            Interlocked.Increment(ref _proposals);
            var result = _held.TryDequeue(out var held) ? await held.Task : ProposeResult.Applied;
            if (result == ProposeResult.Applied)
            {
                Apply!(entry);
            }

            return result;
        }

        public ValueTask<bool> ReadBarrierAsync(CancellationToken cancellation) => new(IsLeader);
    }
}
