using System.Diagnostics;
using System.Net;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.Membership;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>A member of the hub: its name and the endpoint of its Raft port, which stays the same over restarts.</summary>
public sealed record HubMember(NodeId Node, IPEndPoint Endpoint);

/// <summary>Where a member keeps its Raft log.</summary>
public enum RaftLogKind
{
    /// <summary>In its database: one flush of the device for what is appended and what is applied.</summary>
    Database = 0,

    /// <summary>In files of the consensus library, made durable. Slower; what the other kind is compared with.</summary>
    Files = 1,
}

/// <summary>What a Raft member needs to start.</summary>
public sealed record RaftNodeOptions
{
    public required NodeId Self { get; init; }

    /// <summary>
    /// All members a new hub is formed of, this one included: one, or three. Afterwards only names for endpoints; who votes is what
    /// Raft agreed on (<see cref="MemberStorage"/>).
    /// </summary>
    public required IReadOnlyList<HubMember> Members { get; init; }

    /// <summary>Directory of the Raft log. No other process may use it: the owner holds <see cref="DataDirectory"/>.</summary>
    public required string LogDirectory { get; init; }

    /// <summary>
    /// A follower that hears nothing for between this and twice this starts an election. Default 500 ms: a disk that stalls for
    /// longer costs the leadership. Also decides the heartbeat (0.3 of it), and is the time-out of a request, its flush included.
    /// </summary>
    public TimeSpan ElectionTimeout { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Where the log is. Fixed for the life of a log.</summary>
    public RaftLogKind Log { get; init; } = RaftLogKind.Database;

    /// <summary>Size of one file of the log, where it is in files: bytes, a power of two; fixed for the life of a log. Default 16 MiB.</summary>
    public int ChunkBytes { get; init; } = 16 << 20;
}

/// <summary>
/// The DotNext adapter: Raft over TCP with a durable log. Watch <see cref="Fault"/>: after it completes this member must stop,
/// because the library itself neither stops nor gives up a leadership when its log or apply fails.
/// </summary>
public sealed partial class RaftNode : IConsensusLog, IAsyncDisposable
{
    private static readonly TimeSpan ProbePeriod = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// Requests that a new member may need before it counts. The library's default of 10 is too few: each carries about 1 MiB. Bounded
    /// by the time that the caller waits.
    /// </summary>
    private const int WarmupRounds = 1_000;

    private readonly RaftNodeOptions _options;
    private readonly MemberStorage _members;
    private readonly NodeStore _store;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly HubStateMachine _machine;
    private readonly IRaftLog _log;
    private readonly RaftCluster _cluster;
    private readonly TaskCompletionSource<Exception> _fault = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _faulted = new();
    private readonly CancellationTokenSource _stop = new();
    private Task _watch = Task.CompletedTask;
    private Task _telling = Task.CompletedTask;

    // The flush that was under way when somebody last looked, and since when.
    private (long Number, long SeenAt) _flush;
    private Task _handingOver = Task.CompletedTask;
    private readonly SharedRound<bool> _barrier;
    private long _proposals;

    /// <param name="onApplied">Called for every entry this member applies, in order, on the thread that applies.</param>
    internal RaftNode(
        RaftNodeOptions options, MemberStorage members, NodeStore store, EntryApplier applier, RaftLogOptions logOptions, Action<AppliedEntry> onApplied,
        TimeProvider time, ILoggerFactory loggers)
    {
        _options = options;
        _members = members;
        _store = store;
        _time = time;
        _logger = loggers.CreateLogger<RaftNode>();
        _barrier = new(BarrierAsync);
        _machine = new(store, applier, logOptions, onApplied);
        _log = OpenLog(options, store, _machine);
        _cluster = new(Configuration(options, members, new LoggersUntil(_machine.Fault, loggers))) { AuditTrail = _log };
        _cluster.LeaderChanged += (_, leader) => LogLeaderChanged(members.NameOf(leader?.EndPoint)?.Value ?? "none", _cluster.Term);
    }

    /// <summary>Completes with the first failure after which this member cannot go on.</summary>
    public Task<Exception> Fault => _fault.Task;

    /// <inheritdoc/>
    public Leadership Leadership => new(
        !LeadershipToken.IsCancellationRequested && !_faulted.IsCancellationRequested, new(_cluster.Term), _members.NameOf(_cluster.Leader?.EndPoint));

    private CancellationToken LeadershipToken
    {
        get
        {
            try
            {
                return _cluster.LeadershipToken;
            }
            catch (UnreachableException)
            {
                // A failed change of role left the library in no role at all.
                return new(canceled: true);
            }
        }
    }

    private static IRaftLog OpenLog(RaftNodeOptions options, NodeStore store, HubStateMachine machine)
    {
        // What each kind makes first, and the other never.
        var isThere = (Database: RaftLogStore.IsIn(options.LogDirectory), Files: File.Exists(Path.Combine(options.LogDirectory, "checkpoint")));
        if (options.Log == RaftLogKind.Database ? isThere.Files : isThere.Database)
        {
            throw new StorageException(
                StorageFault.Foreign,
                $"The Raft log in '{options.LogDirectory}' is kept in {(isThere.Files ? "files" : "the database")}; this node is told to keep it in {(isThere.Files ? "the database" : "files")}. Correct Quicksilver:Hub:RaftLog, or repair this member, which gives it a new log.");
        }

        Directory.CreateDirectory(options.LogDirectory);
        if (options.Log == RaftLogKind.Files)
        {
            return new DurableWriteAheadLog(
                new()
                {
                    Location = options.LogDirectory,
                    ChunkSize = options.ChunkBytes,
                    HashAlgorithm = WriteAheadLog.IntegrityHashAlgorithm.XxHash3,

                    // Shared memory would turn a full or lost disk into silence or a crash of the process.
                    MemoryManagement = WriteAheadLog.MemoryManagementStrategy.PrivateMemory,
                },
                machine);
        }

        var log = new RaftLog(
            new() { Location = Path.Combine(options.LogDirectory, "library") }, RaftLogStore.Open(store, options.LogDirectory), store, machine);
        try
        {
            log.Load();
            return log;
        }
        catch
        {
            log.Dispose();
            throw;
        }
    }

    private static RaftCluster.TcpConfiguration Configuration(RaftNodeOptions options, MemberStorage members, ILoggerFactory loggers)
    {
        var self = members.Find(options.Self)!.Endpoint;
        var election = (int)options.ElectionTimeout.TotalMilliseconds;
        return new(self)
        {
            PublicEndPoint = self,
            ConfigurationStorage = members,
            ColdStart = false,
            LoggerFactory = loggers,
            LowerElectionTimeout = election,
            UpperElectionTimeout = 2 * election,
            HeartbeatThreshold = 0.3,
            RequestTimeout = options.ElectionTimeout,
            ConnectTimeout = TimeSpan.FromMilliseconds(election / 4.0),
            GracefulShutdownTimeout = TimeSpan.FromMilliseconds(200),
            AggressiveLeaderStickiness = true,
            IsLeaderLeaseEnabled = true,
            TransmissionBlockSize = 65535,
            WarmupRounds = WarmupRounds,
        };
    }

    /// <summary>
    /// Checks and replays the log, then takes part. Does not wait for peers. Throws where the log is damaged, where it does not
    /// reach back to what the store has, or where the port is in use.
    /// </summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        // The log is on disk before an entry is applied, so that of a member never ends before the store. One that joins has got its
        // state first, and gets the end of the log before it becomes a member.
        if (_members.Contains(_options.Self) && _log.LastEntryIndex < _store.Progress.AppliedIndex.Value)
        {
            throw NeedsRepairException.LogLost(_store.Progress.AppliedIndex, new(_log.LastEntryIndex));
        }

        if (_members.Members is { Count: 1 } && _members.Contains(_options.Self))
        {
            // It leads at once, in the term it has. In the one before it may have sent a joining node entries that its own disk never
            // got, and would give their places to others now.
            await _log.UpdateTermAsync(_log.Term + 1, resetLastVote: true, cancellation).ConfigureAwait(false);
        }

        _watch = WatchAsync();
        try
        {
            await _cluster.StartAsync(cancellation).ConfigureAwait(false);
        }
        catch (WriteAheadLog.HashMismatchException e)
        {
            throw new StorageException(StorageFault.Corrupt, $"The Raft log in '{_options.LogDirectory}' is damaged: an entry does not fit its hash. This member must be repaired.", e);
        }
        catch (WriteAheadLog.MissingPageException e)
        {
            throw new StorageException(StorageFault.Corrupt, $"The Raft log in '{_options.LogDirectory}' does not reach back to what the store has applied, or a part of it is missing. This member must be repaired.", e);
        }
        catch (WriteAheadLog.InternalException e) when (e.InnerException is { } inner)
        {
            // Replay met what apply would have met later.
            throw inner is StorageException or NeedsRepairException ? inner : new StorageException(StorageFault.Corrupt, $"The Raft log in '{_options.LogDirectory}' cannot be replayed: {inner.Message}", e);
        }
    }

    /// <summary>Entries of this member's log.</summary>
    public long LogEntries => _log.LastEntryIndex - _machine.FloorIndex.Value;

    /// <summary>Term of an entry of this member's log; null where that is not known, or not any more.</summary>
    public Term? TermOf(LogIndex index) => _log.TermOf(index);

    /// <inheritdoc/>
    public async ValueTask<ProposeResult> ProposeAsync(ReadOnlyMemory<byte> entry, CancellationToken cancellation)
    {
        // The term in which this member began to lead, not the one it knows of: a leader that was deposed a moment ago would stamp its
        // entry with the term of the new leader, whose entry at the same place is another.
        var leadership = LeadershipToken;
        var term = _log.LeadingTerm.Value;
        if (leadership.IsCancellationRequested || _faulted.IsCancellationRequested)
        {
            return ProposeResult.NotProposed;
        }

        var proposal = Interlocked.Increment(ref _proposals);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(leadership, _faulted.Token, cancellation);
        try
        {
            await _cluster.ReplicateAsync(
                new BinaryLogEntry { Content = entry, Term = term, CommandId = HubStateMachine.CommandKind }, linked.Token).ConfigureAwait(false);
            if (_members.Members is { Count: > 1 })
            {
                _telling = TellFollowersAsync(proposal, leadership);
            }

            return ProposeResult.Applied;
        }
        catch (StaleLeadershipException)
        {
            return ProposeResult.NotProposed;
        }
        catch (Exception e) when (e is NotLeaderException or OperationCanceledException)
        {
            return ProposeResult.Unknown;
        }
    }

    /// <summary>
    /// Followers learn what is committed with the next request. Where none is on its way they are told, or they would know, and serve, it
    /// only at the next heartbeat. At once: to wait for a next request first, by a timer of one millisecond, made what regions see of a
    /// follower four milliseconds older, and gained nothing that could be measured.
    /// </summary>
    private async Task TellFollowersAsync(long proposal, CancellationToken leadership)
    {
        try
        {
            // The sequencer goes first: what has been waiting is proposed now.
            await Task.Yield();
            if (Interlocked.Read(ref _proposals) == proposal)
            {
                await _cluster.ForceReplicationAsync(leadership).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Another leads now, and tells them; or they hear of it with the next heartbeat. A fault of the log is found by WatchAsync.
        }
    }

    /// <inheritdoc/>
    public ValueTask<bool> ReadBarrierAsync(CancellationToken cancellation) => new(_barrier.RunAsync().WaitAsync(cancellation));

    private async Task<bool> BarrierAsync()
    {
        var leadership = LeadershipToken;
        if (leadership.IsCancellationRequested || _faulted.IsCancellationRequested)
        {
            return false;
        }

        using var linked = CancellationTokenSource.CreateLinkedTokenSource(leadership, _faulted.Token, _stop.Token);
        try
        {
            // Linearizable only on the leader; a follower would be told a commit index without asking a majority.
            await _cluster.ApplyReadBarrierAsync(ReadBarrierType.Strong, linked.Token).ConfigureAwait(false);
            return !leadership.IsCancellationRequested;
        }
        catch (Exception e) when (e is NotLeaderException or QuorumUnreachableException or OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>
    /// Apply reports its failures itself; those of the log's own background work show only when somebody asks, so it is asked.
    /// </summary>
    private async Task WatchAsync()
    {
        using var timer = new PeriodicTimer(ProbePeriod, _time);
        try
        {
            while (true)
            {
                var tick = timer.WaitForNextTickAsync(_stop.Token).AsTask();
                await Task.WhenAny(_machine.Fault, tick).ConfigureAwait(false);
                if (_machine.Fault.IsCompletedSuccessfully)
                {
                    await FailAsync(await _machine.Fault.ConfigureAwait(false)).ConfigureAwait(false);
                    return;
                }

                await tick.ConfigureAwait(false);

                // A change of role that failed, for example because the term could not be written, leaves the library in no role:
                // it answers for ever and takes no part.
                _ = _cluster.LeadershipToken;
                LookAtDisk();
                await _log.WaitForApplyAsync(0L, CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // Stopped in order.
        }
        catch (Exception e)
        {
            await FailAsync(e).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// A leader whose disk stalls would hold up every commit, and the library lets it: the others hear from it. So it gives the
    /// leadership to one whose disk works.
    /// </summary>
    private void LookAtDisk()
    {
        var now = _time.GetTimestamp();
        if (_log.FlushUnderWay is not { } flush || flush != _flush.Number)
        {
            _flush = (_log.FlushUnderWay ?? 0, now);
        }
        else if (_time.GetElapsedTime(_flush.SeenAt, now) is var stalled && stalled >= 2 * _options.ElectionTimeout && _handingOver.IsCompleted && Leadership.IsLeader)
        {
            LogStalls(stalled.TotalSeconds);
            _handingOver = HandOverAsync();
        }
    }

    private async Task HandOverAsync()
    {
        await Task.Yield();
        try
        {
            await ResignAsync(_stop.Token).ConfigureAwait(false);
            await StandAsideAsync(_options.Self, _stop.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            LogResignFailed(e.Message);
        }
    }

    private async Task FailAsync(Exception e)
    {
        LogFaulted(e);
        await _faulted.CancelAsync().ConfigureAwait(false);
        _fault.TrySetResult(e);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _watch.ConfigureAwait(false);
        await _handingOver.ConfigureAwait(false);
        await _cluster.StopAsync(CancellationToken.None).ConfigureAwait(false);
        await _telling.ConfigureAwait(false);
        await _cluster.DisposeAsync().ConfigureAwait(false);
        await _log.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
        _faulted.Dispose();
    }

    [LoggerMessage(1, LogLevel.Information, "Hub leader is {Leader} (term {Term}).")]
    private partial void LogLeaderChanged(string leader, long term);

    [LoggerMessage(4, LogLevel.Warning, "The disk has been at work on one flush for {Seconds:0.0} s: the leadership goes to another member.")]
    private partial void LogStalls(double seconds);

    [LoggerMessage(2, LogLevel.Critical, "This hub member cannot go on and stops.")]
    private partial void LogFaulted(Exception e);
}
