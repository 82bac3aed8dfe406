using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <summary>The state of one node at one position with its log, as a snapshot carries it; or the state of some of its keyspaces, without their log.</summary>
/// <param name="Progress">That which the receiver will have.</param>
/// <param name="Except">For a receiver that holds these keyspaces at that position already; else null.</param>
internal sealed record SimulatedSnapshot(
    NodeId Source, StoreProgress Progress, Dictionary<KeyspaceId, KeyspaceImage> Keyspaces, Dictionary<KeyspaceName, KeyspaceId> Names,
    List<LogRow> Records, bool IsDamaged, Subscription? Except = null)
{
    /// <summary>The log, and rows that grow with it.</summary>
    public long Bytes => Records.Sum(record => (long)record.Bytes.Length) + (50 * Keyspaces.Values.Sum(keyspace => keyspace.Sequence.Value));
}
