using Microsoft.Extensions.Logging;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>A gateway or node that did not answer.</summary>
public sealed record Unreachable(string Address, string Why);

/// <summary>What an inspection found.</summary>
public sealed record Inspection(IReadOnlyList<NodeStatus> Nodes, IReadOnlyList<Unreachable> Unreachable)
{
    /// <summary>What a person should look at, most urgent first; empty where all is in order.</summary>
    public IReadOnlyList<string> Problems => Diagnosis.Of(this);
}

/// <summary>How one node compares.</summary>
/// <param name="Problem">Why it could not be compared; null where it was.</param>
public sealed record NodeComparison(NodeId Node, RegionName Region, LogPosition Position, ChainHash Chain, ChainHash State, long Rows, string? Problem);

/// <summary>Outcome of a comparison.</summary>
/// <param name="At">The revision at which all were compared.</param>
/// <param name="Different">Nodes that differ from the hub's leader, or, where it did not answer, from the first node.</param>
public sealed record Verification(
    Revision At, IReadOnlyList<NodeComparison> Nodes, IReadOnlyList<NodeId> Different, IReadOnlyList<Unreachable> Unreachable)
{
    /// <summary>True where at least one node was compared and all that could be reached agree.</summary>
    public bool IsEqual => Nodes.Count > 0 && Different.Count == 0 && Nodes.All(node => node.Problem is null);
}

/// <summary>
/// Looks at all nodes that can be reached: starting from some gateways, it follows to the upstreams and children that nodes name.
/// For tools and tests, not for a data path.
/// </summary>
public sealed class ClusterInspector(IReadOnlyList<string> gateways, TimeProvider time, ILoggerFactory loggers)
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    /// <summary>Status of every node, hub first. Throws <see cref="QuicksilverException"/> where not one gateway answers.</summary>
    public async Task<Inspection> StatusAsync(CancellationToken cancellation)
    {
        await using var visit = await VisitAsync(cancellation).ConfigureAwait(false);
        return new(visit.Nodes, visit.Unreachable);
    }

    /// <summary>
    /// Compares chain and state of every node at one revision, while writes may go on: pins a View at each, then asks each for
    /// its hashes at the greatest revision pinned.
    /// </summary>
    public async Task<Verification> VerifyAsync(CancellationToken cancellation)
    {
        await using var visit = await VisitAsync(cancellation).ConfigureAwait(false);
        var pins = await Task.WhenAll(visit.Nodes.Select(async node => (
            Node: node,
            Answer: await AskAsync(() => visit.GrainOf(node.Node).Pin().AsTask(), problem => new PinAnswer(0, default, default, problem)).ConfigureAwait(false))))
            .ConfigureAwait(false);
        var at = new Revision(pins.Where(pin => pin.Answer.Problem is null).Select(pin => pin.Answer.Position.Revision.Value).DefaultIfEmpty().Max());
        var leader = visit.Nodes.FirstOrDefault(node => node.RaftRole == RaftRole.Leader)?.Node;
        var whole = pins.Where(pin => pin.Answer.Problem is null && pin.Node.Keyspaces is null).ToList();
        var first = whole.Find(pin => pin.Node.Node == leader) is { Node: not null } led ? led : whole.FirstOrDefault();

        // What a node that holds some keyspaces must have: the same part of one that holds all.
        var parts = new Dictionary<string, StateHashAnswer>();
        foreach (var keyspaces in pins.Select(pin => pin.Node.Keyspaces).OfType<string[]>().DistinctBy(PartOf))
        {
            parts[PartOf(keyspaces)] = first.Node is null
                ? new(default, default, default, 0, "no node that holds all keyspaces can be compared with")
                : await HashAsync(visit, first.Node, first.Answer, at, keyspaces, keepPin: true, cancellation).ConfigureAwait(false);
        }

        var compared = await Task.WhenAll(pins.Select(async pin =>
        {
            var hash = await HashAsync(visit, pin.Node, pin.Answer, at, null, keepPin: false, cancellation).ConfigureAwait(false);
            var part = pin.Node.Keyspaces is { } keyspaces ? parts[PartOf(keyspaces)] : null;
            return (
                Comparison: new NodeComparison(pin.Node.Node, pin.Node.Region, hash.Position, hash.Chain, hash.State, hash.Rows, hash.Problem ?? part?.Problem),
                Part: part);
        })).ConfigureAwait(false);

        var comparable = compared.Where(node => node.Comparison.Problem is null).ToList();
        var reference = comparable.Find(node => node.Comparison.Node == first.Node?.Node).Comparison ?? comparable.FirstOrDefault().Comparison;
        var different = comparable
            .Where(node => node.Part is { } part

                // The chain of the log is known only here and there to a node that has some of its records.
                ? (node.Comparison.Position, node.Comparison.State, node.Comparison.Rows) != (part.Position, part.State, part.Rows)
                : (node.Comparison.Position, node.Comparison.Chain, node.Comparison.State, node.Comparison.Rows) != (reference!.Position, reference.Chain, reference.State, reference.Rows))
            .Select(node => node.Comparison.Node).ToList();
        return new(at, [.. compared.Select(node => node.Comparison)], different, visit.Unreachable);
    }

    private static string PartOf(string[] keyspaces) => string.Join(' ', keyspaces);

    private static async Task<StateHashAnswer> HashAsync(
        Visit visit, NodeStatus node, PinAnswer pin, Revision at, string[]? keyspaces, bool keepPin, CancellationToken cancellation) => pin.Problem is { } problem
        ? new(default, default, default, 0, problem)
        : await AskAsync(
            () => visit.GrainOf(node.Node).StateHash(pin.Pin, at, keyspaces, keepPin, cancellation),
            problem => new(default, default, default, 0, problem)).ConfigureAwait(false);

    private static async Task<TAnswer> AskAsync<TAnswer>(Func<Task<TAnswer>> ask, Func<string, TAnswer> onProblem)
    {
        try
        {
            return await ask().ConfigureAwait(false);
        }
        catch (Exception e) when (e is not (OutOfMemoryException or OperationCanceledException))
        {
            return onProblem(e.Message);
        }
    }

    private async Task<Visit> VisitAsync(CancellationToken cancellation)
    {
        var visit = new Visit();
        try
        {
            var seen = new HashSet<string>(gateways, StringComparer.OrdinalIgnoreCase);
            var queue = new Queue<string>(seen);
            while (queue.TryDequeue(out var gateway))
            {
                if (visit.Knows(gateway))
                {
                    continue;
                }

                foreach (var next in await visit.AddAsync(gateway, ConnectTimeout, time, loggers, cancellation).ConfigureAwait(false))
                {
                    if (seen.Add(next))
                    {
                        queue.Enqueue(next);
                    }
                }
            }

            if (visit.Nodes.Count == 0)
            {
                throw visit.FirstFailure ?? new QuicksilverException(QuicksilverErrorCode.Unavailable, "No gateway answers.");
            }

            visit.Sort();
            return visit;
        }
        catch
        {
            await visit.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The links that an inspection opened and what it found over them.</summary>
    private sealed class Visit : IAsyncDisposable
    {
        private readonly List<GatewayLink> _links = [];
        private readonly Dictionary<NodeId, IGrainFactory> _grains = [];

        public List<NodeStatus> Nodes { get; } = [];

        public List<Unreachable> Unreachable { get; } = [];

        public QuicksilverException? FirstFailure { get; private set; }

        public INodeGrain GrainOf(NodeId node) => _grains[node].GetGrain<INodeGrain>(node.Value);

        public bool Knows(string gateway) => Nodes.Exists(node => node.Gateway == gateway);

        public void Sort() => Nodes.Sort((a, b) => (a.Role, a.Region.Value, a.Node.Value).CompareTo((b.Role, b.Region.Value, b.Node.Value)));

        /// <summary>Adds the nodes of the cluster behind a gateway; returns the gateways they name.</summary>
        public async Task<IEnumerable<string>> AddAsync(
            string gateway, TimeSpan timeout, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation)
        {
            var link = new GatewayLink(new() { Gateways = [gateway] }, time, loggers);
            _links.Add(link);
            link.Start();
            try
            {
                var session = await link.ConnectAsync(timeout, cancellation).ConfigureAwait(false);
                var status = await session.Grains.GetGrain<IClusterGrain>(0).Status().WaitOrLeaveAsync(session).ConfigureAwait(false);
                var added = status.Nodes.Where(node => _grains.TryAdd(node.Node, session.Grains)).ToList();
                Nodes.AddRange(added);
                Unreachable.AddRange(status.Silent.Select(node => new Unreachable(node, "a member of its cluster that does not answer")));

                // A replica in an application's process has no gateway.
                return added.SelectMany(node => node.Upstreams.Concat(node.Children.Select(child => child.Gateway).Where(child => child.Length > 0)));
            }
            catch (QuicksilverException e)
            {
                FirstFailure ??= e;
                Unreachable.Add(new(gateway, e.Message));
            }
            catch (Exception e) when (e is not OutOfMemoryException && !cancellation.IsCancellationRequested)
            {
                Unreachable.Add(new(gateway, e.Message));
            }

            return [];
        }

        public async ValueTask DisposeAsync()
        {
            foreach (var link in _links)
            {
                await link.DisposeAsync().ConfigureAwait(false);
            }
        }
    }
}
