using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication.Checkers;

/// <summary>
/// A source sends records to those that have chosen it, and to nobody else: always; and while nothing goes wrong, each record once. So what
/// leaves the hub does not grow with the nodes below its children. To one that holds a part counts what its pages reach over.
/// </summary>
internal sealed class EgressChecker(Simulator simulator, Verdict verdict)
{
    /// <summary>How long after the end of a link requests of that time may still be answered: they were on their way, or waited.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(7);

    private readonly Dictionary<NodeId, NodeId> _links = [];
    private readonly Dictionary<(NodeId Child, NodeId Source), TimeSpan> _ended = [];
    private readonly Dictionary<(NodeId Source, NodeId Child), long> _sent = [];
    private int _changes;
    private int _changesBefore;

    public void Linked(NodeId child, NodeId source)
    {
        _links[child] = source;
        _changes++;
    }

    public void Unlinked(NodeId child, NodeId source)
    {
        _links.Remove(child);
        _ended[(child, source)] = simulator.Now;
        _changes++;
    }

    public void Sent(NodeId source, NodeId child, long records)
    {
        if (records == 0)
        {
            return;
        }

        verdict.Count("records sent", (int)records);
        if (_links.TryGetValue(child, out var chosen) && chosen == source)
        {
            _sent[(source, child)] = _sent.GetValueOrDefault((source, child)) + records;
        }
        else if (!_ended.TryGetValue((child, source), out var end) || simulator.Now - end > Grace)
        {
            verdict.Fail("egress", $"{source} sends records to {child}, which pulls from {(_links.ContainsKey(child) ? chosen.Value : "nobody")}");
        }
    }

    /// <summary>From here on nothing goes wrong.</summary>
    public void Begin()
    {
        _sent.Clear();
        _changesBefore = _changes;
    }

    /// <summary>Since <see cref="Begin"/> so many records were written, and everybody has them.</summary>
    public void End(long written)
    {
        if (_changes != _changesBefore)
        {
            // Somebody returned to a better source meanwhile, which costs a page twice at most.
            verdict.Count("egress not counted");
            return;
        }

        verdict.Count("egress counted");
        foreach (var (child, source) in _links)
        {
            var sent = _sent.GetValueOrDefault((source, child));
            if (sent != written)
            {
                verdict.Fail("egress", $"{source} sent {sent} records to {child}, {written} were written");
            }
        }

        foreach (var ((source, child), sent) in _sent)
        {
            if (!_links.TryGetValue(child, out var chosen) || chosen != source)
            {
                verdict.Fail("egress", $"{source} sent {sent} records to {child}, which is not its child");
            }
        }
    }
}
