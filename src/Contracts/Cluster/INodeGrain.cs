using Orleans.Concurrency;
using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <param name="Pin">Names the pinned View on its node; it is let go after <see cref="INodeGrain.PinLifetime"/>.</param>
[GenerateSerializer, Immutable, Alias("qs.PinAnswer")]
public sealed record PinAnswer(
    [property: Id(0)] long Pin,
    [property: Id(1)] ClusterUuid Cluster,
    [property: Id(2)] LogPosition Position,
    [property: Id(3)] string? Problem);

/// <param name="Problem">Why there are no hashes; null when there are.</param>
[GenerateSerializer, Immutable, Alias("qs.StateHashAnswer")]
public sealed record StateHashAnswer(
    [property: Id(0)] LogPosition Position,
    [property: Id(1)] ChainHash Chain,
    [property: Id(2)] ChainHash State,
    [property: Id(3)] long Rows,
    [property: Id(4)] string? Problem);

/// <summary>
/// One node by name (key: the node id); the grain lives on that node. Status and comparison only, nothing on any data path.
/// </summary>
[Alias("qs.INode")]
public interface INodeGrain : IGrainWithStringKey, IExternalContract
{
    /// <summary>How long a pinned View is kept.</summary>
    static readonly TimeSpan PinLifetime = TimeSpan.FromMinutes(2);

    [Alias("Status"), AlwaysInterleave]
    ValueTask<NodeStatus> Status();

    /// <summary>
    /// Pins the current View. To compare nodes while writes go on: pin all, take the greatest revision R of the pins, and ask
    /// each for its hash at R; each hashes its pinned View with the records up to R laid over it.
    /// </summary>
    [Alias("Pin"), AlwaysInterleave]
    ValueTask<PinAnswer> Pin();

    /// <summary>
    /// Chain and state hash at exactly <paramref name="at"/>, which is not before the pin. Waits until the node has reached it.
    /// </summary>
    /// <param name="keyspaces">Patterns of the keyspaces to hash beside the catalog, see <see cref="Subscription"/>; null for all that the node holds.</param>
    /// <param name="keepPin">Whether the pin is asked for again. Else it is let go.</param>
    [Alias("StateHash"), AlwaysInterleave, ResponseTimeout("00:02:00")]
    Task<StateHashAnswer> StateHash(long pin, Revision at, string[]? keyspaces, bool keepPin, CancellationToken cancellation = default);
}
