using Quicksilver.Model;

namespace Quicksilver.Replication;

/// <summary>Another node of the same region that runs.</summary>
public readonly record struct Neighbour(NodeId Node, string Gateway);

/// <summary>
/// Which sources a node of a region has, best first. The first nodes of the region by name are its relays: they pull from other regions, and
/// the rest from them. Who is a relay follows from who runs, so that nobody has to agree on it; two nodes that see it differently for a moment
/// only pull twice.
/// </summary>
public static class RegionOrder
{
    /// <param name="others">The other nodes of the region that run, in any order.</param>
    /// <param name="upstreams">Gateways outside the region, best first.</param>
    /// <param name="relays">How many nodes of the region pull from outside, at least 1.</param>
    /// <param name="isEmpty">True where the node has nothing yet: a neighbour has the state near at hand.</param>
    public static IReadOnlyList<string> Of(NodeId self, IEnumerable<Neighbour> others, IReadOnlyList<string> upstreams, int relays, bool isEmpty)
    {
        var neighbours = others.Where(other => other.Node != self).OrderBy(other => other.Node.Value, StringComparer.Ordinal).ToList();
        var rank = neighbours.Count(other => string.CompareOrdinal(other.Node.Value, self.Value) < 0);
        var gateways = neighbours.Select(neighbour => neighbour.Gateway).ToList();
        if (rank < relays)
        {
            return isEmpty ? [.. gateways, .. upstreams] : [.. upstreams, .. gateways];
        }

        // The others share the relays among them.
        var first = gateways.Take(relays).ToList();
        var turn = rank % first.Count;
        return [.. first[turn..], .. first[..turn], .. upstreams, .. gateways.Skip(relays)];
    }
}
