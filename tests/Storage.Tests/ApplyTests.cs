using System.Text;
using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: data and position move together and every read is from one View. Method: a hub's store on a real database, entries
/// made by the test.
/// </summary>
public sealed class ApplyTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;

    public ApplyTests() => _hub = new(_directory.Sub("hub"));

    [Fact]
    public void A_put_is_read_back_with_its_revision_and_metadata()
    {
        var outcome = _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.Put("a", "1"u8.ToArray(), "m"u8.ToArray())]));

        Assert.Equal(CommitOutcome.Committed(new(2)), outcome);
        using var view = _hub.Store.AcquireView();
        using var row = view.Get(HubStore.Flags, "a"u8);
        Assert.True(row.Found);
        Assert.Equal(new Revision(2), row.Row.Revision);
        Assert.Equal("1"u8, row.Row.Value);
        Assert.Equal("m"u8, row.Row.Metadata);
    }

    [Fact]
    public void A_view_does_not_change_under_its_reader()
    {
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1"));
        using var before = _hub.Store.AcquireView();
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "2"));
        _hub.ApplyOne(_hub.Commands.Delete(HubStore.Flags, "a"));

        using var row = before.Get(HubStore.Flags, "a"u8);
        Assert.Equal("1"u8, row.Row.Value);
        Assert.Null(_hub.Get("a"));
    }

    [Fact]
    public void A_multi_get_answers_present_and_absent_keys_in_order()
    {
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1"));
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "c", "3"));
        using var view = _hub.Store.AcquireView();
        using var get = MultiGet.Rent();
        get.Add(HubStore.Flags, "c"u8);
        get.Add(HubStore.Flags, "b"u8);
        get.Add(HubStore.Flags, "a"u8);
        get.Execute(view);

        Assert.True(get.TryGetRow(0, out var c));
        Assert.Equal("3"u8, c.Value);
        Assert.False(get.TryGetRow(1, out _));
        Assert.True(get.TryGetRow(2, out var a));
        Assert.Equal("1"u8, a.Value);
    }

    [Fact]
    public void Rows_of_one_keyspace_come_in_byte_order_and_end_with_it()
    {
        _hub.ApplyOne(_hub.Commands.Create("other"));
        _hub.ApplyOne(_hub.Commands.Put(new(2), "z", "other"));
        foreach (var key in new[] { "b", "a", "c" })
        {
            _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, key, key));
        }

        using var view = _hub.Store.AcquireView();
        using var rows = view.OpenRows(HubStore.Flags);
        var keys = new List<string>();
        for (var more = rows.Seek(default); more; more = rows.Next())
        {
            keys.Add(Encoding.UTF8.GetString(rows.Key));
        }

        Assert.Equal(["a", "b", "c"], keys);
    }

    [Fact]
    public void A_restart_has_the_same_state_log_and_position()
    {
        for (var i = 0; i < 50; i++)
        {
            _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, $"k{i % 7}", $"v{i}"));
        }

        var before = (_hub.Store.Progress, _hub.Hashes(), _hub.Records().Count);
        _hub.Reopen();

        Assert.Equal(before, (_hub.Store.Progress, _hub.Hashes(), _hub.Records().Count));
    }

    [Fact]
    public void The_log_read_back_has_one_dense_revision_per_effective_transaction()
    {
        var effective = 1;
        for (var i = 0; i < 20; i++)
        {
            var outcomes = _hub.Apply(
                _hub.Commands.Put(HubStore.Flags, "a", $"{i}"),
                _hub.Commands.Put(HubStore.Flags, "b", "x", Condition.RevisionIs("a", new(999))),
                _hub.Commands.Transaction(HubStore.Flags, [Mutation.Put("a", Encoding.UTF8.GetBytes($"{i}"))], options: CommandOptions.SkipUnchanged));
            Assert.Equal([CommitKind.Committed, CommitKind.ConditionFailed, CommitKind.Unchanged], outcomes.Select(o => o.Kind));
            effective++;
        }

        var revisions = _hub.Records().Select(record => RecordView.Parse(record).Header.Revision.Value).ToList();
        Assert.Equal(Enumerable.Range(1, effective).Select(r => (long)r), revisions);
    }

    [Fact]
    public void A_replica_that_applies_the_records_has_the_same_hashes()
    {
        _hub.ApplyOne(_hub.Commands.Create("other", new() { ShardCount = 4, SkipUnchanged = true }));
        for (var i = 0; i < 100; i++)
        {
            _hub.ApplyOne(_hub.Commands.Put(new((uint)(1 + (i % 2))), $"k{i % 9}", $"v{i}"));
            _hub.ApplyOne(_hub.Commands.Delete(HubStore.Flags, $"k{i % 5}"));
        }

        _hub.ApplyOne(_hub.Commands.Drop("other"));
        using var directory = DataDirectory.Take(_directory.Sub("replica"));
        using var replica = NodeStore.Open(directory, new() { Node = NodeId.Parse("eu-0") });
        var batch = new ApplyBatch(replica);
        batch.Begin();
        batch.Adopt(_hub.Store.Progress.Cluster, _hub.Store.Progress.Position.History);
        foreach (var record in _hub.Records())
        {
            batch.AppendVerified(record);
        }

        batch.Commit();
        using var view = replica.AcquireView();
        Assert.Equal(_hub.Hashes(), StateHash.Compute(view, view, view.Position.Revision, CancellationToken.None));
        Assert.Null(view.FindKeyspace(KeyspaceName.Parse("other")));
        Assert.Null(view.FindKeyspace(new KeyspaceId(2)));
    }

    [Fact]
    public void The_state_hash_of_an_old_view_with_the_log_laid_over_is_that_of_the_later_view()
    {
        for (var i = 0; i < 30; i++)
        {
            _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, $"k{i % 9}", $"v{i}"));
        }

        _hub.ApplyOne(_hub.Commands.Create("gone"));
        _hub.ApplyOne(_hub.Commands.Put(new(2), "x", "y"));
        using var old = _hub.Store.AcquireView();
        _hub.ApplyOne(_hub.Commands.Drop("gone"));
        for (var i = 0; i < 30; i++)
        {
            _hub.ApplyOne(i % 3 == 0 ? _hub.Commands.Delete(HubStore.Flags, $"k{i % 9}") : _hub.Commands.Put(HubStore.Flags, $"n{i}", $"v{i}"));
        }

        using var now = _hub.Store.AcquireView();
        Assert.Equal(
            StateHash.Compute(now, now, now.Position.Revision, CancellationToken.None),
            StateHash.Compute(old, now, now.Position.Revision, CancellationToken.None));
    }

    [Fact]
    public void The_state_hash_counts_small_rows_that_are_laid_over_with_what_they_cost()
    {
        // 1.4 million rows of a few bytes: 20 MB of records, and far more than the bound in memory.
        using var pinned = _hub.Store.AcquireView();
        var deletes = Enumerable.Range(0, Limits.MaxMutations).Select(i => Mutation.Delete($"{i}")).ToArray();
        for (var i = 0; i < 140; i++)
        {
            _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, deletes));
        }

        using var view = _hub.Store.AcquireView();
        Assert.Throws<InvalidOperationException>(() => StateHash.Compute(pinned, view, view.Position.Revision, CancellationToken.None));
        Assert.Equal(view.Position.Revision, StateHash.Compute(view, view, view.Position.Revision, CancellationToken.None).Position.Revision);
    }

    [Fact]
    public async Task Reads_and_long_polls_wait_in_rooms_of_their_own()
    {
        using var directory = DataDirectory.Take(_directory.Sub("rooms"));
        using var store = NodeStore.Open(directory, new() { Node = NodeId.Parse("hub-0"), MaxWaiters = 1, MaxPolls = 1 });
        var time = new FakeTimeProvider();
        foreach (var (room, other) in new[] { (store.Waiters, store.Polls), (store.Polls, store.Waiters) })
        {
            var waiting = room.WaitAsync(new(1), TimeSpan.FromSeconds(1), time, default).AsTask();
            Assert.Equal(WaitResult.Full, await room.WaitAsync(new(1), TimeSpan.FromSeconds(1), time, default));
            var otherWaiting = other.WaitAsync(new(1), TimeSpan.FromSeconds(1), time, default).AsTask();
            Assert.False(otherWaiting.IsCompleted);
            time.Advance(TimeSpan.FromSeconds(1));
            Assert.Equal([WaitResult.TimedOut, WaitResult.TimedOut], await Task.WhenAll(waiting, otherWaiting));
        }
    }

    [Fact]
    public void The_states_of_keyspaces_in_memory_are_bounded_whatever_is_committed()
    {
        var log = new ForgedLog(new(1, 2), new(3, 4));
        using var directory = DataDirectory.Take(_directory.Sub("many"));
        using var store = NodeStore.Open(directory, new() { Node = NodeId.Parse("eu-0") });
        var batch = new ApplyBatch(store);
        batch.Begin();
        batch.Adopt(new(1, 2), new(3, 4));
        for (var i = 0; i < ApplyBatch.MaxCachedKeyspaces + 100; i++)
        {
            log.Create($"k{i}");
            batch.AppendVerified(log.Records[^1]);
            if (i % 1_000 == 0)
            {
                batch.Commit();
                Assert.InRange(batch.CachedKeyspaces, 1, ApplyBatch.MaxCachedKeyspaces);
                batch.Begin();
            }
        }

        batch.Commit();
        Assert.InRange(batch.CachedKeyspaces, 1, ApplyBatch.MaxCachedKeyspaces);
    }

    [Fact]
    public void A_directory_in_use_is_refused()
    {
        var e = Assert.Throws<StorageException>(() => DataDirectory.Take(_directory.Sub("hub")));
        Assert.Equal(StorageFault.InUse, e.Fault);
    }

    [Fact]
    public void A_directory_of_another_node_is_refused()
    {
        _hub.Dispose();
        using var directory = DataDirectory.Take(_directory.Sub("hub"));
        var e = Assert.Throws<StorageException>(() => NodeStore.Open(directory, new() { Node = NodeId.Parse("eu-0") }));
        Assert.Equal(StorageFault.Foreign, e.Fault);
        Assert.Contains("hub-0", e.Message, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
