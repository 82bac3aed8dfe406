using System.Net;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Sequencing;

namespace Quicksilver.Hosting;

/// <summary>Ports of a node. All are bound to <see cref="NodeSettings.Address"/>.</summary>
/// <param name="Gateway">Where clients and links of other regions connect. Default 30000.</param>
/// <param name="Silo">Where the silos of the same cluster connect. Default 11111.</param>
/// <param name="Http">Health and metrics. Default 8080.</param>
public sealed record NodePorts(int Gateway = 30000, int Silo = 11111, int Http = 8080);

/// <summary>Everything that configures one node, read once at start and checked.</summary>
public sealed record NodeSettings
{
    public required NodeRole Role { get; init; }

    public required NodeId NodeId { get; init; }

    /// <summary>The region; <c>hub</c> for hub nodes. Also the Orleans cluster id: one cluster per region.</summary>
    public required RegionName Region { get; init; }

    public required string DataDirectory { get; init; }

    public NodePorts Ports { get; init; } = new();

    /// <summary>The address all ports are bound to. Default loopback; another one needs AllowInsecure as long as there is no TLS.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>Hub only: all members, this one included.</summary>
    public IReadOnlyList<HubMember> HubMembers { get; init; } = [];

    /// <summary>Hub only: where the Raft log is kept; fixed for the life of a data directory.</summary>
    public RaftLogKind RaftLog { get; init; }

    /// <summary>Replica only: gateways to pull from and to send writes to, in order of preference.</summary>
    public IReadOnlyList<string> Upstreams { get; init; } = [];

    /// <summary>The membership table that the silos of this cluster share; null for a cluster of one silo.</summary>
    public MembershipStore? Membership { get; init; }

    /// <summary>Replica: when a source is left for another.</summary>
    public SourceOptions Sources { get; init; } = new();

    /// <summary>Replica: how many nodes of the region pull from outside; the others pull from them. Default 1.</summary>
    public int Relays { get; init; } = 1;

    /// <summary>Replica: with more lag than this the node is not ready, while it knows of records that it does not have. Default 30 s.</summary>
    public TimeSpan MaxLag { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Replica: go on serving reads where the node stopped because it and its sources have different histories. Default no.</summary>
    public bool ServeWhenDiverged { get; init; }

    /// <summary>Replica: the keyspaces to hold. Default all.</summary>
    public Subscription Keyspaces { get; init; } = Subscription.All;

    /// <summary>How the data is looked through for damage.</summary>
    public ScrubOptions Scrub { get; init; } = new();

    /// <summary>How much of the change log is kept.</summary>
    public RetentionOptions Retention { get; init; } = new();

    /// <summary>Memory for table blocks of the database, bytes. Default <see cref="DefaultBlockCacheBytes"/>.</summary>
    public long BlockCacheBytes { get; init; } = DefaultBlockCacheBytes;

    /// <summary>
    /// An eighth of the memory that this process may use, at least 64 MiB and at most 8 GiB; taken only as there are blocks to keep. A node is there
    /// to read: with all blocks in memory a get takes half the time (bench/README.md).
    /// </summary>
    public static long DefaultBlockCacheBytes { get; } = Math.Clamp(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 8, 64L << 20, 8L << 30);

    /// <summary>About how many of the rows that are read most are kept in memory; 0 for none. Default <see cref="DefaultHotRows"/>.</summary>
    public int HotRows { get; init; } = DefaultHotRows;

    /// <summary>
    /// One for each 16 KiB of the memory that this process may use, at least 20,000 and at most 2,000,000: with rows of 150 bytes an
    /// eightieth of it, with the largest that enter a fifteenth, where it is more than the least. Reads of 64 rows that are all there are three
    /// to four times as fast (bench/README.md).
    /// </summary>
    public static int DefaultHotRows { get; } = (int)Math.Clamp(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 14, 20_000, 2_000_000);

    /// <summary>Most commands that wait for the sequencer. Default 65,536.</summary>
    public int MaxQueuedCommands { get; init; } = 65_536;

    /// <summary>Most reads that wait for a revision. Default 10,000.</summary>
    public int MaxWaiters { get; init; } = 10_000;

    public string GatewayText => new IPEndPoint(Address, Ports.Gateway).ToString();
}
