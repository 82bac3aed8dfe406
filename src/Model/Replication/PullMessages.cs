using System.Buffers.Binary;
using System.IO.Hashing;
namespace Quicksilver.Model;

/// <summary>Who wants to pull, and from where on.</summary>
/// <param name="Gateway">Where the child's own cluster can be reached, for status; empty where nobody can ask it.</param>
/// <param name="Cluster">The cluster the child's data belongs to; zero for an empty child.</param>
/// <param name="Position">Position of the child; the first page starts after it.</param>
/// <param name="Chain">Chain hash of the child at its position: the source compares it with its own.</param>
/// <param name="Accepts">What pages may be compressed with; none where the way between them is short.</param>
/// <param name="Keyspaces">Patterns of the keyspaces that the child holds, see <see cref="Subscription"/>; null for all. The catalog comes along always.</param>
[GenerateSerializer, Immutable, Alias("qs.OpenPullRequest")]
public sealed record OpenPullRequest(
    [property: Id(0)] NodeId Child,
    [property: Id(1)] RegionName Region,
    [property: Id(2)] string Gateway,
    [property: Id(3)] ClusterUuid Cluster,
    [property: Id(4)] LogPosition Position,
    [property: Id(5)] ChainHash Chain,
    [property: Id(6)] PageEncoding Accepts = PageEncoding.None,
    [property: Id(7)] string[]? Keyspaces = null);

/// <summary>How the records of a page are packed. On the wire: explicit numbers, append-only.</summary>
public enum PageEncoding : byte
{
    None = 0,

    /// <summary>Zstandard, with the last 32 KiB of records of the session as a raw dictionary (docs/log-format.md).</summary>
    Zstd = 1,
}

/// <summary>Answer to a request to pull. On the wire: explicit numbers, append-only.</summary>
public enum OpenPullStatus : byte
{
    Unspecified = 0,
    Open = 1,

    /// <summary>The child's position is before the oldest record the source has.</summary>
    TooOld = 2,

    /// <summary>The source is behind the child in the same history. Not divergence: try another source, or wait.</summary>
    SourceBehind = 3,

    /// <summary>Same revision, another chain hash, or another history: one of the two is wrong.</summary>
    Diverged = 4,

    /// <summary>The child's data belongs to another cluster.</summary>
    OtherCluster = 5,

    /// <summary>The child would pull from itself.</summary>
    Self = 6,

    /// <summary>The source has no data yet, is stopping, or serves as many children as it may.</summary>
    Unavailable = 7,

    /// <summary>The source pulls from the child, straight or over others.</summary>
    Cycle = 8,

    /// <summary>The source does not hold all the keyspaces that the child asks for.</summary>
    NotHeld = 9,
}

/// <param name="Session">Names the session in <see cref="NextPageRequest"/>.</param>
/// <param name="Source">Position of the source now.</param>
/// <param name="Oldest">First revision the source still has.</param>
/// <param name="Path">The source, the node it pulls from, and so on up to the hub; ends earlier where a node pulls from nobody at the moment.</param>
/// <param name="Chain">Chain hash of the source's log at the child's revision; empty where the source does not have it.</param>
[GenerateSerializer, Immutable, Alias("qs.OpenPullAnswer")]
public sealed record OpenPullAnswer(
    [property: Id(0)] OpenPullStatus Status,
    [property: Id(1)] long Session,
    [property: Id(2)] ClusterUuid Cluster,
    [property: Id(3)] LogPosition Source,
    [property: Id(4)] Revision Oldest,
    [property: Id(5)] LogTime LogTime,
    [property: Id(6)] NodeId[] Path,
    [property: Id(7)] ChainHash Chain);

/// <summary>How a source is, for a child that looks for one.</summary>
/// <param name="Age">How long ago the source's own View was known to be the hub's newest; null where it does not know.</param>
/// <param name="Path">As in <see cref="OpenPullAnswer"/>.</param>
[GenerateSerializer, Immutable, Alias("qs.SourceDescription")]
public sealed record SourceDescription(
    [property: Id(0)] NodeId Node,
    [property: Id(1)] ClusterUuid Cluster,
    [property: Id(2)] LogPosition Position,
    [property: Id(3)] Revision Oldest,
    [property: Id(4)] TimeSpan? Age,
    [property: Id(5)] NodeId[] Path);

/// <summary>Asks for the next page of a session. Requests are numbered from 0 and answered in the order of their numbers.</summary>
/// <param name="Applied">How far the child has applied: lets the source report and, later, hold its log.</param>
/// <param name="MaxBytes">Most bytes of records; a page with anything has at least one record.</param>
/// <param name="MaxWait">How long the source may wait for something to send; at most 3 s.</param>
/// <param name="Pace">
/// The least time between two pages, while few records are waiting: so the requests of a long way are answered one by one over the time that
/// one takes, and none of them has to be waited for. At most 250 ms.
/// </param>
[GenerateSerializer, Immutable, Alias("qs.NextPageRequest")]
public sealed record NextPageRequest(
    [property: Id(0)] long Session,
    [property: Id(1)] long Number,
    [property: Id(2)] Revision Applied,
    [property: Id(3)] int MaxBytes,
    [property: Id(4)] TimeSpan MaxWait,
    [property: Id(5)] TimeSpan Pace = default);

/// <summary>What a page is. On the wire: explicit numbers, append-only.</summary>
public enum PageStatus : byte
{
    Unspecified = 0,
    Ok = 1,

    /// <summary>The source does not know the session or the number: open again.</summary>
    SessionLost = 2,

    /// <summary>The log was cut past the cursor while the session was open.</summary>
    TooOld = 3,

    /// <summary>The source found its own log damaged and does not serve it.</summary>
    SourceDamaged = 4,
}

/// <summary>
/// Records [<paramref name="From"/>, <paramref name="To"/>) of the change log, exactly as the source stores them, or nothing
/// new when the two are equal. For a child that holds some keyspaces: those of the records that are of them, so there may be none, and there
/// is nothing more for it before <paramref name="To"/>. The rest of the header is the time mark: it takes no revision.
/// </summary>
/// <param name="Source">Position of the source when it made the page.</param>
/// <param name="Oldest">First revision the source still has.</param>
/// <param name="LogTime">The leader's clock as the source knows it.</param>
/// <param name="SourceAge">How long ago the source's own View was known to be the hub's newest; zero at the hub.</param>
/// <param name="Records">Each record with its length in front.</param>
/// <param name="Path">As in <see cref="OpenPullAnswer"/>, where it changed since the last page; else null.</param>
/// <param name="RawBytes">Bytes of the records before they were packed; 0 where they were not.</param>
/// <param name="Chain">For a child that holds some keyspaces: chain of the log before <paramref name="To"/>, which it cannot work out; else empty.</param>
/// <param name="Checksum">
/// For a child that holds some keyspaces: XxHash3 over the records, before they were packed, seeded with that of From, To and Chain. What a way
/// changes of the log's chains would not show there otherwise.
/// </param>
[GenerateSerializer, Immutable, Alias("qs.LogPage")]
public sealed record LogPage(
    [property: Id(0)] PageStatus Status,
    [property: Id(1)] ClusterUuid Cluster,
    [property: Id(2)] LogPosition Source,
    [property: Id(3)] Revision Oldest,
    [property: Id(4)] LogTime LogTime,
    [property: Id(5)] TimeSpan SourceAge,
    [property: Id(6)] Revision From,
    [property: Id(7)] Revision To,
    [property: Id(8)] Payload Records,
    [property: Id(9)] NodeId[]? Path = null,
    [property: Id(10)] PageEncoding Encoding = PageEncoding.None,
    [property: Id(11)] int RawBytes = 0,
    [property: Id(12)] ChainHash Chain = default,
    [property: Id(13)] ulong Checksum = 0)
{
    /// <summary>True where it is as its source made it.</summary>
    public bool IsWhole => Checksum == ComputeChecksum();

    /// <summary>The same, with its checksum.</summary>
    public LogPage Sealed() => this with { Checksum = ComputeChecksum() };

    private ulong ComputeChecksum()
    {
        Span<byte> head = stackalloc byte[(2 * sizeof(long)) + ChainHash.SizeBytes];
        BinaryPrimitives.WriteInt64BigEndian(head, From.Value);
        BinaryPrimitives.WriteInt64BigEndian(head[sizeof(long)..], To.Value);
        Chain.Write(head[(2 * sizeof(long))..]);
        return XxHash3.HashToUInt64(Records.Span, (long)XxHash3.HashToUInt64(head));
    }
}
