using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: keyspaces are made, changed and dropped in log order, and nothing of a dropped one comes back. Method: a hub's store
/// on a real database, commands in one entry and in several, a replica that applies the records beside it.
/// </summary>
public sealed class KeyspaceCommandTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;

    public KeyspaceCommandTests() => _hub = new(_directory.Sub("hub"));

    private KeyspaceInfo? Find(string name)
    {
        using var view = _hub.Store.AcquireView();
        return view.FindKeyspace(KeyspaceName.Parse(name));
    }

    private List<string> Keys(KeyspaceId keyspace)
    {
        using var view = _hub.Store.AcquireView();
        using var rows = view.OpenRows(keyspace);
        var keys = new List<string>();
        for (var more = rows.Seek(default); more; more = rows.Next())
        {
            keys.Add(System.Text.Encoding.UTF8.GetString(rows.Key));
        }

        return keys;
    }

    [Fact]
    public void A_keyspace_created_again_with_the_same_settings_is_unchanged_and_with_others_exists()
    {
        var settings = new KeyspaceSettings { ShardCount = 8 };
        Assert.Equal(CommitOutcome.Committed(new(2)), _hub.ApplyOne(_hub.Commands.Create("other", settings)));
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1"));
        Assert.Equal(CommitOutcome.Unchanged(new(3)), _hub.ApplyOne(_hub.Commands.Create("other", settings)));
        Assert.Equal(CommitOutcome.KeyspaceExists(new(2)), _hub.ApplyOne(_hub.Commands.Create("other")));
        Assert.Equal(new KeyspaceInfo(new(2), KeyspaceName.Parse("other"), settings, new(2)), Find("other"));
    }

    [Fact]
    public void A_keyspace_created_twice_in_one_entry_is_one()
    {
        var outcomes = _hub.Apply(
            _hub.Commands.Create("other"), _hub.Commands.Create("other"), _hub.Commands.Create("other", new() { ShardCount = 2 }));
        Assert.Equal([CommitOutcome.Committed(new(2)), CommitOutcome.Unchanged(new(2)), CommitOutcome.KeyspaceExists(new(2))], outcomes);
    }

    [Fact]
    public void An_update_changes_the_settings_and_keeps_id_creation_and_rows()
    {
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1"));
        var settings = new KeyspaceSettings { ShardCount = 16, SkipUnchanged = true };
        Assert.Equal(CommitOutcome.Committed(new(3)), _hub.ApplyOne(_hub.Commands.Update("flags", settings)));
        Assert.Equal(CommitOutcome.Unchanged(new(3)), _hub.ApplyOne(_hub.Commands.Update("flags", settings)));
        Assert.Equal(CommitOutcome.KeyspaceNotFound, _hub.ApplyOne(_hub.Commands.Update("other", settings)));

        _hub.Reopen();
        Assert.Equal(new KeyspaceInfo(HubStore.Flags, KeyspaceName.Parse("flags"), settings, new(1)), Find("flags"));
        Assert.Equal("1", _hub.Get("a"));
        using var view = _hub.Store.AcquireView();
        Assert.Equal(settings, view.FindKeyspace(HubStore.Flags)!.Settings);
    }

    [Fact]
    public void A_dropped_keyspace_is_gone_with_its_rows_and_its_log()
    {
        _hub.ApplyOne(_hub.Commands.Create("neighbour"));
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1"));
        _hub.ApplyOne(_hub.Commands.Put(new(2), "a", "2"));
        Assert.Equal(CommitOutcome.Committed(new(5)), _hub.ApplyOne(_hub.Commands.Drop("flags")));
        Assert.Equal(CommitOutcome.KeyspaceNotFound, _hub.ApplyOne(_hub.Commands.Drop("flags")));
        Assert.Equal(CommitOutcome.KeyspaceNotFound, _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1")));

        Assert.Null(Find("flags"));
        Assert.Empty(Keys(HubStore.Flags));
        Assert.Equal(["a"], Keys(new(2)));
        using var view = _hub.Store.AcquireView();
        Assert.Null(view.FindKeyspace(HubStore.Flags));
        Assert.Empty(ChangeLog.ReadKeyspaceRevisions(view, HubStore.Flags, new(1), 10));
        Assert.Equal([new Revision(4)], ChangeLog.ReadKeyspaceRevisions(view, new(2), new(1), 10));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_keyspace_created_under_an_old_name_has_a_new_id_and_no_old_rows(bool oneEntry)
    {
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "old", "1"));
        ReadOnlyMemory<byte>[] commands =
        [
            _hub.Commands.Put(HubStore.Flags, "late", "1"), _hub.Commands.Drop("flags"), _hub.Commands.Create("flags"),
            _hub.Commands.Put(HubStore.Flags, "ghost", "1"), _hub.Commands.Put(new(2), "new", "1", Condition.Absent("old"), Condition.Absent("late")),
        ];
        var outcomes = oneEntry ? _hub.Apply(commands) : commands.Select(_hub.ApplyOne).ToArray();

        Assert.Equal(
            [
                CommitOutcome.Committed(new(3)), CommitOutcome.Committed(new(4)), CommitOutcome.Committed(new(5)), CommitOutcome.KeyspaceNotFound,
                CommitOutcome.Committed(new(6)),
            ],
            outcomes);
        Assert.Equal((new KeyspaceId(2), new Revision(5)), (Find("flags")!.Id, Find("flags")!.CreatedAt));
        Assert.Empty(Keys(HubStore.Flags));
        Assert.Equal(["new"], Keys(new(2)));
        _hub.Reopen();
        Assert.Equal(CommitOutcome.Committed(new(7)), _hub.ApplyOne(_hub.Commands.Create("third")));
        Assert.Equal(new KeyspaceId(3), Find("third")!.Id);
    }

    [Fact]
    public void Created_and_dropped_in_one_entry_leaves_a_used_up_id_and_nothing_else()
    {
        var outcomes = _hub.Apply(
            _hub.Commands.Create("brief"), _hub.Commands.Put(new(2), "a", "1"), _hub.Commands.Drop("brief"),
            _hub.Commands.Put(new(2), "b", "1"), _hub.Commands.Create("brief"), _hub.Commands.Put(new(3), "c", "1"));

        Assert.Equal(
            [
                CommitKind.Committed, CommitKind.Committed, CommitKind.Committed, CommitKind.KeyspaceNotFound, CommitKind.Committed,
                CommitKind.Committed,
            ],
            outcomes.Select(outcome => outcome.Kind));
        Assert.Empty(Keys(new(2)));
        Assert.Equal(["c"], Keys(new(3)));
        Assert.Equal(new KeyspaceId(3), Find("brief")!.Id);
    }

    [Fact]
    public void Commands_of_a_dropped_keyspace_in_the_same_entry_find_none_with_conditions_too()
    {
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1"));
        var outcomes = _hub.Apply(
            _hub.Commands.Drop("flags"),
            _hub.Commands.Put(HubStore.Flags, "a", "2", Condition.RevisionIs("a", new(2))),
            _hub.Commands.Transaction(HubStore.Flags, [Mutation.Delete("a")], options: CommandOptions.SkipUnchanged),
            _hub.Commands.Update("flags", new() { ShardCount = 2 }));
        Assert.Equal(CommitKind.Committed, outcomes[0].Kind);
        Assert.All(outcomes[1..], outcome => Assert.Equal(CommitOutcome.KeyspaceNotFound, outcome));
    }

    [Fact]
    public void A_transaction_on_the_catalog_or_on_an_unknown_keyspace_finds_none()
    {
        Assert.Equal(
            [CommitOutcome.KeyspaceNotFound, CommitOutcome.KeyspaceNotFound, CommitOutcome.KeyspaceNotFound],
            _hub.Apply(
                _hub.Commands.Put(KeyspaceId.Catalog, "flags", "1"), _hub.Commands.Put(new(2), "a", "1"), _hub.Commands.Put(new(uint.MaxValue), "a", "1")));
        Assert.Equal(new Revision(1), _hub.Store.Progress.Position.Revision);
    }

    [Fact]
    public void When_all_ids_of_keyspaces_have_been_used_a_new_one_is_refused_and_the_hub_goes_on()
    {
        // A log that has come as far: its one record creates the keyspace with the last id there is.
        using var directory = DataDirectory.Take(_directory.Sub("old"));
        using var store = NodeStore.Open(directory, new() { Node = NodeId.Parse("hub-0") });
        var last = new KeyspaceId(uint.MaxValue - 1);
        var log = new ForgedLog(new(1, 2), new(3, 4)).Add(
            KeyspaceId.Catalog, ForgedLog.Puts(("last", CatalogRow.Write(last, KeyspaceSettings.Default, new(1)))), _hub.Now);
        var batch = new ApplyBatch(store);
        batch.Begin();
        batch.Adopt(new(1, 2), new(3, 4));
        batch.AppendVerified(log.Records[0]);
        batch.Commit(new LogIndex(1));

        var applier = new EntryApplier(store, OperationWindow.Default);
        var entry = _hub.Entry(store.Progress, [_hub.Commands.Create("one-more"), _hub.Commands.Create("last"), _hub.Commands.Put(last, "k", "v")]);
        var outcomes = applier.Apply(new(2), entry)!.Outcomes;
        Assert.Equal([CommitKind.Invalid, CommitKind.Unchanged, CommitKind.Committed], outcomes.Select(outcome => outcome.Kind));
        Assert.NotNull(outcomes[0].Problem);
    }

    [Fact]
    public void A_replica_of_a_busy_catalog_has_the_same_state()
    {
        for (var round = 0; round < 5; round++)
        {
            var id = new KeyspaceId((uint)(2 + round));
            _hub.Apply(
                _hub.Commands.Create("busy", new() { SkipUnchanged = round % 2 == 0 }), _hub.Commands.Put(id, "a", $"{round}"),
                _hub.Commands.Put(id, "a", $"{round}"), _hub.Commands.Update("busy", new() { ShardCount = 2 + round }),
                _hub.Commands.Put(HubStore.Flags, "a", $"{round}"));
            if (round < 4)
            {
                _hub.Apply(_hub.Commands.Drop("busy"), _hub.Commands.Put(HubStore.Flags, "b", $"{round}"));
            }
        }

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
        Assert.Equal(_hub.Store.Progress.NextKeyspace, replica.Progress.NextKeyspace);
        Assert.Equal(Find("busy"), view.FindKeyspace(KeyspaceName.Parse("busy")));
        using var hub = _hub.Store.AcquireView();
        for (uint id = 0; id < 8; id++)
        {
            Assert.Equal(hub.FindKeyspace(new KeyspaceId(id)), view.FindKeyspace(new KeyspaceId(id)));
        }
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
