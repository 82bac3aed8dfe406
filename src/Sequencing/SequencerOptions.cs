using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>Limits of the sequencer.</summary>
public sealed record SequencerOptions
{
    /// <summary>Most commands of one Raft entry. Default 4,096. Source: measured, docs/decisions/0002-group-commit.md.</summary>
    public int MaxEntryCommands { get; init; } = Limits.MaxCommandsPerBatch;

    /// <summary>Most bytes of commands in one Raft entry, unless a single submission has more. Default 1 MiB.</summary>
    public int MaxEntryBytes { get; init; } = 1024 * 1024;

    /// <summary>Most commands that wait for their entry; beyond it the answer is Overloaded. Default 65,536.</summary>
    public int MaxQueuedCommands { get; init; } = 65_536;

    /// <summary>Most bytes of commands that wait for their entry. Default 64 MiB.</summary>
    public long MaxQueuedBytes { get; init; } = 64L << 20;

    /// <summary>What Overloaded tells the caller to wait. Default 50 ms.</summary>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// How long the fate of a proposal that lost its leader is awaited before it is answered Unknown. Default 2 s: the next
    /// leader is normally there in one, and then most such proposals turn out committed.
    /// </summary>
    public TimeSpan UnknownGrace { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Highest feature level that this member applies. A test may play a build that can do more.</summary>
    internal int SupportedFeatureLevel { get; init; } = EntryApplier.SupportedFeatureLevel;

    public OperationWindow OperationWindow { get; init; } = OperationWindow.Default;

    public RaftLogOptions RaftLog { get; init; } = new();
}

/// <summary>
/// How long operation ids are remembered. It decides outcomes at apply, so all members must have the same values; they are
/// part of the format, not of the configuration.
/// </summary>
/// <param name="MaxCount">Most ids.</param>
/// <param name="MaxAge">Age in log time after which an id is forgotten.</param>
/// <param name="MaxLead">How far the time in an id may lie ahead of the entry that carries it, because the clocks of two leaders differ.</param>
public sealed record OperationWindow(int MaxCount, TimeSpan MaxAge, TimeSpan MaxLead)
{
    public static readonly OperationWindow Default = new(1_000_000, TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(10));
}

/// <summary>When the Raft log is cut. Memory of a member holds what is not cut.</summary>
public sealed record RaftLogOptions
{
    /// <summary>Cut when this many bytes of entries lie above the last cut. Default 128 MiB.</summary>
    public long CutAfterBytes { get; init; } = 128L << 20;

    /// <summary>Cut when this many entries lie above the last cut. Default 50,000.</summary>
    public int CutAfterEntries { get; init; } = 50_000;

    /// <summary>
    /// Part of the above that a cut leaves, 0 to 1. Default one half: a follower that is a little behind must not need repair.
    /// </summary>
    public double KeepShare { get; init; } = 0.5;
}
