using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>A real hub with 20 revisions in two keyspaces, and replicas that have the first ten. Tests only read it.</summary>
public sealed class HostileHub : IDisposable
{
    /// <summary>Revisions of a replica when it meets its sources.</summary>
    public const int Had = 10;

    private const int Last = 20;

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private int _replicas;

    public HostileHub()
    {
        _hub = new(_directory.Sub("hub"));
        _hub.ApplyOne(_hub.Commands.Create("other"));
        for (var i = 0; i < Last - 2; i++)
        {
            _hub.ApplyOne(i % 7 == 2 ? _hub.Commands.Delete(KeyspaceOf(i), $"k{i % 5}") : _hub.Commands.Put(KeyspaceOf(i), $"k{i % 5}", ValueOf(i)));
        }

        Records = _hub.Records();
    }

    public NodeStore Store => _hub.Store;

    /// <summary>All records, also those that were cut since.</summary>
    public List<byte[]> Records { get; }

    private static KeyspaceId KeyspaceOf(int i) => new((uint)(1 + (i % 2)));

    // Long and of one letter, so that pages can be packed.
    private static string ValueOf(int i) => new((char)('a' + i), 100);

    public StateHashes Hashes() => _hub.Hashes();

    /// <summary>What the replica has, and from there on what a test puts into it; the chains fit.</summary>
    public ForgedLog Fork() => ForgedLog.After(Store.Progress, Records[..Had]);

    /// <summary>The same keyspaces and sequences in another history.</summary>
    public static ForgedLog OtherHistory()
    {
        var log = new ForgedLog(new(1, 2), new(9, 9)).Create("flags").Create("other");
        for (var i = 0; i < Last - 2; i++)
        {
            log.Put(KeyspaceOf(i), $"k{i % 5}", ValueOf(i));
        }

        return log;
    }

    public ReplicaStore Replica(bool isEmpty = false)
    {
        var replica = new ReplicaStore(_directory.Sub($"replica-{++_replicas}"));
        if (!isEmpty)
        {
            new PageApplier(replica.Store).Apply(Pages.Of(Store.Progress, 1, Records[..Had]));
        }

        return replica;
    }

    public LogSource Source(string node) => new(
        NodeId.Parse(node), Store, new HubLogClock(Store, () => true, TimeProvider.System), new(), TimeProvider.System);

    public SnapshotSource Snapshots(string node, int maxBlockBytes) => new(
        NodeId.Parse(node), Store, null, new() { MaxBlockBytes = maxBlockBytes }, TimeProvider.System);

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}

/// <summary>A source that changes the pages of each session, by their numbers.</summary>
internal sealed class HostileLog(ILogSource source, Func<long, LogPage, LogPage> change) : ILogSource
{
    public ValueTask<SourceDescription> DescribeAsync(CancellationToken cancellation) => source.DescribeAsync(cancellation);

    public ValueTask<OpenPullAnswer> OpenAsync(OpenPullRequest request, CancellationToken cancellation) => source.OpenAsync(request, cancellation);

    public async ValueTask<LogPage> NextAsync(NextPageRequest request, CancellationToken cancellation) =>
        change(request.Number, await source.NextAsync(request, cancellation));
}

/// <summary>A source that changes the header of its snapshots, and their blocks.</summary>
internal sealed class HostileSnapshots(
    ISnapshotSource source, Func<byte[], byte[]>? changeHeader, Func<NextBlockRequest, byte[], byte[]>? changeBlock) : ISnapshotSource
{
    public async ValueTask<OpenSnapshotAnswer> OpenAsync(OpenSnapshotRequest request, CancellationToken cancellation)
    {
        var answer = await source.OpenAsync(request, cancellation);
        return answer.Status == SnapshotStatus.Ok && changeHeader is not null
            ? answer with { Header = new(changeHeader(answer.Header.Memory.ToArray())) }
            : answer;
    }

    public async ValueTask<NextBlockAnswer> NextAsync(NextBlockRequest request, CancellationToken cancellation)
    {
        var answer = await source.NextAsync(request, cancellation);
        return answer.Status == SnapshotStatus.Ok && changeBlock is not null
            ? answer with { Block = new(changeBlock(request, answer.Block.Memory.ToArray())) }
            : answer;
    }

    public ValueTask CloseAsync(long session, CancellationToken cancellation) => source.CloseAsync(session, cancellation);
}

/// <summary>A block of a snapshot in its parts, to be put together wrong and with a hash that fits all the same.</summary>
/// <param name="Count">The number of rows that it claims; null for the right one.</param>
internal sealed record ForgedBlock(byte Version, byte Section, byte[] After, byte End, (byte[] Key, byte[] Value)[] Rows, long? Count = null)
{
    public static ForgedBlock Of(byte[] block)
    {
        var reader = new ByteReader(block.AsSpan(0, block.Length - ChainHash.SizeBytes));
        var version = reader.ReadByte();
        var section = reader.ReadByte();
        var after = reader.ReadBytes(SnapshotBlock.MaxKeyBytes, "the key before the block").ToArray();
        var end = reader.ReadByte();
        var rows = new (byte[] Key, byte[] Value)[reader.ReadCount(1_000, "the number of rows")];
        for (var i = 0; i < rows.Length; i++)
        {
            var key = reader.ReadBytes(SnapshotBlock.MaxKeyBytes, "the length of a key").ToArray();
            rows[i] = (key, reader.ReadBytes(RecordFormat.MaxBytes, "the length of a row").ToArray());
        }

        return new(version, section, after, end, rows);
    }

    public byte[] Write() => Seal(Body());

    /// <summary>All but the hash.</summary>
    public byte[] Body()
    {
        var writer = new ByteWriter();
        writer.WriteByte(Version);
        writer.WriteByte(Section);
        writer.WriteBytes(After);
        writer.WriteByte(End);
        writer.WriteVarint(Count ?? Rows.Length);
        foreach (var (key, value) in Rows)
        {
            writer.WriteBytes(key);
            writer.WriteBytes(value);
        }

        return writer.ToArray();
    }

    public static byte[] Seal(byte[] body)
    {
        var writer = new ByteWriter(body.Length + ChainHash.SizeBytes);
        writer.WriteRaw(body);
        ChainHash.DigestOf(body).Write(writer.Reserve(ChainHash.SizeBytes));
        return writer.ToArray();
    }
}

/// <summary>What a replica had when it gave a source up, and why it did.</summary>
internal sealed record GivenUp(SourceFault Fault, string Why, StoreProgress Progress, StateHashes Hashes);

/// <summary>A bad source, and a good one that answers when the bad one was left and the test says so.</summary>
internal sealed class TwoSources(ReplicaStore replica, ILogSource bad, ISnapshotSource? badSnapshots, ILogSource good, ISnapshotSource? goodSnapshots)
    : IUpstream, IDisposable
{
    private const string Bad = "bad";

    private readonly CancellationTokenSource _lost = new();
    private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private GivenUp? _givenUp;
    private int _connections;

    public int Others => 1;

    /// <summary>Null while the bad source is pulled from.</summary>
    public GivenUp? GivenUp => Volatile.Read(ref _givenUp);

    public void GoOn() => _goOn.TrySetResult();

    public async ValueTask<UpstreamConnection> ConnectAsync(CancellationToken cancellation)
    {
        switch (++_connections)
        {
            case 1:
                return new(bad, badSnapshots!, NodeId.Parse("hub-0"), Bad, _lost.Token);
            case 2:
                await _goOn.Task.WaitAsync(cancellation);
                return new(good, goodSnapshots!, NodeId.Parse("hub-1"), "good", CancellationToken.None);
            default:
                await Task.Delay(Timeout.Infinite, cancellation);
                throw new InvalidOperationException("There is no third source.");
        }
    }

    public void Leave(UpstreamConnection connection, SourceFault fault, string why)
    {
        if (connection.Gateway != Bad)
        {
            Assert.Fail($"The good source was left: {why}");
        }

        // Called by the one loop that applies: nothing can change while the state is looked at.
        Volatile.Write(ref _givenUp, new(fault, why, replica.Store.Progress, replica.Hashes()));
        _lost.Cancel();
    }

    public void Heard(UpstreamConnection connection, TimeSpan? age, Revision revision)
    {
    }

    public void Dispose() => _lost.Dispose();
}

internal static class Hostile
{
    public static readonly PullOptions Options = new()
    {
        MaxWait = TimeSpan.FromMilliseconds(20), MinBackoff = TimeSpan.FromMilliseconds(1), MaxBackoff = TimeSpan.FromMilliseconds(4),
        CompressFrom = TimeSpan.MaxValue,
    };

    /// <summary>
    /// The bad source is left for this fault and in sight, nothing of what it sent is in the store, and from the good source the replica gets
    /// level and equal to the hub. Returns what the replica says at the end.
    /// </summary>
    public static async Task<ReplicationStatus> AssertLeftAsync(
        HostileHub hub, ReplicaStore replica, TwoSources sources, SourceFault fault, PullProblem problem, string why, long refusedPages,
        PullOptions? options = null)
    {
        var stop = TestContext.Current.CancellationToken;
        var before = (replica.Store.Progress, replica.Hashes());
        await using var replicator = new Replicator(
            new(NodeId.Parse("eu-0"), RegionName.Parse("eu"), "eu:1"), replica.Store, sources, new ReplicaLogClock(replica.Store, TimeProvider.System),
            options ?? Options, new Random(1), TimeProvider.System, NullLogger<Replicator>.Instance);
        bool IsLevel() => replica.Store.Progress.Position == hub.Store.Progress.Position;

        replicator.Start();
        await Eventually.TrueAsync(
            () => sources.GivenUp is not null || IsLevel() || replicator.Status.State == ProgressState.Stopped, "the source to be left", stop);
        var left = sources.GivenUp ?? throw new InvalidOperationException(
            $"The source was not left; the replica is at revision {replica.Store.Progress.Position.Revision}: {replicator.Status}");
        Assert.Equal(fault, left.Fault);
        Assert.Contains(why, left.Why, StringComparison.Ordinal);
        Assert.Equal(before, (left.Progress, left.Hashes));

        await Eventually.TrueAsync(
            () => replicator.Status is { State: ProgressState.Disconnected } status && status.Problem == problem, "the problem in the status", stop);
        Assert.Contains(why, replicator.Status.Trouble, StringComparison.Ordinal);
        Assert.Equal((refusedPages, 0, 0), (replicator.Status.RefusedPages, replicator.Status.Bootstraps, replicator.Status.AppliedRecords));
        Assert.Equal(before, (replica.Store.Progress, replica.Hashes()));
        Assert.Null(replica.Store.Failure);

        sources.GoOn();
        await Eventually.TrueAsync(IsLevel, "the replica to be level", stop);
        Assert.Equal(hub.Hashes(), replica.Hashes());
        await Eventually.TrueAsync(
            () => replicator.Status is { State: ProgressState.Pulling, Problem: PullProblem.None }, "the problem to be over", stop);
        Assert.Equal(refusedPages, replicator.Status.RefusedPages);
        return replicator.Status;
    }
}
