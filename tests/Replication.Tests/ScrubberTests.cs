using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Storage.Native;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a copy that is as damaged as what it replaced is not followed by another at once, and so on. Method: a real store whose copies all come
/// from a source with one wrong row, on fake time.
/// </summary>
public sealed class ScrubberTests : IDisposable
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private readonly HubStore _hub;
    private readonly SnapshotSource _source;

    public ScrubberTests()
    {
        _hub = new(_directory.Sub("hub"));
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "right"));
        _source = new(NodeId.Parse("hub-0"), _hub.Store, index => new(index.Value), new(), _time);
    }

    /// <param name="revision">That of the row; null for the store's.</param>
    private void DamageARow(string value, long? revision = null)
    {
        var row = new ByteWriter();
        DataRow.Write(row, revision is { } given ? new(given) : _hub.Store.Progress.Position.Revision, default, default, System.Text.Encoding.ASCII.GetBytes(value));
        var batch = new WriteBatchBuilder();
        batch.Put(_hub.Store.Database.FamilyId(ColumnFamily.Data), [0, 0, 0, 1, (byte)'k'], row.ToArray());
        _hub.Store.Database.Write(batch);
        _hub.Store.Publish(_hub.Store.Progress);
    }

    private async Task CopyAsync(NodeStore store)
    {
        using var snapshot = await new SnapshotCopy(new(NodeId.Parse("eu-0"), RegionName.Parse("eu"), "eu:1"), store, NullLogger.Instance)
            .ReceiveAsync(_source, NodeId.Parse("hub-0"), isOfUse: null, Stop);
        store.Install(snapshot);
    }

    [Fact]
    public async Task Copies_that_are_all_damaged_come_ever_more_rarely_and_one_that_is_not_ends_it()
    {
        DamageARow("wrong");
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        await CopyAsync(replica.Store);
        var said = new List<(bool Again, DateTimeOffset At)>();
        var damage = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var scrubber = new Scrubber(
            replica.Store, new(),
            (_, again) =>
            {
                said.Add((again, _time.GetUtcNow()));
                Interlocked.Exchange(ref damage, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
            },
            _time, NullLogger<Scrubber>.Instance);
        var next = damage.Task;
        scrubber.Start();
        for (var copy = 0; copy < 5; copy++)
        {
            await RunUntilAsync(next);
            next = damage.Task;
            if (copy == 4)
            {
                _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "right again"));
            }

            await CopyAsync(replica.Store);
        }

        Assert.Equal([false, true, true, true, true], said.Select(one => one.Again));
        for (var i = 2; i < said.Count; i++)
        {
            Assert.True(said[i].At - said[i - 1].At >= 1.4 * (said[i - 1].At - said[i - 2].At), string.Join(", ", said));
        }

        Assert.True(said[^1].At - said[^2].At > TimeSpan.FromMinutes(7));
        await Eventually.TrueAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromSeconds(2));
                return scrubber.Passes == 1;
            },
            "a pass that finds nothing", Stop);
        Assert.Null(scrubber.Damage);
    }

    [Fact]
    public async Task A_copy_that_came_for_another_reason_while_damage_waited_to_be_said_is_enough()
    {
        DamageARow("wrong");
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        await CopyAsync(replica.Store);
        var said = 0;
        var first = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var scrubber = new Scrubber(
            replica.Store, new(),
            (_, _) =>
            {
                Interlocked.Increment(ref said);
                first.TrySetResult();
            },
            _time, NullLogger<Scrubber>.Instance);
        scrubber.Start();
        await RunUntilAsync(first.Task);
        var before = scrubber.Damage;
        await CopyAsync(replica.Store);
        await Eventually.TrueAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromSeconds(2));
                return scrubber.Damage is { } again && again != before;
            },
            "the same damage, found again", Stop);
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "right again"));
        await CopyAsync(replica.Store);
        await Eventually.TrueAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromSeconds(2));
                return scrubber.Passes == 1;
            },
            "a pass that finds nothing", Stop);
        Assert.Equal(1, said);
    }

    [Fact]
    public async Task A_copy_that_comes_under_a_pass_is_looked_at_as_soon_as_that_has_ended()
    {
        // So large that a step ends behind it.
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "z", new string('z', 300_000)));
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        await CopyAsync(replica.Store);
        var damage = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var scrubber = new Scrubber(replica.Store, new(), (_, _) => damage.TrySetResult(), _time, NullLogger<Scrubber>.Instance);
        scrubber.Start();
        await Eventually.TrueAsync(() => scrubber.Bytes > 0, "a first step", Stop);
        DamageARow("wrong", revision: 2);
        await CopyAsync(replica.Store);
        var before = _time.GetUtcNow();
        await RunUntilAsync(damage.Task);
        Assert.InRange(_time.GetUtcNow() - before, TimeSpan.Zero, TimeSpan.FromHours(1));
        Assert.Equal(1, scrubber.Passes);
    }

    private async Task RunUntilAsync(Task what) => await Eventually.TrueAsync(
        () =>
        {
            _time.Advance(TimeSpan.FromSeconds(2));
            return what.IsCompleted;
        },
        "damage that is said", Stop);

    public void Dispose()
    {
        _source.Dispose();
        _hub.Dispose();
        _directory.Dispose();
    }
}
