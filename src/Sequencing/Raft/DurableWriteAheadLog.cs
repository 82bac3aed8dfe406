using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;

namespace Quicksilver.Sequencing;

/// <summary>
/// The library's Raft log with the missing half of durability. As it comes, a follower acknowledges entries that are only in
/// its memory, so a majority may have forgotten an acknowledged write after a crash (docs/decisions/0001-durable-raft-log.md).
/// Here it answers only after its disk has them. RaftCluster dispatches through the interface, so re-implementing the one
/// method takes effect.
/// </summary>
internal sealed class DurableWriteAheadLog(WriteAheadLog.Options options, IStateMachine machine)
    : WriteAheadLog(options, machine), IAuditTrail<IRaftLogEntry>
{
    async ValueTask IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(
        ILogEntryProducer<TEntry> entries, long startIndex, bool skipCommitted, CancellationToken token)
    {
        await AppendAsync(entries, startIndex, skipCommitted, token).ConfigureAwait(false);

        // Also for a request without entries: it acknowledges the whole prefix, and an earlier append may have been cut off
        // between memory and flush.
        await FlushAsync(token).ConfigureAwait(false);
    }
}
