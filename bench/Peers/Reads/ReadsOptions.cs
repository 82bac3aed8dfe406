namespace Quicksilver.Peers.Reads;

/// <summary>How reads are measured.</summary>
internal sealed record ReadsOptions
{
    /// <summary>A directory is made below it for each peer and round, and deleted.</summary>
    public required string Data { get; init; }

    public required int Rounds { get; init; }

    public required int Keys { get; init; }

    /// <summary>Measured time of each cell.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>Time before each cell, not measured.</summary>
    public required TimeSpan Warmup { get; init; }

    /// <summary>Time of 64 readers at a peer that has just been filled, before its first cell.</summary>
    public required TimeSpan Settle { get; init; }

    /// <summary>Name of the only peer that is measured; null for all.</summary>
    public string? Only { get; init; }
}
