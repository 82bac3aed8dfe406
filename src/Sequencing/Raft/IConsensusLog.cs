using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>What became of a proposal, as far as the proposer was told.</summary>
public enum ProposeResult
{
    Unspecified = 0,

    /// <summary>Durable on a majority and applied here.</summary>
    Applied = 1,

    /// <summary>This member does not lead; nothing was proposed and nothing will come of it.</summary>
    NotProposed = 2,

    /// <summary>It was handed over and the leadership, or the log, was lost before its fate was known. It may still be applied.</summary>
    Unknown = 3,
}

/// <summary>
/// The port behind which Raft lives: an ordered, durable log that every member applies. The real one is <see cref="RaftNode"/>;
/// a simulator has its own. Any thread may call; one proposal at a time.
/// </summary>
public interface IConsensusLog
{
    Leadership Leadership { get; }

    /// <summary>
    /// Appends one entry. The bytes must not change until the result is there; they are not needed afterwards. Cancelling means
    /// only that the caller stops waiting (Unknown). Never throws for a lost leadership.
    /// </summary>
    ValueTask<ProposeResult> ProposeAsync(ReadOnlyMemory<byte> entry, CancellationToken cancellation);

    /// <summary>Leader: confirms the leadership with a majority and waits until all it had committed is applied here. False otherwise.</summary>
    ValueTask<bool> ReadBarrierAsync(CancellationToken cancellation);
}
