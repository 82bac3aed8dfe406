using Orleans.Placement;
using Orleans.Runtime;
using Orleans.Runtime.Placement;
using Quicksilver.Model;

namespace Quicksilver.Grains;

/// <summary>Finds the silos of this cluster by node name.</summary>
public sealed class NodeDirectory(IClusterMembershipService membership)
{
    /// <summary>The silo of a node. One that has just restarted may be listed twice; the newer one counts.</summary>
    public SiloAddress? Find(NodeId node) => Active().Where(silo => silo.Node == node).Select(silo => silo.Address).LastOrDefault();

    /// <summary>All active silos, by name and age.</summary>
    public IReadOnlyList<(NodeId Node, SiloAddress Address)> Active() =>
    [
        .. from member in membership.CurrentSnapshot.Members.Values
           where member.Status == SiloStatus.Active && NodeId.TryParse(member.Name, out _)
           orderby member.Name, member.SiloAddress.Generation
           select (NodeId.Parse(member.Name), member.SiloAddress),
    ];
}

/// <summary>Places a grain on the silo whose node id is the grain's key.</summary>
[GenerateSerializer, Alias("qs.NodePlacement")]
public sealed class NodePlacement : PlacementStrategy;

/// <summary>See <see cref="NodePlacement"/>.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class PlaceOnNodeAttribute() : PlacementAttribute(new NodePlacement());

/// <summary>Carries out <see cref="NodePlacement"/>.</summary>
public sealed class NodePlacementDirector(NodeDirectory nodes) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        var name = target.GrainIdentity.Key.ToString()!;
        if (NodeId.TryParse(name, out var node) && nodes.Find(node) is { } silo && context.GetCompatibleSilos(target).Contains(silo))
        {
            return Task.FromResult(silo);
        }

        throw new QuicksilverException(
            QuicksilverErrorCode.Unavailable,
            $"Node '{name}' is not active in this cluster. Active: {string.Join(", ", nodes.Active().Select(n => n.Node))}.",
            WriteOutcome.NotCommitted);
    }
}
