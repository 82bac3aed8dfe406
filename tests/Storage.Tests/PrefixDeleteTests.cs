using System.Text;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: a prefix delete takes the rows whose key begins with the prefix and no other, the same on every store that has its record. Method: keys
/// at the edges of prefixes; random histories, compared with a replica and with an old View with the log laid over.
/// </summary>
public sealed class PrefixDeleteTests : IDisposable
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;

    public PrefixDeleteTests() => _hub = new(_directory.Sub("hub"));

    private List<string> Keys(KeyspaceId? keyspace = null)
    {
        using var view = _hub.Store.AcquireView();
        using var rows = view.OpenRows(keyspace ?? HubStore.Flags);
        var keys = new List<string>();
        for (var more = rows.Seek(default); more; more = rows.Next())
        {
            keys.Add(Convert.ToHexStringLower(rows.Key));
        }

        return keys;
    }

    private void Delete(string prefix) => Assert.Equal(
        CommitKind.Committed,
        _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix(Key.From(Convert.FromHexString(prefix)))])).Kind);

    [Theory]
    [InlineData("61", "60", "60ff", "62", "ff", "ffff", "ff00")]
    [InlineData("61ff", "60", "60ff", "61", "6100", "6162", "62", "ff", "ffff", "ff00")]
    [InlineData("ff", "60", "60ff", "61", "6100", "6162", "61ff", "61ffff", "62")]
    [InlineData("ffff", "60", "60ff", "61", "6100", "6162", "61ff", "61ffff", "62", "ff", "ff00")]
    [InlineData("63", "60", "60ff", "61", "6100", "6162", "61ff", "61ffff", "62", "ff", "ff00", "ffff")]
    public void The_keys_that_begin_with_the_prefix_go_and_no_other(string prefix, params string[] left)
    {
        string[] all = ["60", "60ff", "61", "6100", "6162", "61ff", "61ffff", "62", "ff", "ff00", "ffff"];
        _hub.ApplyOne(_hub.Commands.Create("next"));
        foreach (var keyspace in new[] { HubStore.Flags, new KeyspaceId(2) })
        {
            _hub.ApplyOne(_hub.Commands.Transaction(keyspace, [.. all.Select(key => Mutation.Put(Key.From(Convert.FromHexString(key)), "v"u8.ToArray()))]));
        }

        using (var before = _hub.Store.AcquireView())
        {
            Delete(prefix);
            using var row = before.Get(HubStore.Flags, [0x61, 0xff, 0xff]);
            Assert.True(row.Found);
        }

        Assert.Equal(left.Order(StringComparer.Ordinal), Keys());
        Assert.Equal(all.Order(StringComparer.Ordinal), Keys(new(2)));
        _hub.Reopen();
        Assert.Equal(left.Order(StringComparer.Ordinal), Keys());
    }

    [Fact]
    public void What_a_transaction_puts_below_a_prefix_that_it_deletes_is_there_at_the_same_revision()
    {
        _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [.. Enumerable.Range(0, 5).Select(i => Mutation.Put($"a/{i}", "old"u8.ToArray()))]));
        var replaced = _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix("a/"), Mutation.Put("a/1", "new"u8.ToArray()), Mutation.Put("a/9", "new"u8.ToArray())]));
        using var view = _hub.Store.AcquireView();
        Assert.Equal(replaced.Revision, view.Position.Revision);
        Assert.Equal(["612f31", "612f39"], Keys());
        using var row = view.Get(HubStore.Flags, "a/1"u8);
        Assert.Equal(replaced.Revision, row.Row.Revision);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void A_random_history_has_one_state_on_a_replica_and_in_an_old_view_with_the_log_laid_over(int seed)
    {
        var random = new Random(seed);
        string Some(int most) => string.Concat(Enumerable.Range(0, random.Next(1, most)).Select(_ => (char)random.Next('a', 'd')));
        Write(random, Some, 100);
        using var start = _hub.Store.AcquireView();
        for (var round = 0; round < 10; round++)
        {
            Write(random, Some, random.Next(1, 30));
            if (random.Next(3) == 0)
            {
                _hub.Store.Flush();
            }

            using var view = _hub.Store.AcquireView();
            Assert.Equal(_hub.Hashes(), StateHash.Compute(start, view, view.Position.Revision, Stop));
        }

        using var directory = DataDirectory.Take(_directory.Sub("replica"));
        using var replica = NodeStore.Open(directory, new() { Node = NodeId.Parse("eu-0") });
        var batch = new ApplyBatch(replica);
        batch.Begin();
        batch.Adopt(_hub.Store.Progress.Cluster, _hub.Store.Progress.Position.History);
        foreach (var record in _hub.Records())
        {
            batch.AppendVerified(record);
            if (random.Next(5) == 0)
            {
                batch.Commit();
                batch.Begin();
            }
        }

        batch.Commit();
        using var now = replica.AcquireView();
        Assert.Equal(_hub.Hashes(), StateHash.Compute(now, now, now.Position.Revision, Stop));
    }

    private void Write(Random random, Func<int, string> some, int count)
    {
        for (var i = 0; i < count; i++)
        {
            _hub.ApplyOne(random.Next(6) switch
            {
                0 => _hub.Commands.DeletePrefix(HubStore.Flags, some(4)),
                1 => _hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix(some(3)), Mutation.Put(some(6), Encoding.ASCII.GetBytes($"{i}"))]),
                2 => _hub.Commands.Delete(HubStore.Flags, some(6)),
                _ => _hub.Commands.Put(HubStore.Flags, some(6), $"{i}"),
            });
        }
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
