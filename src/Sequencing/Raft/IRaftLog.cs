using DotNext.Net.Cluster.Consensus.Raft;
using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>A Raft log that keeps its word: what it has acknowledged is on disk, and a leader appends in the term of its own leadership.</summary>
internal interface IRaftLog : IPersistentState, IAsyncDisposable
{
    /// <summary>Term in which this member last began to lead; 0 for never. Whether it still does is another matter.</summary>
    Term LeadingTerm { get; }

    /// <summary>
    /// Number of the flush that the disk is at work on, of what this member appended as a leader; null where there is none, or the log does
    /// not tell. One that stays the same for long is a disk that stalls.
    /// </summary>
    long? FlushUnderWay { get; }

    /// <summary>Term of an entry; null where the log does not have it, or does not tell.</summary>
    Term? TermOf(LogIndex index);
}
