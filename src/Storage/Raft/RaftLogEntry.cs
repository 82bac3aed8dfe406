using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>One entry of the Raft log.</summary>
/// <param name="Index">Its place, from 1.</param>
/// <param name="Term">Term of the leader that made it.</param>
/// <param name="CommandId">What kind of command it holds, 0 to 2^31 - 1; null where the consensus library made it.</param>
/// <param name="IsConfiguration">True where it holds the members of the hub.</param>
/// <param name="Payload">What it holds, bytes.</param>
public sealed record RaftLogEntry(LogIndex Index, Term Term, int? CommandId, bool IsConfiguration, ReadOnlyMemory<byte> Payload);
