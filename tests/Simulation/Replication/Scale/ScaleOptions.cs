using Quicksilver.Replication;

namespace Quicksilver.Simulation.Replication.Scale;

/// <summary>A tree for reports. Times are milliseconds of virtual time.</summary>
internal sealed record ScaleOptions
{
    public int Seed { get; init; } = 1;

    public int Regions { get; init; } = 330;

    /// <summary>Of all regions together, relays among them.</summary>
    public int Nodes { get; init; } = 10_000;

    public int RelaysOfRegion { get; init; } = 2;

    public double WritesPerSecond { get; init; } = 350;

    public TimeSpan Duration { get; init; } = TimeSpan.FromSeconds(60);

    public ScaleEvent Event { get; init; }

    public PullOptions Pull { get; init; } = new();

    public LogSourceOptions Source { get; init; } = new();

    /// <summary>One way between two regions: from the first to the second, log-uniform; each region has its own.</summary>
    public (double From, double To) Far { get; init; } = (5, 150);

    /// <summary>One way within a region, uniform; each node has its own.</summary>
    public (double From, double To) Near { get; init; } = (0.2, 1);

    /// <summary>A message takes up to this share longer than its way.</summary>
    public double Jitter { get; init; } = 0.1;

    /// <summary>Share of messages that a packet was lost of: a round trip more, and those behind it wait.</summary>
    public double Lost { get; init; } = 0.0001;

    /// <summary>A record of a 100-byte value, as it is stored.</summary>
    public int RecordBytes { get; init; } = 250;

    /// <summary>How many times smaller records are packed. Measured with JSON values (bench/README.md): 2.93.</summary>
    public double Packing { get; init; } = 2.9;

    /// <summary>What a page costs beside its records, with or without any: header, message, transport. Assumed.</summary>
    public int PageOverheadBytes { get; init; } = 120;

    /// <summary>Bytes a millisecond that one link carries. Assumed: 1 Gbit/s.</summary>
    public double LinkBytes { get; init; } = 125_000;

    /// <summary>To read, check and pack a page. Assumed.</summary>
    public double Read { get; init; } = 0.15;

    /// <summary>To apply a page, and each record of it. Assumed.</summary>
    public (double Page, double Record) Apply { get; init; } = (0.2, 0.005);

    /// <summary>From one entry of the hub to the next, and from a write to its entry at least.</summary>
    public (double Round, double Flush) Commit { get; init; } = (1.9, 0.8);

    /// <summary>When something goes wrong, and for how long.</summary>
    public (double At, double For) Trouble { get; init; } = (20_000, 10_000);

    /// <summary>Until a child knows that the process of its source has ended: a connection that is reset, hello, a new client.</summary>
    public double NoticeEnd { get; init; } = 300;

    /// <summary>Until it knows of a source that fell silent: two heartbeats of 1 s missed, 2 s each, and the same as above.</summary>
    public double NoticeSilence { get; init; } = 6_300;

    /// <summary>Between two greetings of a gateway that does not answer.</summary>
    public double Greeting { get; init; } = 500;
}

/// <summary>What goes wrong.</summary>
internal enum ScaleEvent
{
    None = 0,

    /// <summary>A relay of the first region is killed, one of the second loses power; neither comes back.</summary>
    TwoRelaysFail = 1,

    /// <summary>Nothing passes between the hub and anybody.</summary>
    HubIsCutOff = 2,
}
