using System.Collections;
using DotNext.IO;
using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>
/// The library's Raft log with the missing half of durability (docs/decisions/0001-durable-raft-log.md). RaftCluster dispatches
/// through <see cref="IAuditTrail{T}"/>, so what is re-implemented here takes effect:
/// <list type="bullet">
/// <item>A follower answers only after its disk has the entries. As it comes, it answers when they are in memory.</item>
/// <item>A request is read whole before the log is touched. Cut off in the middle of an overwrite, the library would keep the new
/// entries in memory and the old ones on disk, for good.</item>
/// <item>Entries that are there already, with the same terms, are not written again: a late, shorter copy of a request must not
/// cut off what was acknowledged since.</item>
/// <item>One request carries about <see cref="MaxRequestBytes"/>. The library sends everything a follower lacks at once, and a
/// follower that cannot take that within one time-out would never catch up.</item>
/// <item>A leader appends in the term of its own leadership or not at all. As it comes, one that was deposed a moment ago and does
/// not know it yet can append behind what the new leader sent, and in the new leader's term, if that is what it reads.</item>
/// <item>No more is committed than is known to be the leader's: what lies behind the entries of a request is not. And a leader commits
/// what others appended only together with an entry of its own.</item>
/// </list>
/// </summary>
internal sealed class DurableWriteAheadLog(WriteAheadLog.Options options, HubStateMachine machine)
    : WriteAheadLog(options, machine), IRaftLog, IAuditTrail<IRaftLogEntry>
{
    /// <summary>Entries of one request to a follower, bytes; it carries at least one whatever its size.</summary>
    private const long MaxRequestBytes = 1024 * 1024;

    // Held while entries are appended, by a leader or by a follower. The term grows before a request of its leader is appended, so a
    // deposed leader either finds the new term, or has appended before the first request of it.
    private readonly SemaphoreSlim _appending = new(1);
    private long _leadingTerm;
    private long _begunTerm = -1;
    private long _agreedIndex;

    /// <inheritdoc/>
    public Term LeadingTerm => new(Interlocked.Read(ref _leadingTerm));

    /// <inheritdoc/>
    public long? FlushUnderWay => null;

    /// <inheritdoc/>
    public Term? TermOf(LogIndex index) => null;

    /// <summary>Checks the hashes of all entries, and only then lets them be applied.</summary>
    public override async Task InitializeAsync(CancellationToken token = default)
    {
        // A hub of one leads from its start, in the term it has, without an entry that says so, and commits what is there. In a larger
        // one nobody leads a term that began before its start, and the first request of a leader says how far its log is the leader's.
        _leadingTerm = ((IPersistentState)this).Term;
        _agreedIndex = LastEntryIndex;

        // The check runs before the first await of the base; a task that has not failed by then has passed it.
        var initialized = base.InitializeAsync(token);
        if (!initialized.IsFaulted)
        {
            machine.Open();
        }

        await initialized.ConfigureAwait(false);
    }

    /// <summary>Leader. Throws <see cref="StaleLeadershipException"/> where the leadership is over; nothing was appended then.</summary>
    async ValueTask<long> IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(TEntry entry, CancellationToken token)
    {
        await _appending.WaitAsync(token).ConfigureAwait(false);
        try
        {
            // An entry without content is the first of a leadership.
            var begins = entry is { CommandId: null, IsConfiguration: false };
            if (entry.Term != ((IPersistentState)this).Term || (!begins && entry.Term != LeadingTerm.Value))
            {
                throw new StaleLeadershipException(new(entry.Term));
            }

            var index = await AppendAsync(entry, CancellationToken.None).ConfigureAwait(false);
            Interlocked.Exchange(ref _begunTerm, entry.Term);
            Interlocked.Exchange(ref _leadingTerm, entry.Term);
            Interlocked.Exchange(ref _agreedIndex, index);
            return index;
        }
        finally
        {
            _appending.Release();
        }
    }

    async ValueTask IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(
        ILogEntryProducer<TEntry> entries, long startIndex, bool skipCommitted, CancellationToken token)
    {
        var request = await ReadWholeAsync(entries, token).ConfigureAwait(false);
        await _appending.WaitAsync(token).ConfigureAwait(false);
        try
        {
            var known = await CountKnownAsync(request, startIndex, token).ConfigureAwait(false);
            if (known < request.Count)
            {
                await AppendAsync(new ListProducer(request, known), startIndex + known, skipCommitted, CancellationToken.None).ConfigureAwait(false);
            }

            Interlocked.Exchange(ref _agreedIndex, startIndex + request.Count - 1);
        }
        finally
        {
            _appending.Release();
        }

        // Also for a request without new entries: it acknowledges the whole prefix, and that may not be flushed yet.
        await FlushAsync(token).ConfigureAwait(false);
    }

    /// <summary>The floor of a leader that has cut its log.</summary>
    async ValueTask IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(TEntry entry, long startIndex, CancellationToken token)
    {
        await _appending.WaitAsync(token).ConfigureAwait(false);
        try
        {
            await AppendAsync(entry, startIndex, token).ConfigureAwait(false);
            Interlocked.Exchange(ref _agreedIndex, startIndex);
        }
        finally
        {
            _appending.Release();
        }
    }

    /// <summary>
    /// A follower hears what the leader has committed, and that can be more than the leader has told it of: a request carries part of
    /// what the follower lacks. Behind that part there may be entries of a leader before.
    /// </summary>
    async ValueTask<long> IAuditTrail.CommitAsync(long endIndex, CancellationToken token)
    {
        endIndex = Math.Min(endIndex, Math.Max(Interlocked.Read(ref _agreedIndex), LastCommittedEntryIndex));

        // A leader commits what others appended only together with an entry of its own: counted for itself, it can still be replaced.
        // The library sees to that only where every request reaches the end of the log.
        var begun = Interlocked.Read(ref _begunTerm);
        if (begun == ((IPersistentState)this).Term && endIndex > LastCommittedEntryIndex && !await HasTermAsync(endIndex, begun, token).ConfigureAwait(false))
        {
            return 0;
        }

        return await CommitAsync(endIndex, token).ConfigureAwait(false);
    }

    private async ValueTask<bool> HasTermAsync(long index, long term, CancellationToken token) =>
        await ReadAsync(new TermComparer([new([], term, null, isConfiguration: false)]), index, index, token).ConfigureAwait(false) == 1;

    ValueTask<TResult> IAuditTrail<IRaftLogEntry>.ReadAsync<TResult>(
        ILogEntryConsumer<IRaftLogEntry, TResult> reader, long startIndex, long endIndex, CancellationToken token) =>
        ReadAsync(new CappedConsumer<TResult>(reader), startIndex, endIndex, token);

    private static async ValueTask<List<BufferedEntry>> ReadWholeAsync<TEntry>(ILogEntryProducer<TEntry> entries, CancellationToken token)
        where TEntry : IRaftLogEntry
    {
        var request = new List<BufferedEntry>((int)Math.Min(entries.RemainingCount, 1024));
        while (await entries.MoveNextAsync().ConfigureAwait(false))
        {
            var entry = entries.Current;
            if (entry.IsSnapshot)
            {
                throw new InvalidOperationException("A snapshot is not appended.");
            }

            var content = await entry.ToByteArrayAsync(null, token).ConfigureAwait(false);
            request.Add(new(content, entry.Term, entry.CommandId, entry.IsConfiguration));
        }

        return request;
    }

    /// <summary>How many of the first entries the log has at their places, with the same terms.</summary>
    private ValueTask<int> CountKnownAsync(List<BufferedEntry> request, long startIndex, CancellationToken token)
    {
        var last = Math.Min(LastEntryIndex, startIndex + request.Count - 1);
        return last < startIndex ? new(0) : ReadAsync(new TermComparer(request), startIndex, last, token);
    }

    /// <summary>An entry of a request, in memory.</summary>
    private sealed class BufferedEntry(byte[] content, long term, int? commandId, bool isConfiguration) : IRaftLogEntry
    {
        public long Term => term;

        public int? CommandId => commandId;

        public bool IsConfiguration => isConfiguration;

        public long? Length => content.Length;

        public bool IsReusable => true;

        public ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
            where TWriter : IAsyncBinaryWriter => writer.Invoke(content, token);

        public bool TryGetMemory(out ReadOnlyMemory<byte> memory)
        {
            memory = content;
            return true;
        }
    }

    /// <summary>Counts leading entries of the log whose terms are those of a request.</summary>
    private sealed class TermComparer(List<BufferedEntry> request) : ILogEntryConsumer<IRaftLogEntry, int>
    {
        bool ILogEntryConsumer<IRaftLogEntry, int>.LogEntryMetadataOnly => true;

        public ValueTask<int> ReadAsync<TEntry, TList>(TList entries, long? snapshotIndex, CancellationToken token)
            where TEntry : IRaftLogEntry
            where TList : IReadOnlyList<TEntry>
        {
            // A snapshot in front stands for entries that are applied and cannot be overwritten; the base skips those itself.
            var known = 0;
            while (snapshotIndex is null && known < entries.Count && known < request.Count && entries[known].Term == request[known].Term)
            {
                known++;
            }

            return new(known);
        }
    }

    /// <summary>Gives the reader as many entries as fit one request.</summary>
    private sealed class CappedConsumer<TResult>(ILogEntryConsumer<IRaftLogEntry, TResult> reader) : ILogEntryConsumer<IRaftLogEntry, TResult>
    {
        bool ILogEntryConsumer<IRaftLogEntry, TResult>.LogEntryMetadataOnly => reader.LogEntryMetadataOnly;

        public ValueTask<TResult> ReadAsync<TEntry, TList>(TList entries, long? snapshotIndex, CancellationToken token)
            where TEntry : IRaftLogEntry
            where TList : IReadOnlyList<TEntry>
        {
            if (reader.LogEntryMetadataOnly)
            {
                return reader.ReadAsync<TEntry, TList>(entries, snapshotIndex, token);
            }

            long bytes = 0;
            var count = 0;
            while (count < entries.Count && (count == 0 || bytes + (entries[count].Length ?? 0) <= MaxRequestBytes))
            {
                bytes += entries[count++].Length ?? 0;
            }

            return count == entries.Count
                ? reader.ReadAsync<TEntry, TList>(entries, snapshotIndex, token)
                : reader.ReadAsync<TEntry, Prefix<TEntry>>(new(entries, count), snapshotIndex, token);
        }
    }

    /// <summary>The first entries of a list.</summary>
    private readonly struct Prefix<TEntry>(IReadOnlyList<TEntry> entries, int count) : IReadOnlyList<TEntry>
    {
        public int Count => count;

        public TEntry this[int index] => index < count ? entries[index] : throw new ArgumentOutOfRangeException(nameof(index));

        public IEnumerator<TEntry> GetEnumerator()
        {
            for (var i = 0; i < count; i++)
            {
                yield return entries[i];
            }
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }

    /// <summary>Entries in memory, from one on: cannot be cut off.</summary>
    private sealed class ListProducer(List<BufferedEntry> entries, int first) : ILogEntryProducer<BufferedEntry>
    {
        private int _next = first;

        public long RemainingCount => entries.Count - _next;

        public BufferedEntry Current => entries[_next - 1];

        public ValueTask<bool> MoveNextAsync() => new(_next++ < entries.Count);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
