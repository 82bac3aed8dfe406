using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a source sends its state to those who may have it, a few at a time, and lets go of it when nobody asks; a child gets it whole
/// over failures on either side. Method: a source on a real hub's store with fake time, and children with real stores over a link that
/// breaks.
/// </summary>
public sealed class SnapshotSourceTests : IDisposable
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private readonly HubStore _hub;
    private SnapshotSource _source;

    public SnapshotSourceTests()
    {
        _hub = new(_directory.Sub("hub"));
        for (var i = 0; i < 200; i++)
        {
            _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, $"k{i % 60}", new('v', i)));
        }

        _source = Source();
    }

    private SnapshotSource Source() => new(NodeId.Parse("hub-0"), _hub.Store, index => new(index.Value + 100), new() { MaxBlockBytes = 3_000 }, _time);

    private ValueTask<OpenSnapshotAnswer> Open(string child, ClusterUuid cluster = default) =>
        _source.OpenAsync(new(NodeId.Parse(child), RegionName.Parse("eu"), cluster), Stop);

    private ValueTask<NextBlockAnswer> Next(long session) => _source.NextAsync(new(session, SnapshotSection.Rows, default, 1_000), Stop);

    [Fact]
    public async Task A_child_is_judged_by_its_name_and_cluster()
    {
        Assert.Equal(SnapshotStatus.Self, (await Open("hub-0")).Status);
        Assert.Equal(SnapshotStatus.OtherCluster, (await Open("eu-0", new(9, 9))).Status);
        var answer = await Open("eu-0", _hub.Store.Progress.Cluster);
        Assert.Equal(SnapshotStatus.Ok, answer.Status);
        var header = SnapshotHeader.Read(answer.Header.Span);
        Assert.Equal((NodeId.Parse("hub-0"), _hub.Store.Progress), (header.Source, header.Progress));
        Assert.Equal(new Term(header.Progress.AppliedIndex.Value + 100), header.AppliedTerm);
        Assert.True(header.EstimatedBytes > 0);
        using var empty = new ReplicaStore(_directory.Sub("empty"));
        using var none = new SnapshotSource(NodeId.Parse("eu-1"), empty.Store, null, new(), _time);
        Assert.Equal(SnapshotStatus.Unavailable, (await none.OpenAsync(new(NodeId.Parse("eu-0"), RegionName.Parse("eu"), default), Stop)).Status);
    }

    [Fact]
    public async Task As_many_children_as_may_get_one_and_an_idle_session_makes_room()
    {
        var first = await Open("eu-0");
        Assert.Equal(SnapshotStatus.Ok, (await Open("eu-1")).Status);
        Assert.Equal(SnapshotStatus.Unavailable, (await Open("eu-2")).Status);

        // The same child again takes its own place, and its first session ends.
        var second = await Open("eu-0");
        Assert.Equal(SnapshotStatus.SessionLost, (await Next(first.Session)).Status);
        Assert.Equal(SnapshotStatus.Ok, (await Next(second.Session)).Status);

        _time.Advance(TimeSpan.FromSeconds(100));
        Assert.Equal(SnapshotStatus.Ok, (await Next(second.Session)).Status);
        _time.Advance(TimeSpan.FromSeconds(50));
        Assert.Equal([NodeId.Parse("eu-0")], _source.Children);
        Assert.Equal(SnapshotStatus.Ok, (await Open("eu-2")).Status);
        await _source.CloseAsync(second.Session, Stop);
        Assert.Equal([NodeId.Parse("eu-2")], _source.Children);
        Assert.Equal(SnapshotStatus.SessionLost, (await Next(second.Session)).Status);
    }

    [Fact]
    public async Task The_log_is_held_from_where_a_child_stands_that_adds_keyspaces_and_behind_the_snapshot_for_all_others()
    {
        var (child, end) = (NodeId.Parse("eu-0"), _hub.Store.Progress.Position.Revision.Next);
        OpenSnapshotRequest Adds(long applied) => new(child, RegionName.Parse("eu"), default, ["flags"], [], true, new(applied));
        var opened = await _source.OpenAsync(Adds(100), Stop);
        Assert.Equal(SnapshotStatus.Ok, opened.Status);
        Assert.Equal([new(child, new(101))], _source.Holds);

        // It has the copy, and pulls up to it before it takes it in.
        await _source.CloseAsync(opened.Session, Stop);
        Assert.Equal([new(child, new(101))], _source.Holds);
        foreach (var strange in new[] { -5L, long.MaxValue, end.Value - 1 })
        {
            Assert.Equal(SnapshotStatus.Ok, (await _source.OpenAsync(Adds(strange), Stop)).Status);
            Assert.Equal([new(child, end)], _source.Holds);
        }

        await Open("eu-0");
        Assert.Equal([new(child, end)], _source.Holds);
    }

    [Fact]
    public async Task A_part_that_there_is_none_of_is_refused()
    {
        var session = (await Open("eu-0")).Session;
        foreach (var section in new[] { SnapshotSection.Unspecified, SnapshotSection.End, (SnapshotSection)200 })
        {
            await Assert.ThrowsAsync<MalformedDataException>(async () => await _source.NextAsync(new(session, section, default, 1_000), Stop));
        }

        await Assert.ThrowsAsync<MalformedDataException>(async () => await _source.NextAsync(new(session, SnapshotSection.Rows, new(new byte[5_000]), 1_000), Stop));
        Assert.Equal(SnapshotStatus.Ok, (await Next(session)).Status);
    }

    /// <summary>A link that breaks at every n-th call, before it or after it.</summary>
    private sealed class BreakingLink(Func<ISnapshotSource> target, int every) : ISnapshotSource
    {
        private int _calls;

        private async ValueTask<T> CallAsync<T>(Func<ISnapshotSource, ValueTask<T>> call)
        {
            var number = ++_calls;
            if (number % every == 0 && number % 2 == 0)
            {
                throw new TimeoutException("The question was lost.");
            }

            var answer = await call(target());
            return number % every == 0 ? throw new TimeoutException("The answer was lost.") : answer;
        }

        public ValueTask<OpenSnapshotAnswer> OpenAsync(OpenSnapshotRequest request, CancellationToken cancellation) =>
            CallAsync(source => source.OpenAsync(request, cancellation));

        public ValueTask<NextBlockAnswer> NextAsync(NextBlockRequest request, CancellationToken cancellation) =>
            CallAsync(source => source.NextAsync(request, cancellation));

        public ValueTask CloseAsync(long session, CancellationToken cancellation) => target().CloseAsync(session, cancellation);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(7)]
    public async Task A_child_gets_it_whole_over_a_link_that_breaks_while_child_and_source_restart(int every)
    {
        var path = _directory.Sub("eu");
        var link = new BreakingLink(() => _source, every);
        for (var tries = 1; ; tries++)
        {
            Assert.InRange(tries, 1, 200);
            using var directory = DataDirectory.Take(path);
            using var store = NodeStore.Open(directory, new() { Node = NodeId.Parse("eu-0"), SnapshotFileBytes = 2_000 });
            try
            {
                using var snapshot = await new SnapshotCopy(new(NodeId.Parse("eu-0"), RegionName.Parse("eu"), "eu:1"), store, NullLogger.Instance)
                    .ReceiveAsync(link, NodeId.Parse("hub-0"), isOfUse: null, Stop);
                store.Install(snapshot);
                using var view = store.AcquireView();
                Assert.Equal(_hub.Hashes(), StateHash.Compute(view, view, view.Position.Revision, Stop));
                Assert.Empty(_source.Children);
                Assert.True(tries > 2);
                return;
            }
            catch (TimeoutException) when (tries == 2)
            {
                // The source starts again, with a newer state: the session is gone, and what was received of it of no use.
                _source.Dispose();
                _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "later", "v"));
                _source = Source();
            }
            catch (TimeoutException)
            {
                // The next try goes on.
            }
        }
    }

    [Fact]
    public async Task A_source_that_is_damaged_says_so_and_sends_nothing_of_it()
    {
        _hub.Store.Flush();
        _hub.Reopen();
        _source.Dispose();
        _source = Source();
        var session = (await Open("eu-0")).Session;
        foreach (var file in Directory.GetFiles(Path.Combine(_directory.Sub("hub"), "db"), "*.sst"))
        {
            var bytes = File.ReadAllBytes(file);

            // A table file begins with its first block of rows; what is in the middle depends on how well they were compressed.
            bytes[10] ^= 0x40;
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            stream.Write(bytes);
        }

        // The log was read, and checked, when the store was opened; the rows come from the disk.
        Assert.Equal(SnapshotStatus.SourceDamaged, (await Next(session)).Status);
    }

    public void Dispose()
    {
        _source.Dispose();
        _hub.Dispose();
        _directory.Dispose();
    }
}
