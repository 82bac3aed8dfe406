using System.Globalization;

namespace Quicksilver.Model;

/// <summary>Number of a keyspace, given by the log and never reused. 0 is the catalog, which every replica has.</summary>
[GenerateSerializer, Immutable, Alias("qs.KeyspaceId")]
public readonly record struct KeyspaceId([property: Id(0)] uint Value)
{
    /// <summary>The keyspace that holds the names and settings of all others.</summary>
    public static readonly KeyspaceId Catalog;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}
