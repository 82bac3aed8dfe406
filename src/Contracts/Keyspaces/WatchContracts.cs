using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>What changed in a keyspace after a position.</summary>
/// <param name="Requirement">Whose cluster the caller means, and for the first request what the answer must not be older than.</param>
/// <param name="Prefix">Only keys that start with these bytes; empty for all.</param>
/// <param name="After">The caller has all changes up to here; null for the first request, which only learns where to begin.</param>
/// <param name="MaxBytes">Most bytes of changes; the first revision always fits.</param>
/// <param name="MaxWait">Longest wait for a change.</param>
[GenerateSerializer, Immutable, Alias("qs.WatchRequest")]
public sealed record WatchRequest(
    [property: Id(0)] ReadRequirement Requirement,
    [property: Id(1)] Payload Prefix,
    [property: Id(2)] LogPosition? After,
    [property: Id(3)] int MaxBytes,
    [property: Id(4)] TimeSpan MaxWait);

/// <param name="Status">Ok also where nothing changed.</param>
/// <param name="Changes">Whole revisions; see <see cref="ReadBlocks"/>. Empty where nothing changed.</param>
/// <param name="To">Everything up to here is in this answer or in those before it.</param>
/// <param name="Oldest">First revision whose changes the node still has.</param>
/// <param name="Problem">For people, where the status is not Ok.</param>
[GenerateSerializer, Immutable, Alias("qs.WatchAnswer")]
public sealed record WatchAnswer(
    [property: Id(0)] ReadStatus Status,
    [property: Id(1)] AnswerContext Context,
    [property: Id(2)] Payload Changes,
    [property: Id(3)] LogPosition To,
    [property: Id(4)] Revision Oldest,
    [property: Id(5)] string? Problem);
