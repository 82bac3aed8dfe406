namespace Quicksilver.Model;

/// <summary>
/// Where a state stands: which log, which history of it, and how far. Every page, result, cursor and session token carries
/// one; a bare revision is only for people.
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.LogPosition")]
public readonly record struct LogPosition(
    [property: Id(0)] LogId Log, [property: Id(1)] HistoryId History, [property: Id(2)] Revision Revision)
{
    /// <summary>Before anything: the position of an empty replica and of a session that has seen nothing.</summary>
    public static readonly LogPosition None;

    /// <summary>True when a state at this position also reflects everything up to <paramref name="other"/>.</summary>
    /// <remarks>A position without history (nothing seen yet) is covered by every position.</remarks>
    public bool Covers(LogPosition other) =>
        other.Revision == Revision.None || (Log == other.Log && History == other.History && Revision >= other.Revision);

    /// <inheritdoc/>
    public override string ToString() => $"{Log}/{History}/{Revision}";
}
