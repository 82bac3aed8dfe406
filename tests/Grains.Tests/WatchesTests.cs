using Microsoft.Extensions.Time.Testing;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests;

/// <summary>
/// Goal: whoever asks with the end of the last answer hears of every change once, in order, or is told why not. Method: the engine over a real
/// store with random changes and answers of random size; fake time; the hub answers as a test says.
/// </summary>
public sealed class WatchesTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly FakeTimeProvider _time = new();
    private readonly HubStore _hub;
    private readonly Hub _asked = new();
    private readonly CancellationTokenSource _stopping = new();

    public WatchesTests() => _hub = new(_directory.Sub("hub"));

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private LogPosition Here => _hub.Store.Progress.Position;

    private sealed class Hub : IHubReads
    {
        public WatchAnswer? Forwarded { get; set; }

        public ValueTask<Revision?> ReadBarrierAsync(CancellationToken cancellation) => new(default(Revision?));

        public ValueTask<TAnswer?> ForwardAsync<TAnswer>(Func<IGrainFactory, CancellationToken, ValueTask<TAnswer>> call, CancellationToken cancellation)
            where TAnswer : class => new((TAnswer?)(object?)Forwarded);
    }

    private ValueTask<WatchAnswer> Ask(
        KeyspaceId keyspace, LogPosition? after, string prefix = "", int maxBytes = 1_000_000, double seconds = 0, NodeStore? store = null, NodeRole role = NodeRole.Hub,
        ClusterUuid cluster = default)
    {
        store ??= _hub.Store;
        var node = new NodeContext(NodeId.Parse("n-0"), role, RegionName.Parse("eu"), "eu:1", [], store, new HubLogClock(store, () => true, _time));
        var watches = new Watches(node, new(node, _asked, new(), _time), new() { Stopping = _stopping.Token }, _time);
        var request = new WatchRequest(
            new(ReadConsistency.Session, cluster, default, false), new(System.Text.Encoding.UTF8.GetBytes(prefix)), after, maxBytes, TimeSpan.FromSeconds(seconds));
        return watches.NextAsync(keyspace, request, (_, _) => throw new InvalidOperationException("The hub of the test calls nobody."), Stop);
    }

    /// <summary>Each change as text, "revision key=value", "revision key" or "revision prefix*".</summary>
    private static List<string> Changes(WatchAnswer answer)
    {
        var changes = new List<string>();
        var reader = new ByteReader(answer.Changes.Span);
        while (reader.Remaining > 0)
        {
            var revision = reader.ReadVarint();
            for (var left = reader.ReadCount(Limits.MaxMutations, "changes"); left > 0; left--)
            {
                var key = System.Text.Encoding.UTF8.GetString(ReadBlocks.ReadKey(ref reader));
                changes.Add(ReadBlocks.ReadChange(ref reader, out var row) switch
                {
                    RowState.Found => $"{revision} {key}={System.Text.Encoding.UTF8.GetString(row.Value)}{(row.ExpiresAt == LogTime.None ? "" : " expires")}",
                    RowState.PrefixDeleted => $"{revision} {key}*",
                    _ => $"{revision} {key}",
                });
            }
        }

        return changes;
    }

    [Theory]
    [InlineData(1, "")]
    [InlineData(2, "k1")]
    [InlineData(3, "k")]
    [InlineData(4, "none")]
    public async Task Every_change_comes_once_and_in_order_whatever_the_answers_hold(int seed, string prefix)
    {
        var random = new Random(seed);
        var other = new KeyspaceId(2);
        _hub.ApplyOne(_hub.Commands.Create("other"));
        var expected = new List<string>();
        var (start, at) = (Here, Here);
        var heard = new List<string>();
        for (var i = 0; i < 400; i++)
        {
            var (key, key2) = ($"k{random.Next(30)}", $"l{random.Next(30)}");
            var next = Here.Revision.Next;
            string[] changes = [];
            switch (random.Next(6))
            {
                case 0:
                    _hub.ApplyOne(_hub.Commands.Put(other, key, "not this one"));
                    break;
                case 1:
                    _hub.ApplyOne(_hub.Commands.Delete(HubStore.Flags, key));
                    changes = [$"{next} {key}"];
                    break;
                case 2:
                    _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.Put(key, "t"u8.ToArray()), Mutation.Put(key2, "u"u8.ToArray())]));
                    changes = [$"{next} {key}=t", $"{next} {key2}=u"];
                    break;
                case 3:
                    _hub.ApplyOne(_hub.Commands.PutFor(HubStore.Flags, key, $"{i}", TimeSpan.FromHours(1)));
                    changes = [$"{next} {key}={i} expires"];
                    break;
                case 4:
                    // Told of as much as the watch is about, and before what is put in its place.
                    var deleted = random.Next(3) == 0 ? "k" : key;
                    _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix(deleted), Mutation.Put(key2, "u"u8.ToArray())]));
                    string[] told = deleted.StartsWith(prefix, StringComparison.Ordinal) ? [$"{next} {deleted}*"]
                        : prefix.StartsWith(deleted, StringComparison.Ordinal) ? [$"{next} {prefix}*"] : [];
                    changes = [.. told, $"{next} {key2}=u"];
                    break;
                default:
                    _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, key, $"{i}"));
                    changes = [$"{next} {key}={i}"];
                    break;
            }

            if (Here.Revision == next)
            {
                expected.AddRange(changes.Where(change => change.Split(' ')[1].StartsWith(prefix, StringComparison.Ordinal)));
            }

            if (random.Next(4) == 0)
            {
                var answer = await Ask(HubStore.Flags, at, prefix, random.Next(1, 100));
                Assert.Equal(ReadStatus.Ok, answer.Status);
                Assert.InRange(answer.To.Revision.Value, at.Revision.Value, Here.Revision.Value);
                heard.AddRange(Changes(answer));
                at = answer.To;
            }
        }

        while (at != Here)
        {
            var answer = await Ask(HubStore.Flags, at, prefix, random.Next(1, 100));
            Assert.True(answer.To.Revision > at.Revision);
            heard.AddRange(Changes(answer));
            at = answer.To;
        }

        Assert.Equal(expected, heard);
        Assert.Equal(expected, Changes(await Ask(HubStore.Flags, start, prefix)));
    }

    [Fact]
    public void A_prefix_delete_has_no_place_among_the_rows_of_a_read_and_asking_again_none_among_changes()
    {
        foreach (var (state, isRow, isChange) in new[]
        {
            (RowState.Absent, true, true), (RowState.AskAgain, true, false), (RowState.PrefixDeleted, false, true), ((RowState)4, false, false),
        })
        {
            byte[] block = [(byte)state];
            Assert.Equal(isRow, Reads(block, isChange: false));
            Assert.Equal(isChange, Reads(block, isChange: true));
        }
    }

    private static bool Reads(byte[] block, bool isChange)
    {
        var reader = new ByteReader(block);
        try
        {
            _ = isChange ? ReadBlocks.ReadChange(ref reader, out _) : ReadBlocks.ReadRow(ref reader, out _);
            return true;
        }
        catch (MalformedDataException)
        {
            return false;
        }
    }

    [Fact]
    public async Task A_new_watch_begins_behind_what_is_there()
    {
        var answer = await Ask(HubStore.Flags, null);
        Assert.Equal((ReadStatus.Ok, Here, 0), (answer.Status, answer.To, answer.Changes.Length));
        Assert.Equal(ReadStatus.KeyspaceNotFound, (await Ask(new(99), null)).Status);
    }

    [Fact]
    public async Task A_wait_ends_with_the_first_change_or_with_its_time_and_then_says_how_far_it_looked()
    {
        var ask = Ask(HubStore.Flags, Here, seconds: 3).AsTask();
        Assert.Equal((1, false), (_hub.Store.Polls.Inside, ask.IsCompleted));
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "v"));
        Assert.Equal([$"{Here.Revision} k=v"], Changes(await ask));

        // Another keyspace: nothing to tell.
        ask = Ask(HubStore.Flags, Here, seconds: 3).AsTask();
        _hub.ApplyOne(_hub.Commands.Create("other"));
        await Eventually.TrueAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromMilliseconds(100));
                return ask.IsCompleted;
            },
            "an answer when the time is over", Stop);
        Assert.Equal((ReadStatus.Ok, Here, 0), ((await ask).Status, (await ask).To, (await ask).Changes.Length));
        Assert.Equal(0, _hub.Store.Polls.Inside);
    }

    [Fact]
    public async Task A_node_that_stops_tells_those_who_wait_so_and_not_that_there_is_nothing_new()
    {
        var ask = Ask(HubStore.Flags, Here, seconds: 3).AsTask();
        Assert.False(ask.IsCompleted);
        await _stopping.CancelAsync();
        Assert.Equal((ReadStatus.Unavailable, "The node stops."), ((await ask).Status, (await ask).Problem));
    }

    [Fact]
    public async Task A_node_that_is_behind_says_nothing_until_it_is_there()
    {
        var ahead = Here with { Revision = new(Here.Revision.Value + 1) };
        var answer = await Ask(HubStore.Flags, ahead);
        Assert.Equal((ReadStatus.Ok, ahead, 0), (answer.Status, answer.To, answer.Changes.Length));

        // Also of a keyspace that it has not heard of yet.
        Assert.Equal(ReadStatus.Ok, (await Ask(new(2), ahead)).Status);
    }

    [Fact]
    public async Task A_keyspace_that_is_gone_and_a_log_that_is_cut_are_said()
    {
        var before = Here;
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "v"));
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "w"));
        _hub.Store.CutLog(Here.Revision, Stop);
        var old = await Ask(HubStore.Flags, before);
        Assert.Equal((ReadStatus.TooOld, Here.Revision), (old.Status, old.Oldest));
        Assert.Equal([$"{Here.Revision} k=w"], Changes(await Ask(HubStore.Flags, before with { Revision = before.Revision.Next })));

        _hub.ApplyOne(_hub.Commands.Drop("flags"));
        Assert.Equal(ReadStatus.KeyspaceDeleted, (await Ask(HubStore.Flags, before)).Status);
        _hub.ApplyOne(_hub.Commands.Create("flags"));
        Assert.Equal(ReadStatus.KeyspaceDeleted, (await Ask(HubStore.Flags, Here with { Revision = new(Here.Revision.Value - 1) })).Status);
    }

    [Fact]
    public async Task A_region_whose_log_begins_later_asks_the_hub()
    {
        var before = Here;
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "v"));
        _hub.Store.CutLog(Here.Revision.Next, Stop);
        Assert.Equal(ReadStatus.Unavailable, (await Ask(HubStore.Flags, before, role: NodeRole.Replica)).Status);
        _asked.Forwarded = new(ReadStatus.Ok, default, default, Here, new(1), null);
        Assert.Same(_asked.Forwarded, await Ask(HubStore.Flags, before, role: NodeRole.Replica));
    }

    [Fact]
    public async Task Another_history_or_cluster_and_a_prefix_that_no_key_has_are_refused()
    {
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "v"));
        Assert.Equal(ReadStatus.ForeignPosition, (await Ask(HubStore.Flags, Here with { History = new(9, 9), Revision = new(1) })).Status);
        Assert.Equal(ReadStatus.ForeignPosition, (await Ask(HubStore.Flags, Here, cluster: new(9, 9))).Status);
        Assert.Equal(ReadStatus.Invalid, (await Ask(HubStore.Flags, Here, new('p', Limits.MaxKeyBytes + 1))).Status);
    }

    [Fact]
    public async Task A_partial_replica_tells_a_keyspace_that_it_does_not_hold_from_one_that_is_gone()
    {
        _hub.ApplyOne(_hub.Commands.Create("other"));
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        Assert.True(Subscription.TryCreate(["flags"], out var flags, out _));
        replica.Store.Subscribe(flags);
        using var source = new Replication.LogSource(NodeId.Parse("hub-0"), _hub.Store, new HubLogClock(_hub.Store, () => true, _time), new(), _time);
        await PullAsync(source, replica);
        var start = Here with { Revision = new(Here.Revision.Value - 1) };
        Assert.Equal(ReadStatus.KeyspaceNotHeld, (await Ask(new(2), start, store: replica.Store, role: NodeRole.Replica)).Status);
        _hub.ApplyOne(_hub.Commands.Drop("other"));
        await PullAsync(source, replica);
        Assert.Equal(ReadStatus.KeyspaceDeleted, (await Ask(new(2), start, store: replica.Store, role: NodeRole.Replica)).Status);
    }

    private static async Task PullAsync(Replication.LogSource source, ReplicaStore replica)
    {
        var own = replica.Store.Progress;
        var opened = await source.OpenAsync(
            new(NodeId.Parse("eu-0"), RegionName.Parse("eu"), "eu:1", own.Cluster, own.Position, own.Chain, Keyspaces: own.Subscription.Patterns?.ToArray()), Stop);
        new Replication.PageApplier(replica.Store).Apply(await source.NextAsync(new(opened.Session, 0, default, 1_000_000, TimeSpan.Zero), Stop));
    }

    public void Dispose()
    {
        _stopping.Dispose();
        _hub.Dispose();
        _directory.Dispose();
    }
}
