namespace Quicksilver.Model;

/// <summary>Settings of a keyspace, chosen at creation and changed only through the log.</summary>
[GenerateSerializer, Immutable, Alias("qs.KeyspaceSettings")]
public sealed record KeyspaceSettings
{
    /// <summary>Settings of a keyspace that was created without any.</summary>
    public static readonly KeyspaceSettings Default = new();

    /// <summary>Shards that serve the keyspace, 1 to 1,024. Default 1: more spread one keyspace over more grains, not over more disks.</summary>
    [Id(0)]
    public int ShardCount { get; init; } = 1;

    /// <summary>
    /// Drop writes that change nothing instead of logging them. Default false, because finding out costs a read per write on
    /// every hub node; a write can also ask for it by itself.
    /// </summary>
    [Id(1)]
    public bool SkipUnchanged { get; init; }

    /// <summary>What is wrong with these settings, or null.</summary>
    public string? Problem() => ShardCount is >= 1 and <= Limits.SlotCount
        ? null
        : $"ShardCount is {ShardCount}; it must be 1 to {Limits.SlotCount}.";
}

/// <summary>A keyspace as the catalog knows it at some revision.</summary>
[GenerateSerializer, Immutable, Alias("qs.KeyspaceInfo")]
public sealed record KeyspaceInfo(
    [property: Id(0)] KeyspaceId Id,
    [property: Id(1)] KeyspaceName Name,
    [property: Id(2)] KeyspaceSettings Settings,
    [property: Id(3)] Revision CreatedAt);
