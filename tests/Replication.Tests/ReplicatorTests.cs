using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a replica ends level with its source and equal to it, whatever the way between them does. Method: hub, source, a way
/// with seeded faults, replicator and store in one process on real databases.
/// </summary>
public sealed class ReplicatorTests : IDisposable
{
    private static readonly PullOptions Fast = new()
    {
        PageBytes = 500, MaxWait = TimeSpan.FromMilliseconds(20), MinBackoff = TimeSpan.FromMilliseconds(1), MaxBackoff = TimeSpan.FromMilliseconds(4),
    };

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly LogSource _source;

    public ReplicatorTests()
    {
        _hub = new(_directory.Sub("hub"));
        _source = new(NodeId.Parse("hub-0"), _hub.Store, new HubLogClock(_hub.Store, () => true, TimeProvider.System), new(), TimeProvider.System);
    }

    private static Replicator Start(ReplicaStore replica, IUpstream upstream, int seed = 1, ILogger<Replicator>? logger = null, PullOptions? options = null)
    {
        var clock = new ReplicaLogClock(replica.Store, TimeProvider.System);
        var replicator = new Replicator(
            new(NodeId.Parse("eu-0"), RegionName.Parse("eu"), "eu:1"), replica.Store, upstream, clock, options ?? Fast, new Random(seed), TimeProvider.System,
            logger ?? NullLogger<Replicator>.Instance);
        replicator.Start();
        return replicator;
    }

    private void Write(int count, int seed)
    {
        var random = new Random(seed);
        for (var i = 0; i < count; i++)
        {
            var keyspace = new KeyspaceId((uint)(1 + random.Next(3)));
            switch (random.Next(20))
            {
                case 0:
                    _hub.Apply(_hub.Commands.Create($"n{random.Next(3)}", new() { SkipUnchanged = random.Next(2) == 0 }));
                    break;
                case 1:
                    _hub.Apply(_hub.Commands.Drop($"n{random.Next(3)}"));
                    break;
                case < 6:
                    _hub.Apply(_hub.Commands.Delete(keyspace, $"k{random.Next(20)}"));
                    break;
                default:
                    _hub.Apply(
                        _hub.Commands.Put(keyspace, $"k{random.Next(20)}", new('v', random.Next(300))),
                        _hub.Commands.Put(HubStore.Flags, $"k{random.Next(20)}", $"{i}"));
                    break;
            }
        }
    }

    private Task Level(ReplicaStore replica) => Eventually.TrueAsync(
        () => replica.Store.Progress.Position == _hub.Store.Progress.Position, "the replica to be level", Stop);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task A_replica_behind_a_faulty_way_ends_equal_and_applies_every_record_once(int seed)
    {
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        using var way = new FaultyWay(_source, seed);
        using var upstream = new Upstream(way);
        var before = replica.Store.Progress.Position.Revision;
        await using var replicator = Start(replica, upstream, seed);
        for (var round = 0; round < 10; round++)
        {
            Write(60, (seed * 100) + round);
            await Eventually.TrueAsync(
                () =>
                {
                    var now = replica.Store.Progress.Position.Revision;
                    Assert.True(now >= before);
                    before = now;
                    return now.Value >= _hub.Store.Progress.Position.Revision.Value / 2;
                },
                "some progress", Stop);
        }

        await Level(replica);
        Assert.Equal(_hub.Hashes(), replica.Hashes());
        await Eventually.TrueAsync(
            () => replicator.Status.AppliedRecords == _hub.Store.Progress.Position.Revision.Value, "each record applied once", Stop);
        Assert.True(way.Faults.Count(fault => fault.Value > 0) == FaultyWay.Kinds, $"Some faults never happened: {string.Join(", ", way.Faults)}");
        Assert.True(replicator.Status.RefusedPages > 0);
        Assert.NotEqual(ProgressState.Stopped, replicator.Status.State);
    }

    [Fact]
    public async Task A_replica_that_was_restarted_in_between_goes_on_where_it_was()
    {
        Write(50, 1);
        using (var replica = new ReplicaStore(_directory.Sub("replica")))
        {
            using var upstream = new Upstream(_source);
            await using var replicator = Start(replica, upstream);
            await Level(replica);
        }

        Write(50, 2);
        using var again = new ReplicaStore(_directory.Sub("replica"));
        var had = again.Store.Progress.Position.Revision.Value;
        using var secondUpstream = new Upstream(_source);
        await using var second = Start(again, secondUpstream);
        await Level(again);
        Assert.Equal(_hub.Hashes(), again.Hashes());
        await Eventually.TrueAsync(
            () => second.Status.AppliedRecords == _hub.Store.Progress.Position.Revision.Value - had, "only the rest applied", Stop);
    }

    [Fact]
    public async Task A_replica_serves_another_replica_with_the_very_same_records()
    {
        Write(100, 3);
        using var middle = new ReplicaStore(_directory.Sub("middle"), "eu-1");
        using var leaf = new ReplicaStore(_directory.Sub("leaf"));
        using var middleSource = new LogSource(
            NodeId.Parse("eu-1"), middle.Store, new ReplicaLogClock(middle.Store, TimeProvider.System), new(), TimeProvider.System);
        using var hub = new Upstream(_source);
        using var near = new Upstream(middleSource);
        await using var first = Start(middle, hub);
        await using var second = Start(leaf, near);
        await Level(leaf);
        Assert.Equal(_hub.Hashes(), leaf.Hashes());
        Assert.Equal(middle.Hashes(), leaf.Hashes());
    }

    [Fact]
    public async Task A_lost_link_is_followed_by_a_new_session_that_resumes()
    {
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        using var upstream = new Upstream(_source);
        await using var replicator = Start(replica, upstream);
        Write(20, 4);
        await Level(replica);
        upstream.Lose();
        await Eventually.TrueAsync(() => replicator.Status.Sessions >= 2, "a second session", Stop);
        Write(20, 5);
        await Level(replica);
        Assert.Equal(_hub.Hashes(), replica.Hashes());
    }

    [Fact]
    public async Task A_replica_of_another_past_stops_and_keeps_its_state()
    {
        Write(20, 6);
        using var other = new HubStore(_directory.Sub("other"));
        for (var i = 0; i < 5; i++)
        {
            other.ApplyOne(other.Commands.Put(HubStore.Flags, "a", $"other {i}"));
        }

        using var replica = new ReplicaStore(_directory.Sub("replica"));
        new PageApplier(replica.Store).Apply(Pages.Of(other, 1, 7));
        var before = replica.Hashes();
        using var upstream = new Upstream(_source);
        await using var replicator = Start(replica, upstream);
        await Eventually.TrueAsync(() => replicator.Status.State == ProgressState.Stopped, "the stop", Stop);
        Assert.Equal(StopReason.Diverged, replicator.Status.StopReason);
        Assert.Equal(before, replica.Hashes());
    }

    private SnapshotSource Snapshots(SnapshotSourceOptions? options = null) =>
        new(NodeId.Parse("hub-0"), _hub.Store, null, options ?? new() { MaxBlockBytes = 2_000 }, TimeProvider.System);

    [Fact]
    public async Task A_replica_that_is_behind_a_cut_log_takes_a_copy_and_goes_on_while_its_readers_see_one_state_or_the_other()
    {
        Write(40, 5);
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        using var snapshots = Snapshots();
        using (var upstream = new Upstream(_source, snapshots))
        await using (Start(replica, upstream))
        {
            await Level(replica);
        }

        var stood = replica.Store.Progress.Position;
        Write(200, 6);
        _hub.Store.CutLog(new(_hub.Store.Progress.Position.Revision.Value - 50), Stop);
        using var before = replica.Store.AcquireView();
        using (var upstream = new Upstream(_source, snapshots))
        await using (var replicator = Start(replica, upstream))
        {
            Write(50, 7);
            await Level(replica);
            await Eventually.TrueAsync(() => replicator.Status.Bootstraps == 1, "the copy to be told", Stop);
            Write(50, 8);
            await Level(replica);
        }

        Assert.Equal(stood, before.Position);
        Assert.Equal(_hub.Hashes(), replica.Hashes());
        Assert.Equal(1, replica.Store.Progress.FullCopies);
        Assert.True(replica.Store.Progress.Oldest > stood.Revision);
    }

    [Fact]
    public async Task A_replica_with_nothing_takes_a_copy_where_the_log_is_long()
    {
        Write(60, 9);
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        using var snapshots = Snapshots();
        using var upstream = new Upstream(_source, snapshots);
        await using var replicator = Start(replica, upstream, options: Fast with { MaxRecordsToBegin = 20 });
        await Level(replica);
        await Eventually.TrueAsync(() => replicator.Status.Bootstraps == 1, "the copy to be told", Stop);
        Assert.Equal(0, replicator.Status.AppliedRecords);
        Assert.Equal(_hub.Hashes(), replica.Hashes());
        Assert.False(Directory.Exists(Path.Combine(_directory.Sub("replica"), "snapshot")));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_copy_ends_over_lost_links_and_restarts_of_the_replica_and_goes_on_where_it_was(int seed)
    {
        Write(300, 10 + seed);
        _hub.Store.CutLog(new(100), Stop);
        var random = new Random(seed);
        using var snapshots = Snapshots(new() { MaxBlockBytes = 400 });
        var calls = 0;
        var counted = new CountedSnapshots(snapshots, () => Interlocked.Increment(ref calls));
        for (var life = 0; ; life++)
        {
            Assert.InRange(life, 0, 60);
            using var replica = new ReplicaStore(_directory.Sub("replica"), snapshotFileBytes: 1_000);
            using var upstream = new Upstream(_source, counted);
            await using var _ = Start(replica, upstream, seed: life + 1);
            var until = Volatile.Read(ref calls) + random.Next(2, 30);
            await Eventually.TrueAsync(() => Volatile.Read(ref calls) >= until || replica.Store.Progress.FullCopies > 0, "some blocks", Stop);
            if (life % 2 == 0)
            {
                upstream.Lose();
                await Eventually.TrueAsync(() => Volatile.Read(ref calls) >= until + 2 || replica.Store.Progress.FullCopies > 0, "more blocks", Stop);
            }

            if (replica.Store.Progress.FullCopies > 0)
            {
                await Level(replica);
                Assert.Equal(_hub.Hashes(), replica.Hashes());
                Assert.Equal(1, replica.Store.Progress.FullCopies);
                Assert.True(life > 0);

                // Not from the beginning each time: one pass has about this many blocks.
                Assert.InRange(calls, 1, 2_000);
                return;
            }
        }
    }

    [Fact]
    public async Task A_copy_that_the_source_will_not_give_is_asked_for_again_and_said()
    {
        Write(60, 9);
        _hub.Store.CutLog(new(30), Stop);
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        using var snapshots = Snapshots(new() { MaxSessions = 0 });
        using var upstream = new Upstream(_source, snapshots);
        await using var replicator = Start(replica, upstream);
        await Eventually.TrueAsync(() => replicator.Status.Problem == PullProblem.BootstrapFailed, "the problem", Stop);
        Assert.Contains("Unavailable", replicator.Status.Trouble, StringComparison.Ordinal);
        Assert.NotEqual(ProgressState.Stopped, replicator.Status.State);
    }

    private sealed class CountedSnapshots(ISnapshotSource target, Action onBlock) : ISnapshotSource
    {
        public ValueTask<OpenSnapshotAnswer> OpenAsync(OpenSnapshotRequest request, CancellationToken cancellation) => target.OpenAsync(request, cancellation);

        public async ValueTask<NextBlockAnswer> NextAsync(NextBlockRequest request, CancellationToken cancellation)
        {
            onBlock();
            await Task.Yield();
            cancellation.ThrowIfCancellationRequested();
            return await target.NextAsync(request, cancellation);
        }

        public ValueTask CloseAsync(long session, CancellationToken cancellation) => target.CloseAsync(session, cancellation);
    }

    [Fact]
    public async Task A_fault_of_the_program_stops_replication_in_sight_and_reads_go_on()
    {
        Write(20, 7);
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        using var upstream = new Upstream(new FaultyProgram(_source));
        var log = new ErrorLog();
        await using var replicator = Start(replica, upstream, logger: log);
        await Eventually.TrueAsync(() => replicator.Status.State == ProgressState.Stopped, "the stop", Stop);
        Assert.Equal(StopReason.InternalError, replicator.Status.StopReason);
        Assert.NotNull(replicator.Status.Trouble);
        Assert.Single(log.Errors);
        Assert.Equal(0, replica.Rows());
    }

    public void Dispose()
    {
        _source.Dispose();
        _hub.Dispose();
        _directory.Dispose();
    }

    /// <summary>A source whose pages are none: no state of the wire or of a source, so only a fault of the program can be behind it.</summary>
    private sealed class FaultyProgram(ILogSource source) : ILogSource
    {
        public ValueTask<SourceDescription> DescribeAsync(CancellationToken cancellation) => source.DescribeAsync(cancellation);

        public ValueTask<OpenPullAnswer> OpenAsync(OpenPullRequest request, CancellationToken cancellation) => source.OpenAsync(request, cancellation);

        public ValueTask<LogPage> NextAsync(NextPageRequest request, CancellationToken cancellation) => new((LogPage)null!);
    }

    private sealed class ErrorLog : ILogger<Replicator>
    {
        private readonly ConcurrentQueue<string> _errors = [];

        public IReadOnlyCollection<string> Errors => _errors;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel >= LogLevel.Error)
            {
                _errors.Enqueue(formatter(state, exception));
            }
        }
    }

    private sealed class Upstream(ILogSource source, ISnapshotSource? snapshots = null) : IUpstream, IDisposable
    {
        private readonly SemaphoreSlim _free = new(1);
        private CancellationTokenSource _lost = new();

        public int Others => 0;

        public void Leave(UpstreamConnection connection, SourceFault fault, string why) => Assert.Fail("There is no other source.");

        public void Heard(UpstreamConnection connection, TimeSpan? age, Revision revision)
        {
        }

        public async ValueTask<UpstreamConnection> ConnectAsync(CancellationToken cancellation)
        {
            await _free.WaitAsync(cancellation);
            return new(source, snapshots!, NodeId.Parse("hub-0"), "test", _lost.Token);
        }

        public void Lose()
        {
            var lost = _lost;
            _lost = new();
            _free.Release();
            lost.Cancel();
            lost.Dispose();
        }

        public void Dispose()
        {
            _free.Dispose();
            _lost.Dispose();
        }
    }

    /// <summary>
    /// A way that loses, repeats, reorders, damages and mixes up pages. It numbers its own requests to the source, so that what
    /// the child sees is wrong although the source is right.
    /// </summary>
    private sealed class FaultyWay(ILogSource source, int seed) : ILogSource, IDisposable
    {
        public const int Kinds = 8;

        private readonly Random _random = new(seed);
        private readonly SemaphoreSlim _turn = new(1);
        private readonly Dictionary<int, int> _faults = Enumerable.Range(0, Kinds).ToDictionary(kind => kind, _ => 0);
        private readonly Queue<LogPage> _held = new();
        private LogPage? _last;
        private long _number;
        private long _session;

        public IReadOnlyDictionary<int, int> Faults => _faults;

        public ValueTask<SourceDescription> DescribeAsync(CancellationToken cancellation) => source.DescribeAsync(cancellation);

        public async ValueTask<OpenPullAnswer> OpenAsync(OpenPullRequest request, CancellationToken cancellation)
        {
            await _turn.WaitAsync(cancellation);
            try
            {
                var answer = await source.OpenAsync(request, cancellation);
                (_number, _session) = (0, answer.Session);
                _held.Clear();
                return answer;
            }
            finally
            {
                _turn.Release();
            }
        }

        public async ValueTask<LogPage> NextAsync(NextPageRequest request, CancellationToken cancellation)
        {
            await _turn.WaitAsync(cancellation);
            try
            {
                return await Answer(request, cancellation);
            }
            finally
            {
                _turn.Release();
            }
        }

        private async Task<LogPage> Answer(NextPageRequest request, CancellationToken cancellation)
        {
            if (request.Session != _session)
            {
                return await source.NextAsync(request, cancellation);
            }

            if (_held.TryDequeue(out var held))
            {
                return held;
            }

            var page = await Fetch(request, cancellation);
            if (page.Records.Length == 0 || _random.Next(3) > 0)
            {
                return page;
            }

            var kind = _random.Next(Kinds);
            _faults[kind]++;
            switch (kind)
            {
                case 0:
                    throw new IOException("The answer was lost.");
                case 1:
                    return await Fetch(request, cancellation);
                case 2:
                    _held.Enqueue(page);
                    return page;
                case 3:
                    _held.Enqueue(page);
                    return await Fetch(request, cancellation);
                case 4:
                    var damaged = page.Records.Memory.ToArray();
                    damaged[_random.Next(damaged.Length)] ^= (byte)(1 << _random.Next(8));
                    return page with { Records = new(damaged) };
                case 5:
                    return page with { Status = PageStatus.SessionLost };
                case 6:
                    return page with { Records = new(page.Records.Memory[..^1]) };
                default:
                    var old = _last ?? page;
                    _last = page;
                    return old;
            }
        }

        private ValueTask<LogPage> Fetch(NextPageRequest request, CancellationToken cancellation) =>
            source.NextAsync(request with { Number = _number++ }, cancellation);

        public void Dispose() => _turn.Dispose();
    }
}
