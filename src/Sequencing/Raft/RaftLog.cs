using DotNext.IO;
using DotNext.IO.Log;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// <see cref="EntryLog"/> as the consensus library sees it, in place of the library's own log
/// (docs/decisions/0012-raft-log-in-the-database.md). The library lets nobody else implement <see cref="IPersistentState"/>, but a class
/// that derives from its log may implement every member anew, and RaftCluster calls through the interface. Of the base nothing is used
/// but the property that holds the configuration storage.
/// </summary>
internal sealed class RaftLog : WriteAheadLog, IRaftLog, IPersistentState, IAuditTrail<IRaftLogEntry>, IAuditTrail
{
    /// <summary>Entries of one request to a follower, bytes; it carries at least one whatever its size.</summary>
    private const long MaxRequestBytes = 1024 * 1024;

    private readonly EntryLog _log;

    /// <param name="shell">What the base insists on; it keeps files of its own there, which mean nothing.</param>
    /// <param name="store">The disk; disposed with this.</param>
    /// <param name="state">What entries are applied to.</param>
    /// <param name="machine">Applies entries, and hears of the first failure.</param>
    public RaftLog(Options shell, IRaftLogStore store, NodeStore state, HubStateMachine machine)
        : base(shell, IStateMachine.CreateNoOp()) => _log = new(store, state, machine, SaveMembersAsync);

    /// <inheritdoc/>
    public Term LeadingTerm => _log.LeadingTerm;

    /// <inheritdoc/>
    public long? FlushUnderWay => _log.FlushUnderWay;

    /// <inheritdoc/>
    public Term? TermOf(LogIndex index) => _log.TermAt(index) is var (term, floor) && term != default && (floor is null || floor.Value.Index == index) ? term : null;

    long IAuditTrail.LastEntryIndex => _log.Last.Value;

    long IAuditTrail.LastCommittedEntryIndex => _log.Committed.Value;

    bool IAuditTrail.IsLogEntryLengthAlwaysPresented => true;

    long IPersistentState.Term => _log.Votes.Term.Value;

    int IPersistentState.Version => HubStateMachine.ProtocolVersion;

    /// <summary>Reads and checks all of the log; once, before anything else. Throws <see cref="StorageException"/> (Corrupt).</summary>
    public void Load() => _log.Load();

    /// <summary>Completes when this member's disk has an entry.</summary>
    public ValueTask FlushedAsync(LogIndex index, CancellationToken cancellation) => _log.FlushedAsync(index, cancellation);

    Task IAuditTrail.InitializeAsync(CancellationToken token) => _log.StartAsync(token).AsTask();

    bool IPersistentState.IsVotedFor(in ClusterMemberId id) => _log.Votes.Candidate is not { } candidate || new ClusterMemberId(candidate.Span) == id;

    ValueTask<long> IPersistentState.IncrementTermAsync(ClusterMemberId member, CancellationToken token) =>
        new(_log.Vote(votes => new(new(votes.Term.Value + 1), BytesOf(member))).Term.Value);

    ValueTask IPersistentState.UpdateTermAsync(long term, bool resetLastVote, CancellationToken token)
    {
        _log.Vote(votes => new(new(term), resetLastVote ? null : votes.Candidate));
        return ValueTask.CompletedTask;
    }

    ValueTask IPersistentState.UpdateVotedForAsync(ClusterMemberId member, CancellationToken token)
    {
        _log.Vote(votes => votes with { Candidate = BytesOf(member) });
        return ValueTask.CompletedTask;
    }

    private static ReadOnlyMemory<byte> BytesOf(in ClusterMemberId member)
    {
        var bytes = new byte[ClusterMemberId.Size];
        member.Format(bytes);
        return bytes;
    }

    /// <summary>Leader. Throws <see cref="StaleLeadershipException"/> where the leadership is over.</summary>
    ValueTask<long> IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(TEntry entry, CancellationToken token)
    {
        RequireNoSnapshot(entry);
        return entry.TryGetMemory(out var payload) ? new(AppendNext(entry, payload.ToArray())) : SlowAsync(entry);

        async ValueTask<long> SlowAsync(TEntry slow) => AppendNext(slow, await slow.ToByteArrayAsync(null, token).ConfigureAwait(false));
    }

    private long AppendNext<TEntry>(TEntry entry, byte[] payload)
        where TEntry : IRaftLogEntry
    {
        // An entry of no kind is the first of a leadership.
        var begins = entry is { CommandId: null, IsConfiguration: false };
        return _log.AppendNext(new(entry.Term), entry.CommandId, entry.IsConfiguration, begins, payload).Value;
    }

    /// <summary>Follower. A request is read whole before the log is touched: it may break off in the middle.</summary>
    async ValueTask IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(ILogEntryProducer<TEntry> entries, long startIndex, bool skipCommitted, CancellationToken token)
    {
        if (entries.RemainingCount > 0)
        {
            await _log.AwaitRoomAsync(token).ConfigureAwait(false);
        }

        var request = new List<RaftLogEntry>((int)Math.Min(entries.RemainingCount, 1024));
        while (await entries.MoveNextAsync().ConfigureAwait(false))
        {
            request.Add(await ReadAsync(entries.Current, startIndex + request.Count, token).ConfigureAwait(false));
        }

        _log.Append(request, new(startIndex), skipCommitted);
    }

    /// <summary>The floor of a leader that has cut its log, or one entry at its place, for which RaftCluster does not ask.</summary>
    async ValueTask IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(TEntry entry, long startIndex, CancellationToken token)
    {
        if (entry.IsSnapshot)
        {
            _log.Install(new(new(startIndex), new(entry.Term)));
        }
        else
        {
            _log.Append([await ReadAsync(entry, startIndex, token).ConfigureAwait(false)], new(startIndex), skipCommitted: false);
        }
    }

    private static async ValueTask<RaftLogEntry> ReadAsync<TEntry>(TEntry entry, long index, CancellationToken token)
        where TEntry : IRaftLogEntry
    {
        RequireNoSnapshot(entry);
        var payload = await entry.ToByteArrayAsync(null, token).ConfigureAwait(false);
        return new(new(index), new(entry.Term), entry.CommandId, entry.IsConfiguration, payload);
    }

    private static void RequireNoSnapshot<TEntry>(TEntry entry)
        where TEntry : IRaftLogEntry
    {
        if (entry.IsSnapshot)
        {
            throw new InvalidOperationException("A snapshot is not appended.");
        }
    }

    ValueTask<long> IAuditTrail.CommitAsync(long endIndex, CancellationToken token) => _log.CommitAsync(new(endIndex), token);

    ValueTask IAuditTrail.WaitForApplyAsync(long index, CancellationToken token) => _log.AppliedAsync(new(index), token);

    ValueTask IAuditTrail.WaitForApplyAsync(CancellationToken token) => _log.AppliedNextAsync(token);

    private async ValueTask SaveMembersAsync(RaftLogEntry entry, CancellationToken cancellation)
    {
        if (ConfigurationStorage is { } storage)
        {
            await storage.SaveConfigurationAsync(new StoredEntry(entry), entry.Index.Value, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Entries for a follower, about <see cref="MaxRequestBytes"/> of them, or terms. The library would send everything a follower lacks
    /// at once, and one that cannot take that within a time-out would never catch up.
    /// </summary>
    ValueTask<TResult> IAuditTrail<IRaftLogEntry>.ReadAsync<TResult>(
        ILogEntryConsumer<IRaftLogEntry, TResult> reader, long startIndex, long endIndex, CancellationToken token)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(startIndex);
        if (startIndex > endIndex)
        {
            return reader.ReadAsync<StoredEntry, StoredEntry[]>([], null, token);
        }

        if (reader.LogEntryMetadataOnly && startIndex == endIndex)
        {
            // One term: asked for with each request to a follower.
            var (term, below) = _log.TermAt(new(startIndex));
            return reader.ReadAsync<TermEntry, TermEntry[]>([new(term)], below?.Index.Value, token);
        }

        var (floor, entries) = _log.Read(new(startIndex), new(endIndex), reader.LogEntryMetadataOnly ? long.MaxValue : MaxRequestBytes);
        if (!reader.LogEntryMetadataOnly)
        {
            _log.Load(entries);
        }

        return floor is { } cut
            ? reader.ReadAsync<IRaftLogEntry, List<IRaftLogEntry>>([new LogFloor(cut), .. entries], cut.Index.Value, token)
            : reader.ReadAsync<StoredEntry, List<StoredEntry>>(entries, null, token);
    }

    protected override async ValueTask DisposeAsyncCore()
    {
        await _log.DisposeAsync().ConfigureAwait(false);
        await base.DisposeAsyncCore().ConfigureAwait(false);
    }
}
