using System.Net;
using DotNext.IO.Log;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: what a member has acknowledged is on its disk and stays in its log. Method: both logs alone, asked as a leader asks them,
/// closed and opened again.
/// </summary>
public sealed class RaftLogTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly DataDirectory _data;
    private readonly NodeStore _store;

    public RaftLogTests()
    {
        _data = DataDirectory.Take(_directory.Sub("hub"));
        _store = NodeStore.Open(_data, new() { Node = NodeId.Parse("hub-0") });
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private async Task<IRaftLog> OpenAsync(RaftLogKind kind)
    {
        var machine = new HubStateMachine(_store, new(_store, OperationWindow.Default), new(), _ => { });
        IRaftLog log = kind == RaftLogKind.Files
            ? new DurableWriteAheadLog(
                new() { Location = _directory.Sub("raft"), ChunkSize = 1 << 20, HashAlgorithm = WriteAheadLog.IntegrityHashAlgorithm.XxHash3 }, machine)
            : Load(machine);
        await log.InitializeAsync(Stop);
        return log;
    }

    private RaftLog Load(HubStateMachine machine)
    {
        var log = new RaftLog(new() { Location = _directory.Sub("raft/library") }, RaftLogStore.Open(_store, _directory.Sub("raft")), _store, machine);
        log.Load();
        return log;
    }

    /// <summary>The store has the state up to an entry, as that of a member that joins with a copy.</summary>
    private void HaveApplied(long index)
    {
        var batch = new ApplyBatch(_store);
        batch.Begin();
        batch.Commit(new(index), new(1));
    }

    private static ValueTask InstallFloorAsync(IRaftLog log, long index, long term) =>
        log.AppendAsync(new LogFloor(new(new(index), new(term))), index, Stop);

    private static ValueTask AppendAsync(IAuditTrail<IRaftLogEntry> log, long start, params long[] terms) =>
        log.AppendAsync(new Request(terms), start, skipCommitted: true, Stop);

    private static BinaryLogEntry Command(long term) => new() { Content = new byte[10], Term = term, CommandId = 99 };

    private static async Task<List<long>> TermsAsync(IAuditTrail<IRaftLogEntry> log, long end) =>
        await log.ReadAsync(new TermReader(), 1, end, Stop);

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task A_late_shorter_copy_of_a_request_does_not_cut_off_what_came_since(RaftLogKind kind)
    {
        await using var log = await OpenAsync(kind);
        await AppendAsync(log, 1, 1, 1, 1);
        await AppendAsync(log, 4, 1, 1);
        await AppendAsync(log, 1, 1, 1, 1);
        Assert.Equal(5, log.LastEntryIndex);
        Assert.Equal([1, 1, 1, 1, 1], await TermsAsync(log, 5));
    }

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task An_entry_of_another_term_replaces_what_is_there_and_all_that_follows_also_after_a_restart(RaftLogKind kind)
    {
        await using (var log = await OpenAsync(kind))
        {
            await AppendAsync(log, 1, 1, 1, 1, 1);
            await AppendAsync(log, 2, 1, 2, 2);
            Assert.Equal(4, log.LastEntryIndex);
            await AppendAsync(log, 3, 3);
            Assert.Equal(3, log.LastEntryIndex);
            Assert.Equal([1, 1, 3], await TermsAsync(log, 3));
        }

        await using var again = await OpenAsync(kind);
        Assert.Equal(3, again.LastEntryIndex);
        Assert.Equal([1, 1, 3], await TermsAsync(again, 3));
    }

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task A_request_that_breaks_off_leaves_the_log_as_it_was(RaftLogKind kind)
    {
        await using (var log = await OpenAsync(kind))
        {
            await AppendAsync(log, 1, 1, 1, 1);
            await Assert.ThrowsAsync<IOException>(async () =>
                await log.AppendAsync(new Request([2, 2], breaksAfter: 1), 2, skipCommitted: true, Stop));
            Assert.Equal(3, log.LastEntryIndex);
            Assert.Equal([1, 1, 1], await TermsAsync(log, 3));
            await AppendAsync(log, 4, 3);
        }

        await using var again = await OpenAsync(kind);
        Assert.Equal([1, 1, 1, 3], await TermsAsync(again, 4));
    }

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task A_reader_gets_about_a_megabyte_of_entries_and_at_least_one(RaftLogKind kind)
    {
        await using var log = await OpenAsync(kind);
        await log.AppendAsync(new Request([1, 1, 1, 1, 1, 1, 1, 1], size: 300_000), 1, skipCommitted: true, Stop);
        Assert.Equal(3, (await log.ReadAsync(new TermReader(metadataOnly: false), 1, 8, Stop)).Count);
        Assert.Equal(8, (await TermsAsync(log, 8)).Count);
        await log.AppendAsync(new Request([1], size: 3_000_000), 9, skipCommitted: true, Stop);
        Assert.Single(await log.ReadAsync(new TermReader(metadataOnly: false), 9, 9, Stop));
    }

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task A_leader_that_was_deposed_appends_nothing_neither_in_its_own_term_nor_in_the_next(RaftLogKind kind)
    {
        await using var log = await OpenAsync(kind);
        await log.UpdateTermAsync(2, resetLastVote: true, Stop);
        Assert.Equal(1, await log.AppendAsync(new EmptyLogEntry { Term = 2 }, Stop));
        Assert.Equal(2, await log.AppendAsync(Command(2), Stop));
        Assert.Equal(new(2), log.LeadingTerm);

        // It has heard of the next leader, and whoever proposes has not yet.
        await log.UpdateTermAsync(3, resetLastVote: true, Stop);
        await Assert.ThrowsAsync<StaleLeadershipException>(async () => await log.AppendAsync(Command(2), Stop));
        await Assert.ThrowsAsync<StaleLeadershipException>(async () => await log.AppendAsync(Command(3), Stop));
        Assert.Equal(2, log.LastEntryIndex);
        await AppendAsync(log, 3, 3);
        await Assert.ThrowsAsync<StaleLeadershipException>(async () => await log.AppendAsync(Command(3), Stop));
        Assert.Equal([2, 2, 3], await TermsAsync(log, 3));
    }

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task A_hub_of_one_leads_from_its_start_in_the_term_it_has(RaftLogKind kind)
    {
        await using (var log = await OpenAsync(kind))
        {
            await log.UpdateTermAsync(7, resetLastVote: true, Stop);
        }

        await using var again = await OpenAsync(kind);
        Assert.Equal(1, await again.AppendAsync(Command(7), Stop));
    }

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task A_hub_of_one_commits_after_a_restart_what_it_had_not_before(RaftLogKind kind)
    {
        await using (var log = await OpenAsync(kind))
        {
            await AppendAsync(log, 1, 1, 1);
        }

        await using var again = await OpenAsync(kind);
        Assert.Equal(2, await again.CommitAsync(2, Stop));
        Assert.Equal(2, again.LastCommittedEntryIndex);
    }

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task A_follower_commits_no_more_than_what_it_has_of_the_leader(RaftLogKind kind)
    {
        await using var log = await OpenAsync(kind);
        await AppendAsync(log, 1, 1, 1, 1);

        // The leader has committed three entries and has told of the first; the other two here are of a leader before.
        await AppendAsync(log, 1, 1);
        Assert.Equal(1, await log.CommitAsync(3, Stop));
        await AppendAsync(log, 2, 2, 2);
        Assert.Equal(2, await log.CommitAsync(3, Stop));
        Assert.Equal([1, 2, 2], await TermsAsync(log, 3));
    }

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task Term_and_vote_are_there_after_a_restart(RaftLogKind kind)
    {
        var candidate = ClusterMemberId.FromEndPoint(new IPEndPoint(IPAddress.Loopback, 4001));
        var other = ClusterMemberId.FromEndPoint(new IPEndPoint(IPAddress.Loopback, 4002));
        await using (var log = await OpenAsync(kind))
        {
            Assert.True(log.IsVotedFor(candidate));
            Assert.Equal(1, await log.IncrementTermAsync(other, Stop));
            Assert.False(log.IsVotedFor(candidate));
            await log.UpdateTermAsync(5, resetLastVote: true, Stop);
            Assert.True(log.IsVotedFor(candidate));
            await log.UpdateVotedForAsync(candidate, Stop);
        }

        await using var again = await OpenAsync(kind);
        Assert.Equal(5, again.Term);
        Assert.True(again.IsVotedFor(candidate));
        Assert.False(again.IsVotedFor(other));
        await again.UpdateTermAsync(6, resetLastVote: false, Stop);
        Assert.False(again.IsVotedFor(other));
    }

    [Fact]
    public async Task A_commit_of_a_leader_waits_until_its_own_disk_has_the_entry()
    {
        var disk = new StalledDisk(RaftLogStore.Open(_store, _directory.Sub("raft")));
        await using var log = new RaftLog(
            new() { Location = _directory.Sub("raft/library") }, disk, _store, new(_store, new(_store, OperationWindow.Default), new(), _ => { }));
        log.Load();
        await ((IAuditTrail)log).InitializeAsync(Stop);
        await ((IPersistentState)log).UpdateTermAsync(1, resetLastVote: true, Stop);
        disk.Stall();
        var index = await ((IAuditTrail<IRaftLogEntry>)log).AppendAsync(new EmptyLogEntry { Term = 1 }, Stop);
        var committing = ((IAuditTrail)log).CommitAsync(index, Stop).AsTask();
        await disk.Stalling.WaitAsync(Eventually.Deadline, Stop);
        Assert.False(committing.IsCompleted);
        disk.GoOn();
        Assert.Equal(1, await committing.WaitAsync(Eventually.Deadline, Stop));
    }

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task A_leader_commits_what_others_appended_only_together_with_an_entry_of_its_own(RaftLogKind kind)
    {
        await using var log = await OpenAsync(kind);
        await AppendAsync(log, 1, 2, 2);
        await log.UpdateTermAsync(4, resetLastVote: true, Stop);
        Assert.Equal(3, await log.AppendAsync(new EmptyLogEntry { Term = 4 }, Stop));

        // A majority has the first two. They can still be replaced: whoever led in term 3 may be elected by others.
        Assert.Equal(0, await log.CommitAsync(2, Stop));
        Assert.Equal(0, log.LastCommittedEntryIndex);
        Assert.Equal(3, await log.CommitAsync(3, Stop));
        Assert.Equal(3, log.LastCommittedEntryIndex);
    }

    [Theory]
    [InlineData(RaftLogKind.Database)]
    [InlineData(RaftLogKind.Files)]
    public async Task A_member_that_joins_takes_the_floor_of_the_leader_and_what_comes_after_it(RaftLogKind kind)
    {
        HaveApplied(10);
        await using (var log = await OpenAsync(kind))
        {
            await InstallFloorAsync(log, 5, 2);
            Assert.Equal((5, 5), (log.LastEntryIndex, log.LastCommittedEntryIndex));
            await AppendAsync(log, 6, 2, 2, 3);
            Assert.Equal(3, await log.CommitAsync(8, Stop));
            await log.WaitForApplyAsync(8, Stop);

            // The leader has cut its log again meanwhile, past what this member has got.
            await InstallFloorAsync(log, 9, 3);
            await AppendAsync(log, 10, 3, 4);
            Assert.Equal(11, log.LastEntryIndex);
            Assert.Equal([3, 3, 4], await log.ReadAsync(new TermReader(), 9, 11, Stop));
        }

        await using var again = await OpenAsync(kind);
        Assert.Equal(11, again.LastEntryIndex);
        Assert.Equal([3, 3, 4], await again.ReadAsync(new TermReader(), 9, 11, Stop));
        Assert.Equal([3], await again.ReadAsync(new TermReader(), 10, 10, Stop));
    }

    [Fact]
    public async Task A_floor_among_entries_that_are_there_commits_them_and_keeps_what_comes_after()
    {
        await using var log = await OpenAsync(RaftLogKind.Database);
        await AppendAsync(log, 1, 1, 1, 2, 2);

        // Its state is behind, its log is not: nothing is lost, and nothing to be repaired.
        await InstallFloorAsync(log, 3, 2);
        Assert.Equal((4, 3), (log.LastEntryIndex, log.LastCommittedEntryIndex));
        await log.WaitForApplyAsync(3, Stop);
    }

    [Fact]
    public async Task A_floor_takes_the_place_of_entries_of_another_leader_for_good()
    {
        HaveApplied(10);
        await using (var log = await OpenAsync(RaftLogKind.Database))
        {
            await AppendAsync(log, 1, 1, 1, 1, 1, 1, 1, 1, 1);
            await InstallFloorAsync(log, 4, 2);
            Assert.Equal((4, 4), (log.LastEntryIndex, log.LastCommittedEntryIndex));
        }

        await using var again = await OpenAsync(RaftLogKind.Database);
        Assert.Equal(4, again.LastEntryIndex);
        Assert.Equal([2], await again.ReadAsync(new TermReader(), 4, 4, Stop));
    }

    [Fact]
    public async Task A_leader_whose_log_begins_before_this_one_may_ask_again_for_what_it_has_sent_below_the_floor()
    {
        HaveApplied(20);
        await using var log = await OpenAsync(RaftLogKind.Database);
        await InstallFloorAsync(log, 10, 7);
        await InstallFloorAsync(log, 3, 4);
        await AppendAsync(log, 4, 4, 4, 5);
        await AppendAsync(log, 7, 5, 6);

        async Task<long> TermOf(long index) => Assert.Single(await log.ReadAsync(new TermReader(), index, index, Stop));

        async Task<string> TermsOf(long first, long last)
        {
            var terms = new List<long>();
            for (var index = first; index <= last; index++)
            {
                terms.Add(await TermOf(index));
            }

            return string.Join(' ', terms);
        }

        // Its answer was lost, so the leader begins again with the entry before.
        Assert.Equal("4 4 4 5 5 6", await TermsOf(3, 8));
        await AppendAsync(log, 4, 4, 4, 5);
        await AppendAsync(log, 7, 5, 6, 6, 7, 7);
        Assert.Equal((11, 7), (log.LastEntryIndex, await TermOf(11)));

        // Another leader, whose log begins elsewhere.
        await InstallFloorAsync(log, 6, 5);
        Assert.Equal("5 5", await TermsOf(6, 7));
    }

    [Fact]
    public async Task A_floor_beyond_the_state_needs_repair_and_leaves_the_log_as_it_was()
    {
        await using (var log = await OpenAsync(RaftLogKind.Database))
        {
            await AppendAsync(log, 1, 1, 1);
            await Assert.ThrowsAsync<NeedsRepairException>(async () => await InstallFloorAsync(log, 5, 2));
        }

        await using var again = await OpenAsync(RaftLogKind.Database);
        Assert.Equal([1, 1], await TermsAsync(again, 2));
    }

    [Fact]
    public async Task A_log_that_never_took_part_can_be_closed()
    {
        var log = Load(new(_store, new(_store, OperationWindow.Default), new(), _ => { }));
        await log.DisposeAsync();
        await using var again = await OpenAsync(RaftLogKind.Database);
        Assert.Equal(0, again.LastEntryIndex);
    }

    [Fact]
    public async Task A_term_behind_the_end_is_none_and_not_a_failure()
    {
        await using var log = await OpenAsync(RaftLogKind.Database);
        await AppendAsync(log, 1, 1, 1);
        Assert.Equal([0], await log.ReadAsync(new TermReader(), 3, 3, Stop));
    }

    [Fact]
    public void Every_member_of_the_log_that_the_library_calls_is_ours()
    {
        // RaftCluster calls through the interfaces: what is not implemented here reaches the library's own log.
        Assert.Empty(NotOurs(typeof(RaftLog), typeof(IAuditTrail)));
        Assert.Empty(NotOurs(typeof(RaftLog), typeof(IAuditTrail<IRaftLogEntry>)));
        Assert.Equal(["get_ConfigurationStorage", "set_ConfigurationStorage"], NotOurs(typeof(RaftLog), typeof(IPersistentState)).Order());

        // Of the other one, what changes the log or reads it for others.
        Assert.Empty(NotOurs(typeof(DurableWriteAheadLog), typeof(IAuditTrail<IRaftLogEntry>)));
        Assert.DoesNotContain("CommitAsync", NotOurs(typeof(DurableWriteAheadLog), typeof(IAuditTrail)));
    }

    private static List<string> NotOurs(Type log, Type contract)
    {
        // A member that the interface itself implements, by calling another one, belongs to nobody.
        var map = log.GetInterfaceMap(contract);
        return [.. map.TargetMethods.Where(method => method.DeclaringType is { IsInterface: false } type && type != log).Select(method => method.Name.Split('.')[^1])];
    }

    public void Dispose()
    {
        _store.Dispose();
        _data.Dispose();
        _directory.Dispose();
    }

    /// <summary>A disk whose flush takes as long as the test wants.</summary>
    private sealed class StalledDisk(IRaftLogStore disk) : IRaftLogStore
    {
        private readonly ManualResetEventSlim _open = new(true);
        private readonly TaskCompletionSource _stalling = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Stalling => _stalling.Task;

        public RaftVotes Votes => disk.Votes;

        public void Stall() => _open.Reset();

        public void GoOn() => _open.Set();

        public void SaveVotes(RaftVotes votes) => disk.SaveVotes(votes);

        public IEnumerable<RaftLogEntry> ReadAll() => disk.ReadAll();

        public RaftLogEntry Read(LogIndex index) => disk.Read(index);

        public void Append(IReadOnlyList<RaftLogEntry> entries, RaftFloor before, LogIndex? replacedTo) => disk.Append(entries, before, replacedTo);

        public void CutOff(RaftFloor end, LogIndex last) => disk.CutOff(end, last);

        public void Sync(RaftFloor last)
        {
            _stalling.TrySetResult();
            _open.Wait(Stop);
            disk.Sync(last);
        }

        public void Dispose()
        {
            disk.Dispose();
            _open.Dispose();
        }
    }

    /// <summary>Entries as a leader sends them; the connection may break between two.</summary>
    private sealed class Request(long[] terms, int? breaksAfter = null, int size = 10) : ILogEntryProducer<BinaryLogEntry>
    {
        private int _next;

        public long RemainingCount => terms.Length - _next;

        public BinaryLogEntry Current => new() { Content = new byte[size], Term = terms[_next - 1], CommandId = 99 };

        public ValueTask<bool> MoveNextAsync() => _next == breaksAfter ? throw new IOException("The connection broke.") : new(_next++ < terms.Length);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed class TermReader(bool metadataOnly = true) : ILogEntryConsumer<IRaftLogEntry, List<long>>
    {
        bool ILogEntryConsumer<IRaftLogEntry, List<long>>.LogEntryMetadataOnly => metadataOnly;

        public ValueTask<List<long>> ReadAsync<TEntry, TList>(TList entries, long? snapshotIndex, CancellationToken token)
            where TEntry : IRaftLogEntry
            where TList : IReadOnlyList<TEntry> => new(entries.Select(entry => entry.Term).ToList());
    }
}
