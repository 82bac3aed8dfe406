namespace Quicksilver.Load;

/// <summary>What is done.</summary>
internal enum ScenarioKind
{
    Put,
    Get,
    MultiGet,
    Mixed,
    Propagation,
}

/// <summary>What one run of the program measures.</summary>
internal sealed record LoadOptions
{
    public required ScenarioKind Scenario { get; init; }

    /// <summary>Gateways, in order of preference.</summary>
    public required IReadOnlyList<string> Gateways { get; init; }

    /// <summary>Propagation: gateways of the regions at which a put is awaited.</summary>
    public IReadOnlyList<string> Observers { get; init; } = [];

    public required IReadOnlyList<int> Concurrency { get; init; }

    /// <summary>SDK clients; callers are spread over them. Each has a connection and merges the commits of its callers.</summary>
    public int Clients { get; init; } = 1;

    public int Keys { get; init; } = 100_000;

    /// <summary>Skew of a Zipfian choice of keys, above 0 and below 1; null for a uniform one.</summary>
    public double? Zipf { get; init; }

    /// <summary>What callers of one client do at the same time goes in shared calls.</summary>
    public bool Merges { get; init; } = true;

    public int KeyBytes { get; init; } = 24;

    public int ValueBytes { get; init; } = 100;

    /// <summary>Keys of one multi-get.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>Mixed: share of puts.</summary>
    public double PutShare { get; init; } = 0.1;

    public TimeSpan Duration { get; init; } = TimeSpan.FromSeconds(5);

    public TimeSpan Warmup { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Operations per second over all callers; null for a closed loop, in which each caller waits for its answer.</summary>
    public double? Rate { get; init; }

    public string Keyspace { get; init; } = "load";

    public int Seed { get; init; } = 1;
}
