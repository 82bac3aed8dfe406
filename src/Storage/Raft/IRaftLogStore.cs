using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// The log and the votes of a hub member on disk. One thread at a time appends; votes may be saved beside it. Every method throws
/// <see cref="StorageException"/>; after a failed write nothing more is written, and whether the write is on disk is not known.
/// </summary>
public interface IRaftLogStore : IDisposable
{
    /// <summary>The votes as they were last saved.</summary>
    RaftVotes Votes { get; }

    /// <summary>Saves what the member promises. Durable on return.</summary>
    void SaveVotes(RaftVotes votes);

    /// <summary>All entries above the floor, in order, each checked. Throws (Corrupt) where one is damaged or missing.</summary>
    IEnumerable<RaftLogEntry> ReadAll();

    /// <summary>One entry, checked. Throws (Corrupt) where it is damaged or missing.</summary>
    RaftLogEntry Read(LogIndex index);

    /// <summary>
    /// Writes entries that follow each other. Those from the first of them to <paramref name="replacedTo"/> are gone afterwards: all
    /// or nothing. Not durable before <see cref="Sync"/>.
    /// </summary>
    /// <param name="entries">At least one.</param>
    /// <param name="before">The entry before the first: its index and term; the zero of both where there is none.</param>
    /// <param name="replacedTo">The last entry that the log had, where these take the place of its end; else null.</param>
    void Append(IReadOnlyList<RaftLogEntry> entries, RaftFloor before, LogIndex? replacedTo);

    /// <summary>Drops the end of the log: what is behind <paramref name="end"/>. Durable on return.</summary>
    /// <param name="last">The last entry that the log has.</param>
    void CutOff(RaftFloor end, LogIndex last);

    /// <summary>Makes everything appended so far durable.</summary>
    /// <param name="last">The last entry of the log: its index and term.</param>
    void Sync(RaftFloor last);
}
