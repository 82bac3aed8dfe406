using System.Text;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: a condition is judged in log order against everything before it, rows of the same entry included. Method: a hub's
/// store on a real database; each case once with the past in an entry of its own and once staged in the same entry.
/// </summary>
public sealed class ConditionTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;

    public ConditionTests() => _hub = new(_directory.Sub("hub"));

    private Revision Last => _hub.Store.Progress.Position.Revision;

    private ReadOnlyMemory<byte> Put(string key, string value, params Condition[] conditions) =>
        _hub.Commands.Put(HubStore.Flags, key, value, conditions);

    private ReadOnlyMemory<byte> Delete(string key, params Condition[] conditions) => _hub.Commands.Delete(HubStore.Flags, key, conditions);

    /// <summary>Outcome of the last command, the ones before it in one entry with it or each in its own.</summary>
    private CommitOutcome Judge(bool oneEntry, params ReadOnlyMemory<byte>[] commands)
    {
        if (oneEntry)
        {
            return _hub.Apply(commands)[^1];
        }

        return commands.Select(_hub.ApplyOne).ToList()[^1];
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Of_a_hundred_racing_writers_with_one_revision_exactly_one_wins(bool oneEntry)
    {
        var start = _hub.ApplyOne(Put("a", "start")).Revision;
        var commands = Enumerable.Range(0, 100).Select(i => Put("a", $"writer {i}", Condition.RevisionIs("a", start))).ToArray();
        var outcomes = oneEntry ? _hub.Apply(commands) : commands.Select(_hub.ApplyOne).ToArray();

        Assert.Equal(CommitOutcome.Committed(start.Next), outcomes[0]);
        Assert.All(outcomes[1..], outcome => Assert.Equal(CommitOutcome.ConditionFailed(0, start.Next), outcome));
        Assert.Equal("writer 0", _hub.Get("a"));
        Assert.Equal(start.Next, Last);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Absent_holds_for_a_key_that_was_never_there_and_for_one_that_was_deleted(bool oneEntry)
    {
        Assert.Equal(CommitKind.Committed, Judge(oneEntry, Put("a", "1", Condition.Absent("a"))).Kind);
        Assert.Equal(CommitOutcome.ConditionFailed(0, new(3)), Judge(oneEntry, Put("b", "1"), Put("b", "2", Condition.Absent("b"))));
        Assert.Equal(CommitKind.Committed, Judge(oneEntry, Delete("a"), Put("a", "2", Condition.Absent("a"))).Kind);
        Assert.Equal("1", _hub.Get("b"));
        Assert.Equal("2", _hub.Get("a"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Revision_is_holds_only_for_the_exact_last_change(bool oneEntry)
    {
        Assert.Equal(
            CommitOutcome.ConditionFailed(0, new(3)),
            Judge(oneEntry, Put("a", "1"), Put("a", "2"), Put("a", "3", Condition.RevisionIs("a", new(2)))));
        Assert.Equal(
            CommitOutcome.ConditionFailed(0, new(4)), Judge(oneEntry, Put("a", "4"), Put("a", "5", Condition.RevisionIs("a", new(5)))));
        Assert.Equal(CommitOutcome.Committed(new(6)), Judge(oneEntry, Put("a", "6"), Put("a", "7", Condition.RevisionIs("a", new(5)))));
        Assert.Equal(
            CommitOutcome.ConditionFailed(0, Revision.None), Judge(oneEntry, Delete("a"), Put("a", "8", Condition.RevisionIs("a", new(6)))));
        Assert.Equal(CommitOutcome.Committed(new(8)), Judge(oneEntry, Put("a", "9", Condition.RevisionIs("a", Revision.None))));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Key_unchanged_since_sees_puts_and_deletes_after_the_revision_and_none_before(bool oneEntry)
    {
        // Revision 2 puts a; 3 is another key.
        Assert.Equal(
            CommitOutcome.Committed(new(4)),
            Judge(oneEntry, Put("a", "1"), Put("ab", "1"), Put("x", "1", Condition.UnchangedSince("a", new(2)))));
        Assert.Equal(CommitOutcome.ConditionFailed(0, new(2)), Judge(oneEntry, Put("x", "2", Condition.UnchangedSince("a", new(1)))));

        // Revision 5 deletes it: gone, and changed since 4.
        Assert.Equal(
            CommitOutcome.ConditionFailed(0, new(5)), Judge(oneEntry, Delete("a"), Put("x", "3", Condition.UnchangedSince("a", new(4)))));
        Assert.Equal(CommitOutcome.Committed(new(6)), Judge(oneEntry, Put("x", "4", Condition.UnchangedSince("a", new(5)))));

        // A key that never was is unchanged since ever.
        Assert.Equal(CommitOutcome.Committed(new(7)), Judge(oneEntry, Put("x", "5", Condition.UnchangedSince("never", Revision.None))));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_key_that_was_deleted_and_put_again_has_changed_since(bool oneEntry)
    {
        Assert.Equal(
            CommitOutcome.ConditionFailed(0, new(4)),
            Judge(oneEntry, Put("a", "1"), Delete("a"), Put("a", "1"), Put("x", "1", Condition.UnchangedSince("a", new(2)))));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Prefix_unchanged_since_sees_every_key_with_the_prefix_and_no_other(bool oneEntry)
    {
        Assert.Equal(
            CommitOutcome.Committed(new(5)),
            Judge(
                oneEntry, Put("user/1", "1"), Put("use", "1"), Put("vser/", "1"), Put("x", "1", Condition.PrefixUnchangedSince("user/", new(2)))));
        Assert.Equal(CommitOutcome.ConditionFailed(0, new(2)), Judge(oneEntry, Put("x", "2", Condition.PrefixUnchangedSince("user/", new(1)))));
        Assert.Equal(
            CommitOutcome.ConditionFailed(0, new(6)),
            Judge(oneEntry, Delete("user/1"), Put("x", "3", Condition.PrefixUnchangedSince("user/", new(5)))));
        Assert.Equal(
            CommitOutcome.ConditionFailed(0, new(7)),
            Judge(oneEntry, Put("user/", "the prefix itself"), Put("x", "4", Condition.PrefixUnchangedSince("user/", new(6)))));
        Assert.Equal(CommitOutcome.Committed(new(8)), Judge(oneEntry, Put("x", "5", Condition.PrefixUnchangedSince("user/", new(7)))));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_change_in_another_keyspace_does_not_matter(bool oneEntry)
    {
        _hub.ApplyOne(_hub.Commands.Create("other"));
        Assert.Equal(
            CommitKind.Committed,
            Judge(
                oneEntry,
                _hub.Commands.Put(new(2), "a", "1"),
                Put("x", "1", Condition.Absent("a"), Condition.UnchangedSince("a", Revision.None), Condition.PrefixUnchangedSince("a", Revision.None))).Kind);
    }

    [Fact]
    public void The_outcome_names_the_first_condition_that_does_not_hold_and_nothing_of_the_transaction_happens()
    {
        _hub.ApplyOne(Put("a", "1"));
        var outcome = _hub.ApplyOne(_hub.Commands.Transaction(
            HubStore.Flags,
            [Mutation.Put("b", "1"u8.ToArray()), Mutation.Delete("a")],
            [Condition.RevisionIs("a", new(2)), Condition.Absent("b"), Condition.Absent("a"), Condition.RevisionIs("a", new(1))]));

        Assert.Equal(CommitOutcome.ConditionFailed(2, new(2)), outcome);
        Assert.Equal(("1", null), (_hub.Get("a"), _hub.Get("b")));
        Assert.Equal(new Revision(2), Last);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_refused_command_of_the_entry_leaves_no_row_for_the_next_one(bool refusedFirst)
    {
        var refused = Put("a", "refused", Condition.RevisionIs("a", new(999)));
        var commands = refusedFirst ? new[] { refused, Put("a", "good", Condition.Absent("a")) } : [Put("a", "good", Condition.Absent("a")), refused];
        var outcomes = _hub.Apply(commands);
        Assert.Equal(CommitOutcome.Committed(new(2)), outcomes[refusedFirst ? 1 : 0]);
        Assert.Equal(CommitKind.ConditionFailed, outcomes[refusedFirst ? 0 : 1].Kind);
        Assert.Equal("good", _hub.Get("a"));
    }

    [Fact]
    public void Conditions_that_need_the_log_are_refused_when_they_look_further_back_than_the_window()
    {
        _hub.ApplyOne(Put("a", "1"));
        _hub.ApplyOne(Put("there", "1"));
        for (var done = 0; done < Limits.MaxConditionWindow; done += 1_000)
        {
            _hub.Apply([.. Enumerable.Range(0, 1_000).Select(i => Put("filler", $"{i}"))]);
        }

        var last = Last;
        var edge = new Revision(last.Value - Limits.MaxConditionWindow);
        Assert.Equal(new Revision(3), edge);
        var far = new Revision(edge.Value - 1);
        Assert.Equal(CommitOutcome.ConditionFailed(0, last), _hub.ApplyOne(Put("x", "1", Condition.UnchangedSince("gone", far))));
        Assert.Equal(CommitOutcome.ConditionFailed(0, last), _hub.ApplyOne(Put("x", "1", Condition.PrefixUnchangedSince("g", far))));

        // A row that is there carries its last change: no window applies.
        Assert.Equal(CommitOutcome.ConditionFailed(0, new(3)), _hub.ApplyOne(Put("x", "1", Condition.UnchangedSince("there", new(1)))));
        var outcomes = _hub.Apply(
            Put("x", "1", Condition.UnchangedSince("gone", edge)),
            Put("x", "2", Condition.UnchangedSince("gone", edge)));
        Assert.Equal([CommitOutcome.Committed(last.Next), CommitOutcome.ConditionFailed(0, last.Next)], outcomes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_write_that_asks_for_it_takes_no_revision_where_it_changes_nothing(bool oneEntry)
    {
        var value = "v"u8.ToArray();
        ReadOnlyMemory<byte> Skip(params Mutation[] mutations) =>
            _hub.Commands.Transaction(HubStore.Flags, mutations, options: CommandOptions.SkipUnchanged);

        Assert.Equal(CommitOutcome.Unchanged(new(2)), Judge(oneEntry, Skip(Mutation.Put("a", value)), Skip(Mutation.Put("a", value))));
        Assert.Equal(CommitOutcome.Unchanged(new(2)), Judge(oneEntry, Skip(Mutation.Delete("never"), Mutation.Put("a", value))));
        Assert.Equal(CommitOutcome.Committed(new(3)), Judge(oneEntry, Skip(Mutation.Put("a", value, "meta"u8.ToArray()))));
        Assert.Equal(CommitOutcome.Unchanged(new(4)), Judge(oneEntry, Skip(Mutation.Delete("a")), Skip(Mutation.Delete("a"))));
        Assert.Equal(CommitOutcome.Committed(new(5)), Judge(oneEntry, Skip(Mutation.Delete("a"), Mutation.Put("b", value))));

        // One that does not ask takes a revision whatever it changes.
        Assert.Equal(CommitOutcome.Committed(new(6)), Judge(oneEntry, Put("b", "v")));
        Assert.Equal(CommitOutcome.Committed(new(7)), Judge(oneEntry, Delete("never")));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_keyspace_that_asks_for_it_drops_writes_that_change_nothing(bool oneEntry)
    {
        var quiet = new KeyspaceId(2);
        Assert.Equal(
            CommitOutcome.Unchanged(new(3)),
            Judge(
                oneEntry,
                _hub.Commands.Create("quiet", new() { SkipUnchanged = true }),
                _hub.Commands.Put(quiet, "a", "1"),
                _hub.Commands.Put(quiet, "a", "1")));
        Assert.Equal(
            CommitOutcome.Committed(new(5)),
            Judge(oneEntry, _hub.Commands.Update("quiet", KeyspaceSettings.Default), _hub.Commands.Put(quiet, "a", "1")));
        Assert.Equal(
            CommitOutcome.Unchanged(new(6)),
            Judge(oneEntry, _hub.Commands.Update("quiet", new() { SkipUnchanged = true }), _hub.Commands.Put(quiet, "a", "1")));
        Assert.Equal("1", _hub.Get("a", quiet));
    }

    [Fact]
    public void An_entry_without_conditions_and_the_same_commands_one_by_one_have_the_same_log()
    {
        using var other = new HubStore(_directory.Sub("other"));
        var commands = Enumerable.Range(0, 50).Select(i => i % 4 == 3 ? Delete($"k{i % 7}") : Put($"k{i % 7}", $"{i}")).ToArray();
        _hub.Apply(commands);
        foreach (var command in commands)
        {
            other.ApplyOne(command);
        }

        Assert.Equal(_hub.Hashes(), other.Hashes());
        Assert.Equal(
            _hub.Records().Select(record => Encoding.Latin1.GetString(record)), other.Records().Select(record => Encoding.Latin1.GetString(record)));
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
