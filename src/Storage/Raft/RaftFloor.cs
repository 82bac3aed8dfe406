using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>An entry of the Raft log, and its term, up to which a hub member no longer needs the log: its store has it all, durably.</summary>
public readonly record struct RaftFloor(LogIndex Index, Term Term);
