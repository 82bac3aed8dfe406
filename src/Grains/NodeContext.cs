using System.Diagnostics;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Grains;

/// <summary>What the grains of a node know of it. One per node, made by the host.</summary>
/// <param name="Gateway">Where clients reach this node: <c>host:port</c>; empty for a replica in an application's process.</param>
/// <param name="Upstreams">Gateways this node pulls from; empty for the hub.</param>
public sealed record NodeContext(
    NodeId Node, NodeRole Role, RegionName Region, string Gateway, IReadOnlyList<string> Upstreams, NodeStore Store, ILogClock Clock)
{
    /// <summary>What an answer from a View says beside its result.</summary>
    public AnswerContext Answer(StoreProgress progress) => new(progress.Cluster, progress.Position, Clock.Now, null);

    /// <summary>A span of this node for the call that it serves now, where that is traced.</summary>
    public Activity? Serve(string name) => CarriedTrace.Serve(name)?.SetTag(Traces.NodeTag, Node.Value).SetTag(Traces.RegionTag, Region.Value);
}
