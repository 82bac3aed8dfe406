using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>
/// Puts commands into the one order. Any thread may call; a hub member that does not lead answers that it does not, and the
/// caller finds the leader.
/// </summary>
public interface ISequencer
{
    /// <summary>What this member knows of the leadership now.</summary>
    Leadership Leadership { get; }

    /// <summary>
    /// Commits commands in the given order, possibly together with others. Outcomes come in the same order. Each command has
    /// passed <see cref="CommandView.Validate"/>; its bytes must not change. Cancelling means that the caller stops waiting: what
    /// was handed over may still be committed. Never throws for what became of a command: that is its outcome.
    /// </summary>
    ValueTask<CommitOutcome[]> CommitAsync(IReadOnlyList<ReadOnlyMemory<byte>> commands, CancellationToken cancellation);

    /// <summary>
    /// Leader: a revision that is not older than any write acknowledged before this call, applied here already; reading the
    /// local View afterwards is linearizable. Null where this member does not lead or cannot reach a majority.
    /// </summary>
    ValueTask<Revision?> ReadBarrierAsync(CancellationToken cancellation);
}

/// <summary>Who leads, as one member sees it.</summary>
/// <param name="IsLeader">True only once this member may serve: its first entry of the term is committed.</param>
/// <param name="Leader">Name of the leader; null where none is known.</param>
public sealed record Leadership(bool IsLeader, Term Term, NodeId? Leader);
