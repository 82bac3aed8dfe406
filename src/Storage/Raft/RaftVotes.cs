using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>What a member has promised: it is on disk before anybody hears of it, or the member could promise it twice.</summary>
/// <param name="Term">The latest term the member knows of.</param>
/// <param name="Candidate">Identity of the member it voted for in that term; null where it has not voted.</param>
public sealed record RaftVotes(Term Term, ReadOnlyMemory<byte>? Candidate)
{
    /// <summary>Most bytes of a candidate's identity.</summary>
    public const int MaxCandidateBytes = 64;

    public static readonly RaftVotes None = new(new(0), null);
}
