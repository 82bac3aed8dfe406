using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: a prefix delete is a change of every key with the prefix, judged in log order, of bounded size and work, and done once. Method: a hub's
/// store on a real database; each case once with the past in an entry of its own and once staged in the same entry; random histories packed
/// into entries in two ways.
/// </summary>
public sealed class PrefixDeleteTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;

    public PrefixDeleteTests() => _hub = new(_directory.Sub("hub"));

    private Revision Last => _hub.Store.Progress.Position.Revision;

    private ReadOnlyMemory<byte> Put(string key, string value, params Condition[] conditions) => _hub.Commands.Put(HubStore.Flags, key, value, conditions);

    private ReadOnlyMemory<byte> DeletePrefix(string prefix, params Condition[] conditions) => _hub.Commands.DeletePrefix(HubStore.Flags, prefix, conditions);

    private ReadOnlyMemory<byte> Skip(params Mutation[] mutations) => _hub.Commands.Transaction(HubStore.Flags, mutations, options: CommandOptions.SkipUnchanged);

    /// <summary>Outcome of the last command, the ones before it in one entry with it or each in its own.</summary>
    private CommitOutcome Judge(bool oneEntry, params ReadOnlyMemory<byte>[] commands) =>
        oneEntry ? _hub.Apply(commands)[^1] : commands.Select(_hub.ApplyOne).ToList()[^1];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Conditions_see_a_prefix_delete_as_a_change_of_every_key_with_the_prefix(bool oneEntry)
    {
        // Revisions 2 and 3, then the deletion at 4.
        Assert.Equal(CommitOutcome.Committed(new(5)), Judge(oneEntry, Put("a/1", "v"), Put("b", "v"), DeletePrefix("a/"), Put("x", "1", Condition.Absent("a/1"))));
        Assert.Equal(CommitOutcome.ConditionFailed(0, Revision.None), Judge(oneEntry, Put("a/2", "v"), DeletePrefix("a/"), Put("x", "2", Condition.RevisionIs("a/2", new(6)))));

        // Revision 7 deletes again. Keys that were there, and others, changed then.
        foreach (var key in new[] { "a/1", "a/2", "a/never" })
        {
            Assert.Equal(CommitOutcome.ConditionFailed(0, new(7)), Judge(oneEntry, Put("x", "3", Condition.UnchangedSince(key, new(6)))));
        }

        Assert.Equal(CommitKind.Committed, Judge(oneEntry, Put("x", "4", Condition.UnchangedSince("a/1", new(7)), Condition.UnchangedSince("b", new(3)), Condition.UnchangedSince("a", Revision.None))).Kind);
        Assert.Equal(new Revision(8), Last);
        foreach (var prefix in new[] { "a", "a/", "a/1", "a/never" })
        {
            Assert.Equal(CommitOutcome.ConditionFailed(0, new(7)), Judge(oneEntry, Put("x", "5", Condition.PrefixUnchangedSince(prefix, new(6)))));
        }

        Assert.Equal(CommitKind.Committed, Judge(oneEntry, Put("y", "6", Condition.PrefixUnchangedSince("a", new(7)), Condition.PrefixUnchangedSince("b", new(3)))).Kind);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_prefix_delete_that_was_staged_or_applied_hides_what_was_before_it_and_nothing_behind_it(bool oneEntry)
    {
        Assert.Equal(
            CommitKind.Committed,
            Judge(
                oneEntry, Put("a/1", "old"), DeletePrefix("a/"), Put("a/1", "new"), Put("x", "1", Condition.RevisionIs("a/1", new(4))),
                Put("x", "2", Condition.UnchangedSince("a/1", new(4)))).Kind);
        Assert.Equal("new", _hub.Get("a/1"));
        Assert.Equal(
            CommitKind.Committed,
            Judge(
                oneEntry, _hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix("a/"), Mutation.Put("a/2", "same"u8.ToArray())]),
                Put("x", "3", Condition.Absent("a/1"), Condition.RevisionIs("a/2", new(7)))).Kind);
        Assert.Equal((null, "same"), (_hub.Get("a/1"), _hub.Get("a/2")));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_condition_that_fails_keeps_the_rows(bool oneEntry)
    {
        Assert.Equal(
            CommitOutcome.ConditionFailed(0, new(3)),
            Judge(oneEntry, Put("a/1", "v"), Put("a/2", "v"), DeletePrefix("a/", Condition.PrefixUnchangedSince("a/", new(2)))));
        Assert.Equal(("v", "v"), (_hub.Get("a/1"), _hub.Get("a/2")));
        Assert.Equal(CommitOutcome.Committed(new(4)), Judge(oneEntry, DeletePrefix("a/", Condition.PrefixUnchangedSince("a/", new(3)))));
        Assert.Equal((null, null), (_hub.Get("a/1"), _hub.Get("a/2")));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_prefix_that_no_key_has_takes_a_revision_unless_the_write_asks_to_skip_what_changes_nothing(bool oneEntry)
    {
        Assert.Equal(CommitOutcome.Committed(new(2)), Judge(oneEntry, DeletePrefix("none/")));
        Assert.Equal(CommitOutcome.Unchanged(new(2)), Judge(oneEntry, Skip(Mutation.DeletePrefix("none/"))));
        Assert.Equal(CommitOutcome.Committed(new(4)), Judge(oneEntry, Put("a/1", "v"), Skip(Mutation.DeletePrefix("a/"))));
        Assert.Equal(CommitOutcome.Unchanged(new(4)), Judge(oneEntry, Skip(Mutation.DeletePrefix("a/"))));
        Assert.Equal(CommitOutcome.Unchanged(new(6)), Judge(oneEntry, Put("a/1", "v"), DeletePrefix("a"), Skip(Mutation.DeletePrefix("a/"), Mutation.Delete("b"))));

        // The row that it puts was there, and its revision is another one now.
        Assert.Equal(CommitOutcome.Committed(new(8)), Judge(oneEntry, Put("a/1", "v"), Skip(Mutation.DeletePrefix("a/"), Mutation.Put("a/1", "v"u8.ToArray()))));
    }

    [Fact]
    public void One_hundred_thousand_rows_go_at_once_and_of_one_more_none()
    {
        for (var first = 0; first < Limits.MaxPrefixRows; first += Limits.MaxMutations)
        {
            _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [.. Enumerable.Range(first, Limits.MaxMutations).Select(i => Mutation.Put($"a/{i}", default))]));
        }

        _hub.ApplyOne(Put("b/1", "v"));
        var before = (Last, _hub.Hashes());
        var both = _hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix("a/"), Mutation.DeletePrefix("b/"), Mutation.Put("c", default)]);
        Assert.Equal(CommitOutcome.TooManyRows(Last), _hub.ApplyOne(both));
        Assert.Equal(before, (Last, _hub.Hashes()));

        // What is staged counts like what is there, whatever was staged before it.
        Assert.Equal(
            [CommitKind.Committed, CommitKind.TooManyRows, CommitKind.Committed, CommitKind.Committed],
            _hub.Apply(Put("a/more", "v"), DeletePrefix("a/"), _hub.Commands.Delete(HubStore.Flags, "a/0"), DeletePrefix("a/")).Select(outcome => outcome.Kind));
        using var view = _hub.Store.AcquireView();
        using var rows = view.OpenRows(HubStore.Flags);
        Assert.True(rows.Seek(default) && rows.Key.SequenceEqual("b/1"u8));
        Assert.False(rows.Next());

        // Refused is not done: the same command is judged anew, and has its effect.
        Assert.Equal(CommitKind.Committed, _hub.ApplyOne(both).Kind);
        Assert.Equal("", _hub.Get("c"));
    }

    [Fact]
    public void Rows_with_large_values_count_as_several_because_they_have_to_be_read()
    {
        var value = new byte[Limits.MaxValueBytes];
        var weight = 1 + (Limits.MaxValueBytes / Limits.PrefixRowBytes);
        var most = Limits.MaxPrefixRows / weight;
        for (var i = 0; i < most; i++)
        {
            _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.Put($"a/{i:d4}", value)]));
        }

        var staged = _hub.Commands.Transaction(HubStore.Flags, [Mutation.Put("a/more", value)]);
        Assert.Equal([CommitKind.Committed, CommitKind.TooManyRows], _hub.Apply(staged, DeletePrefix("a/")).Select(outcome => outcome.Kind));
        Assert.Equal(CommitKind.TooManyRows, _hub.ApplyOne(DeletePrefix("a/")).Kind);
        Assert.Equal([CommitKind.Committed, CommitKind.Committed], _hub.Apply(_hub.Commands.Delete(HubStore.Flags, "a/more"), DeletePrefix("a/")).Select(outcome => outcome.Kind));
        using var view = _hub.Store.AcquireView();
        using var rows = view.OpenRows(HubStore.Flags);
        Assert.False(rows.Seek("a/"u8) && rows.Key.StartsWith("a/"u8));
    }

    [Fact]
    public void The_work_of_one_entry_is_bounded_and_what_it_has_no_room_for_is_done_by_another()
    {
        for (var first = 0; first < 50_000; first += Limits.MaxMutations)
        {
            _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [.. Enumerable.Range(first, Limits.MaxMutations).Select(i => Mutation.Put($"a/{i}", default))]));
        }

        foreach (var deletes in new ReadOnlyMemory<byte>[][]
        {
            [.. Enumerable.Range(0, 1_000).Select(i => DeletePrefix($"none/{i}"))],

            // Rows that the first one deletes are below the batch still, so each of the others looks at all of them.
            [.. Enumerable.Range(0, 50).Select(_ => DeletePrefix("a/"))],
        })
        {
            var outcomes = _hub.Apply(deletes);
            var done = outcomes.TakeWhile(outcome => outcome.Kind == CommitKind.Committed).Count();
            Assert.InRange(done, 4, deletes.Length - 1);
            Assert.All(outcomes[done..], outcome => Assert.Equal(CommitKind.Overloaded, outcome.Kind));
            Assert.All(outcomes[done..], outcome => Assert.True(outcome.RetryAfter > TimeSpan.Zero));
            Assert.Equal(CommitKind.Committed, _hub.ApplyOne(deletes[^1]).Kind);
        }
    }

    [Fact]
    public void A_prefix_delete_is_done_once_however_often_it_is_sent()
    {
        _hub.ApplyOne(Put("a/1", "v"));
        var delete = DeletePrefix("a/");
        Assert.Equal([CommitOutcome.Committed(new(3)), CommitOutcome.Committed(new(3))], _hub.Apply(delete, delete));
        _hub.ApplyOne(Put("a/1", "later"));
        _hub.Reopen();
        Assert.Equal(CommitOutcome.Committed(new(3)), _hub.ApplyOne(delete));
        Assert.Equal("later", _hub.Get("a/1"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_key_that_went_with_its_prefix_does_not_go_again_when_its_time_is_over(bool oneEntry)
    {
        var minute = TimeSpan.FromMinutes(1);
        var put = _hub.ApplyOne(_hub.Commands.PutFor(HubStore.Flags, "a/1", "v", minute));
        var due = new Expiry(_hub.Now.Add(minute), HubStore.Flags, put.Revision, "a/1");
        _hub.Now = due.At;
        Assert.Equal(CommitKind.Unchanged, Judge(oneEntry, DeletePrefix("a/"), _hub.Commands.Expire(HubStore.Flags, due)).Kind);
        Assert.Equal(put.Revision.Next, Last);
    }

    [Fact]
    public void A_prefix_of_the_catalog_and_of_a_keyspace_that_is_not_there_deletes_nothing()
    {
        Assert.Equal(CommitOutcome.KeyspaceNotFound, _hub.ApplyOne(_hub.Commands.DeletePrefix(KeyspaceId.Catalog, "f")));
        Assert.Equal(CommitOutcome.KeyspaceNotFound, _hub.ApplyOne(_hub.Commands.DeletePrefix(new(9), "f")));
        Assert.Equal(
            [CommitKind.Committed, CommitKind.KeyspaceNotFound], _hub.Apply(_hub.Commands.Drop("flags"), DeletePrefix("f")).Select(outcome => outcome.Kind));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Random_transactions_have_the_same_outcomes_in_one_entry_and_one_by_one(int seed)
    {
        var random = new Random(seed);
        using var other = new HubStore(_directory.Sub("other"));
        var seen = new HashSet<CommitKind>();
        for (var round = 0; round < 100; round++)
        {
            var commands = Enumerable.Range(0, random.Next(1, 12)).Select(_ => Any(random)).ToArray();
            var together = _hub.Apply(commands);
            Assert.Equal(together, commands.Select(other.ApplyOne));
            seen.UnionWith(together.Select(outcome => outcome.Kind));
            if (random.Next(8) == 0)
            {
                _hub.Reopen();
            }
        }

        Assert.Equal(_hub.Hashes(), other.Hashes());
        Assert.Superset(new HashSet<CommitKind> { CommitKind.Committed, CommitKind.Unchanged, CommitKind.ConditionFailed }, seen);
    }

    private ReadOnlyMemory<byte> Any(Random random)
    {
        string Some(int most) => string.Concat(Enumerable.Range(0, random.Next(1, most)).Select(_ => (char)random.Next('a', 'c')));
        var since = new Revision(random.NextInt64(Last.Value + 1));
        Mutation[] mutations = random.Next(4) switch
        {
            0 => [Mutation.DeletePrefix(Some(4))],
            1 => [Mutation.DeletePrefix(Some(3)), Mutation.Put(Some(5), "v"u8.ToArray())],
            2 => [Mutation.Delete(Some(5))],
            _ => [Mutation.Put(Some(5), "v"u8.ToArray())],
        };
        Condition[] conditions = random.Next(6) switch
        {
            0 => [Condition.Absent(Some(5))],
            1 => [Condition.RevisionIs(Some(5), since)],
            2 => [Condition.UnchangedSince(Some(5), since)],
            3 => [Condition.PrefixUnchangedSince(Some(4), since)],
            _ => [],
        };
        return _hub.Commands.Transaction(HubStore.Flags, mutations, conditions, random.Next(3) == 0 ? CommandOptions.SkipUnchanged : CommandOptions.None);
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
