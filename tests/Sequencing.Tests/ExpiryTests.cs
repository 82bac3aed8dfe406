using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: a key with a time to live goes by the log alone, at one revision, not before its time, and never after it was put again. Method:
/// apply on a real store whose log time the test moves; the sweeper on a real hub of one.
/// </summary>
public sealed class ExpiryTests : IDisposable
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;

    public ExpiryTests() => _hub = new(_directory.Sub("hub"));

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static List<Expiry> Due(NodeStore store, LogTime until, LogTime from = default, int count = 100)
    {
        using var view = store.AcquireView();
        return ExpiryCursor.ReadDue(view, from, until, count);
    }

    private Expiry Put(string key, string value = "v", TimeSpan? timeToLive = null, KeyspaceId? keyspace = null)
    {
        var ttl = timeToLive ?? Minute;
        var outcome = _hub.ApplyOne(_hub.Commands.PutFor(keyspace ?? HubStore.Flags, key, value, ttl));
        Assert.Equal(CommitKind.Committed, outcome.Kind);
        return new(_hub.Now.Add(ttl), keyspace ?? HubStore.Flags, outcome.Revision, key);
    }

    [Fact]
    public void A_key_is_there_until_its_time_is_over_in_the_log_and_goes_at_one_revision_with_others()
    {
        var a = Put("a");
        var b = Put("b");
        Assert.Equal([a, b], Due(_hub.Store, new(long.MaxValue)));
        Assert.Empty(Due(_hub.Store, new(a.At.Value - 1)));

        // Asked too early, whoever asks: nothing happens, and nothing is forgotten.
        _hub.Now = new(a.At.Value - 1);
        Assert.Equal(CommitKind.Unchanged, _hub.ApplyOne(_hub.Commands.Expire(HubStore.Flags, a, b)).Kind);
        Assert.Equal("v", _hub.Get("a"));
        Assert.Equal([a, b], Due(_hub.Store, new(long.MaxValue)));

        _hub.Now = a.At;
        Assert.Equal(CommitOutcome.Committed(b.Revision.Next), _hub.ApplyOne(_hub.Commands.Expire(HubStore.Flags, a, b)));
        Assert.Null(_hub.Get("a"));
        Assert.Null(_hub.Get("b"));
        Assert.Empty(Due(_hub.Store, new(long.MaxValue)));
        Assert.Equal(CommitKind.Unchanged, _hub.ApplyOne(_hub.Commands.Expire(HubStore.Flags, a, b)).Kind);
    }

    [Fact]
    public void A_key_that_was_put_again_or_deleted_is_left_alone()
    {
        var again = Put("again");
        var stays = Put("stays");
        var gone = Put("gone");
        var later = Put("again", timeToLive: 2 * Minute);
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "stays", "v"));
        _hub.ApplyOne(_hub.Commands.Delete(HubStore.Flags, "gone"));
        _hub.Now = again.At;
        var before = _hub.Hashes();
        Assert.Equal(CommitKind.Unchanged, _hub.ApplyOne(_hub.Commands.Expire(HubStore.Flags, again, stays, gone)).Kind);
        Assert.Equal(before, _hub.Hashes());
        Assert.Equal([later], Due(_hub.Store, new(long.MaxValue)));
    }

    [Fact]
    public void What_is_put_in_the_same_entry_counts_in_its_order()
    {
        var first = Put("k");
        _hub.Now = first.At;
        var outcomes = _hub.Apply(_hub.Commands.Put(HubStore.Flags, "k", "new"), _hub.Commands.Expire(HubStore.Flags, first));
        Assert.Equal([CommitKind.Committed, CommitKind.Unchanged], outcomes.Select(outcome => outcome.Kind));
        Assert.Equal("new", _hub.Get("k"));

        var second = Put("k");
        _hub.Now = second.At;
        outcomes = _hub.Apply(_hub.Commands.Expire(HubStore.Flags, second), _hub.Commands.Put(HubStore.Flags, "k", "newer", Condition.Absent("k")));
        Assert.Equal([CommitKind.Committed, CommitKind.Committed], outcomes.Select(outcome => outcome.Kind));
        Assert.Equal("newer", _hub.Get("k"));
    }

    [Fact]
    public void What_expires_in_a_keyspace_that_was_dropped_is_only_noted_no_more()
    {
        _hub.ApplyOne(_hub.Commands.Create("short"));
        var lost = Put("k", keyspace: new(2));
        _hub.ApplyOne(_hub.Commands.Drop("short"));
        _hub.Now = lost.At;
        Assert.Equal(CommitKind.Unchanged, _hub.ApplyOne(_hub.Commands.Expire(new(2), lost)).Kind);
        Assert.Empty(Due(_hub.Store, new(long.MaxValue)));
    }

    [Fact]
    public void To_put_what_is_there_already_changes_something_where_one_of_the_two_expires()
    {
        CommandOptions skip = CommandOptions.SkipUnchanged;
        var value = "v"u8.ToArray();
        Put("k");
        Assert.Equal(CommitKind.Committed, _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.Put("k", value, timeToLive: Minute)], options: skip)).Kind);
        Assert.Equal(CommitKind.Committed, _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.Put("k", value)], options: skip)).Kind);
        Assert.Equal(CommitKind.Unchanged, _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.Put("k", value)], options: skip)).Kind);
        var twice = _hub.Apply(
            _hub.Commands.Transaction(HubStore.Flags, [Mutation.Put("e", value, timeToLive: Minute)], options: skip),
            _hub.Commands.Transaction(HubStore.Flags, [Mutation.Put("e", value)], options: skip));
        Assert.All(twice, outcome => Assert.Equal(CommitKind.Committed, outcome.Kind));
    }

    [Fact]
    public void What_is_due_comes_in_the_order_of_time_and_in_rounds()
    {
        var expected = new[] { 5, 3, 9, 1 }.Select(minutes => Put($"k{minutes}", timeToLive: minutes * Minute)).OrderBy(expiry => expiry.At.Value).ToList();
        var end = new LogTime(long.MaxValue);
        Assert.Equal(expected, Due(_hub.Store, end));
        Assert.Equal(expected[..2], Due(_hub.Store, end, count: 2));
        Assert.Equal(expected[..3], Due(_hub.Store, expected[2].At));
        Assert.Equal(expected[1..], Due(_hub.Store, end, from: expected[1].At));
    }

    [Fact]
    public async Task A_replica_loses_the_key_by_the_log_and_a_node_that_joins_the_hub_knows_what_expires()
    {
        var kept = Put("kept");
        using var source = new SnapshotSource(NodeId.Parse("hub-0"), _hub.Store, _ => new(1), new(), TimeProvider.System);
        using var log = new LogSource(NodeId.Parse("hub-0"), _hub.Store, new ReplicaLogClock(_hub.Store, TimeProvider.System), new(), TimeProvider.System);
        foreach (var joins in new[] { false, true })
        {
            var self = new ReplicaIdentity(NodeId.Parse(joins ? "hub-1" : "eu-0"), RegionName.Parse("eu"), "");
            using var data = DataDirectory.Take(_directory.Sub(self.Node.Value));
            using var store = NodeStore.Open(data, new() { Node = self.Node });
            using (var snapshot = await new SnapshotCopy(self, store, NullLogger.Instance).ReceiveAsync(source, NodeId.Parse("hub-0"), isOfUse: null, Stop))
            {
                store.Install(snapshot, joins: joins);
            }

            Assert.Equal(joins, Due(store, kept.At).Contains(kept));
            Assert.True(joins || Due(store, new(long.MaxValue)).Count == 0);
            using (var view = store.AcquireView())
            {
                using var row = view.Get(HubStore.Flags, "kept"u8);
                Assert.Equal(kept.At, row.Row.ExpiresAt);
            }

            // And what comes by the log until it is a member.
            var later = Put($"later-{self.Node}");
            if (joins)
            {
                await new LogCopy(self, store).CopyAsync(log, later.Revision, Stop);
                Assert.Contains(later, Due(store, later.At));
            }
        }

        using var replica = new ReplicaStore(_directory.Sub("us"));
        var end = _hub.Store.Progress.Position.Revision.Value;
        new PageApplier(replica.Store).Apply(Pages.Of(_hub, 1, end + 1));
        Assert.Empty(Due(replica.Store, new(long.MaxValue)));
        Assert.Equal(_hub.Hashes().State, Hash(replica.Store));
        _hub.Now = kept.At;
        _hub.ApplyOne(_hub.Commands.Expire(HubStore.Flags, kept));
        new PageApplier(replica.Store).Apply(Pages.Of(_hub, end + 1, end + 2));
        Assert.Equal(_hub.Hashes().State, Hash(replica.Store));
    }

    private static ChainHash Hash(NodeStore store)
    {
        using var view = store.AcquireView();
        return StateHash.Compute(view, view, view.Position.Revision, Stop).State;
    }

    [Fact]
    public void The_hash_of_the_state_tells_rows_apart_that_expire_at_other_times()
    {
        using var other = new HubStore(_directory.Sub("other"));
        _hub.ApplyOne(_hub.Commands.PutFor(HubStore.Flags, "k", "v", Minute));
        other.ApplyOne(other.Commands.PutFor(HubStore.Flags, "k", "v", 2 * Minute));
        Assert.NotEqual(_hub.Hashes().State, other.Hashes().State);
    }

    [Fact]
    public async Task The_leader_has_thousands_of_keys_deleted_in_their_time_and_keeps_those_that_were_put_again()
    {
        using var data = DataDirectory.Take(_directory.Sub("one"));
        using var store = NodeStore.Open(data, new() { Node = NodeId.Parse("hub-0") });
        var self = NodeId.Parse("hub-0");
        var raft = new RaftNodeOptions { Self = self, Members = [new(self, new(IPAddress.Loopback, Ports.Free()))], LogDirectory = data.RaftPath };
        var numbers = 0UL;
        await using var engine = await HubEngine.OpenAsync(store, raft, null, new(), TimeProvider.System, () => Interlocked.Increment(ref numbers), NullLoggerFactory.Instance, Stop);
        await Eventually.TrueAsync(() => !store.Progress.Cluster.IsNone && engine.Sequencer.Leadership.IsLeader, "a formed hub", Stop);
        var commands = new Commands(engine.Clock.Now);
        await engine.Sequencer.CommitAsync([commands.Create("flags")], Stop);
        var ttl = TimeSpan.FromMilliseconds(700);
        for (var part = 0; part < 3; part++)
        {
            var puts = Enumerable.Range(part * 1_000, 1_000).Select(i => commands.PutFor(new(1), $"k{i}", "v", ttl)).ToList();
            Assert.All(await engine.Sequencer.CommitAsync(puts, Stop), outcome => Assert.Equal(CommitKind.Committed, outcome.Kind));
        }

        var again = await engine.Sequencer.CommitAsync([commands.Put(new(1), "k7", "kept"), commands.PutFor(new(1), "k8", "later", TimeSpan.FromMinutes(5))], Stop);
        Assert.All(again, outcome => Assert.True(outcome.IsSuccess));
        await Eventually.TrueAsync(() => Rows(store) == 2, "all but two keys gone", Stop);
        Assert.Single(Due(store, new(long.MaxValue)));

        // Not one of them before its time: every record that deletes says when it was stamped.
        using var view = store.AcquireView();
        using var cursor = view.OpenLog();
        var putAt = new Dictionary<string, LogTime>();
        for (var more = cursor.Seek(new(2)); more; more = cursor.Next())
        {
            var record = RecordView.Parse(cursor.Record);
            var reader = new ByteReader(record.MutationBytes);
            for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
            {
                var mutation = MutationFormat.Read(ref reader);
                var key = System.Text.Encoding.UTF8.GetString(mutation.Key);
                if (mutation.IsPut)
                {
                    putAt[key] = record.Header.LogTime;
                }
                else
                {
                    Assert.True(record.Header.LogTime >= putAt[key].Add(ttl), key);
                }
            }
        }

        Assert.False(engine.Fault.IsCompleted);
    }

    private static int Rows(NodeStore store)
    {
        using var view = store.AcquireView();
        using var rows = view.OpenRows(new(1));
        var count = 0;
        for (var more = rows.Seek([]); more; more = rows.Next())
        {
            count++;
        }

        return count;
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
