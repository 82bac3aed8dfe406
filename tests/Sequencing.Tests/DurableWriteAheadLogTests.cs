using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: what a member has acknowledged is on its disk and stays in its log. Method: the log alone, asked as a leader asks it,
/// closed and opened again.
/// </summary>
public sealed class DurableWriteAheadLogTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly DataDirectory _data;
    private readonly NodeStore _store;

    public DurableWriteAheadLogTests()
    {
        _data = DataDirectory.Take(_directory.Sub("hub"));
        _store = NodeStore.Open(_data, new() { Node = NodeId.Parse("hub-0") });
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private async Task<DurableWriteAheadLog> OpenAsync()
    {
        var log = new DurableWriteAheadLog(
            new WriteAheadLog.Options { Location = _directory.Sub("raft"), ChunkSize = 1 << 20, HashAlgorithm = WriteAheadLog.IntegrityHashAlgorithm.XxHash3 },
            new HubStateMachine(_store, new(_store, OperationWindow.Default), new(), _ => { }));
        await log.InitializeAsync(Stop);
        return log;
    }

    private static ValueTask AppendAsync(IAuditTrail<IRaftLogEntry> log, long start, params long[] terms) =>
        log.AppendAsync(new Request(terms), start, skipCommitted: true, Stop);

    private static BinaryLogEntry Command(long term) => new() { Content = new byte[10], Term = term, CommandId = 99 };

    private static async Task<List<long>> TermsAsync(IAuditTrail<IRaftLogEntry> log, long end) =>
        await log.ReadAsync(new TermReader(), 1, end, Stop);

    [Fact]
    public async Task A_late_shorter_copy_of_a_request_does_not_cut_off_what_came_since()
    {
        await using var log = await OpenAsync();
        await AppendAsync(log, 1, 1, 1, 1);
        await AppendAsync(log, 4, 1, 1);
        await AppendAsync(log, 1, 1, 1, 1);
        Assert.Equal(5, log.LastEntryIndex);
        Assert.Equal([1, 1, 1, 1, 1], await TermsAsync(log, 5));
    }

    [Fact]
    public async Task An_entry_of_another_term_replaces_what_is_there_and_all_that_follows_also_after_a_restart()
    {
        await using (var log = await OpenAsync())
        {
            await AppendAsync(log, 1, 1, 1, 1, 1);
            await AppendAsync(log, 2, 1, 2, 2);
            Assert.Equal(4, log.LastEntryIndex);
            await AppendAsync(log, 3, 3);
            Assert.Equal(3, log.LastEntryIndex);
            Assert.Equal([1, 1, 3], await TermsAsync(log, 3));
        }

        await using var again = await OpenAsync();
        Assert.Equal(3, again.LastEntryIndex);
        Assert.Equal([1, 1, 3], await TermsAsync(again, 3));
    }

    [Fact]
    public async Task A_request_that_breaks_off_leaves_the_log_as_it_was()
    {
        await using (var log = await OpenAsync())
        {
            await AppendAsync(log, 1, 1, 1, 1);
            await Assert.ThrowsAsync<IOException>(async () =>
                await ((IAuditTrail<IRaftLogEntry>)log).AppendAsync(new Request([2, 2], breaksAfter: 1), 2, skipCommitted: true, Stop));
            Assert.Equal(3, log.LastEntryIndex);
            Assert.Equal([1, 1, 1], await TermsAsync(log, 3));
            await AppendAsync(log, 4, 3);
        }

        await using var again = await OpenAsync();
        Assert.Equal([1, 1, 1, 3], await TermsAsync(again, 4));
    }

    [Fact]
    public async Task A_reader_gets_about_a_megabyte_of_entries_and_at_least_one()
    {
        await using var log = await OpenAsync();
        await ((IAuditTrail<IRaftLogEntry>)log).AppendAsync(new Request([1, 1, 1, 1, 1, 1, 1, 1], size: 300_000), 1, skipCommitted: true, Stop);
        Assert.Equal(3, (await ((IAuditTrail<IRaftLogEntry>)log).ReadAsync(new TermReader(metadataOnly: false), 1, 8, Stop)).Count);
        Assert.Equal(8, (await TermsAsync(log, 8)).Count);
        await ((IAuditTrail<IRaftLogEntry>)log).AppendAsync(new Request([1], size: 3_000_000), 9, skipCommitted: true, Stop);
        Assert.Single(await ((IAuditTrail<IRaftLogEntry>)log).ReadAsync(new TermReader(metadataOnly: false), 9, 9, Stop));
    }

    [Fact]
    public async Task A_leader_that_was_deposed_appends_nothing_neither_in_its_own_term_nor_in_the_next()
    {
        await using var log = await OpenAsync();
        var state = (IPersistentState)log;
        await state.UpdateTermAsync(2, resetLastVote: true, Stop);
        Assert.Equal(1, await state.AppendAsync(new EmptyLogEntry { Term = 2 }, Stop));
        Assert.Equal(2, await state.AppendAsync(Command(2), Stop));
        Assert.Equal(new(2), log.LeadingTerm);

        // It has heard of the next leader, and whoever proposes has not yet.
        await state.UpdateTermAsync(3, resetLastVote: true, Stop);
        await Assert.ThrowsAsync<StaleLeadershipException>(async () => await state.AppendAsync(Command(2), Stop));
        await Assert.ThrowsAsync<StaleLeadershipException>(async () => await state.AppendAsync(Command(3), Stop));
        Assert.Equal(2, log.LastEntryIndex);
        await AppendAsync(log, 3, 3);
        await Assert.ThrowsAsync<StaleLeadershipException>(async () => await state.AppendAsync(Command(3), Stop));
        Assert.Equal([2, 2, 3], await TermsAsync(log, 3));
    }

    [Fact]
    public async Task A_leader_commits_what_others_appended_only_together_with_an_entry_of_its_own()
    {
        await using var log = await OpenAsync();
        var state = (IPersistentState)log;
        await AppendAsync(log, 1, 2, 2);
        await state.UpdateTermAsync(4, resetLastVote: true, Stop);
        Assert.Equal(3, await state.AppendAsync(new EmptyLogEntry { Term = 4 }, Stop));

        // A majority has the first two. They can still be replaced: whoever led in term 3 may be elected by others.
        Assert.Equal(0, await state.CommitAsync(2, Stop));
        Assert.Equal(0, log.LastCommittedEntryIndex);
        Assert.Equal(3, await state.CommitAsync(3, Stop));
        Assert.Equal(3, log.LastCommittedEntryIndex);
    }

    [Fact]
    public async Task A_hub_of_one_leads_from_its_start_in_the_term_it_has()
    {
        var hub = await HubMembers.StartAsync(_directory, 1, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var member = hub.Members[0];
        await hub.StopAsync(member, Stop);
        await using (var log = new DurableWriteAheadLog(
            new() { Location = Path.Combine(member.Path, "raft"), ChunkSize = 16 << 20, HashAlgorithm = WriteAheadLog.IntegrityHashAlgorithm.XxHash3 },
            new HubStateMachine(_store, new(_store, OperationWindow.Default), new(), _ => { })))
        {
            await ((IPersistentState)log).UpdateTermAsync(7, resetLastVote: true, Stop);
        }

        await hub.RestartAsync(member, Stop);
        Assert.Equal([CommitOutcome.Committed(new(2))], await hub.CommitAsync([commands.Put(new(1), "a", "1")], Stop));
        await hub.DisposeAsync();
    }

    [Fact]
    public async Task A_hub_of_one_commits_after_a_restart_what_it_had_not_before()
    {
        await using (var log = await OpenAsync())
        {
            await AppendAsync(log, 1, 1, 1);
        }

        await using var again = await OpenAsync();
        Assert.Equal(2, await ((IAuditTrail)again).CommitAsync(2, Stop));
        Assert.Equal(2, again.LastCommittedEntryIndex);
    }

    [Fact]
    public async Task A_follower_commits_no_more_than_what_it_has_of_the_leader()
    {
        await using var log = await OpenAsync();
        await AppendAsync(log, 1, 1, 1, 1);

        // The leader has committed three entries and has told of the first; the other two here are of a leader before.
        await AppendAsync(log, 1, 1);
        Assert.Equal(1, await ((IAuditTrail)log).CommitAsync(3, Stop));
        await AppendAsync(log, 2, 2, 2);
        Assert.Equal(2, await ((IAuditTrail)log).CommitAsync(3, Stop));
        Assert.Equal([1, 2, 2], await TermsAsync(log, 3));
    }

    [Fact]
    public void Every_way_of_the_library_to_append_a_request_or_read_for_one_is_ours()
    {
        // RaftCluster calls through the interface: what is not re-implemented here reaches the library's own code.
        var map = typeof(DurableWriteAheadLog).GetInterfaceMap(typeof(IAuditTrail<IRaftLogEntry>));
        var ours = map.TargetMethods.Where(method => method.DeclaringType == typeof(DurableWriteAheadLog)).Select(method => method.Name.Split('.')[^1]).Order();
        Assert.Equal(["AppendAsync", "AppendAsync", "AppendAsync", "ReadAsync"], ours);
        var commit = typeof(DurableWriteAheadLog).GetInterfaceMap(typeof(IAuditTrail)).TargetMethods.Single(method => method.Name.EndsWith("CommitAsync", StringComparison.Ordinal));
        Assert.Equal(typeof(DurableWriteAheadLog), commit.DeclaringType);
    }

    public void Dispose()
    {
        _store.Dispose();
        _data.Dispose();
        _directory.Dispose();
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
