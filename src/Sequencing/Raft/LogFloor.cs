using DotNext.IO;
using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// Tells the library how far its log may be cut: a snapshot without content, because the content is in the store. The term must
/// be the real one of that entry; elections and appends compare it.
/// </summary>
internal sealed class LogFloor(RaftFloor floor) : ISnapshot
{
    public long Index => floor.Index.Value;

    public long Term => floor.Term.Value;

    int? IRaftLogEntry.CommandId => null;

    bool IRaftLogEntry.IsConfiguration => false;

    bool ILogEntry.IsSnapshot => true;

    long? IDataTransferObject.Length => 0L;

    bool IDataTransferObject.IsReusable => true;

    ValueTask IDataTransferObject.WriteToAsync<TWriter>(TWriter writer, CancellationToken token) => ValueTask.CompletedTask;

    bool IDataTransferObject.TryGetMemory(out ReadOnlyMemory<byte> memory)
    {
        memory = default;
        return true;
    }
}
