using Quicksilver.Model;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// The ways between nodes. Each message has a delay of its own, so that they overtake each other; it can be lost or repeated, and what it
/// carries changed. Ways can be cut in one direction.
/// </summary>
internal sealed class SimulatedNetwork(Simulator simulator)
{
    /// <summary>One way within a region, milliseconds.</summary>
    private const double WayInRegion = 0.4;

    private readonly Dictionary<(RegionName From, RegionName To), double> _ways = [];

    // How many faults cut a way: two of them may overlap.
    private readonly Dictionary<(NodeId From, NodeId To), int> _cuts = [];

    /// <summary>No more faults: every message arrives once, as it was sent.</summary>
    public bool IsHealed { get; set; }

    /// <summary>Shares of messages.</summary>
    public double Loss { get; set; }

    public double Repetition { get; set; }

    public double Change { get; set; }

    public void SetWay(RegionName one, RegionName other, double milliseconds) =>
        (_ways[(one, other)], _ways[(other, one)]) = (milliseconds, milliseconds);

    /// <summary>How long a message takes from one to the other, at least.</summary>
    public TimeSpan Way(SimulatedNode from, SimulatedNode to) =>
        TimeSpan.FromMilliseconds(from.Region == to.Region ? WayInRegion : _ways[(from.Region, to.Region)]);

    public void Cut(NodeId from, NodeId to) => _cuts[(from, to)] = _cuts.GetValueOrDefault((from, to)) + 1;

    public void Mend(NodeId from, NodeId to) => _cuts[(from, to)] = Math.Max(0, _cuts.GetValueOrDefault((from, to)) - 1);

    public void Heal()
    {
        IsHealed = true;
        _cuts.Clear();
    }

    private bool IsCut(SimulatedNode from, SimulatedNode to) => _cuts.GetValueOrDefault((from.Id, to.Id)) > 0;

    /// <summary>Delivers once or not at all; that the receiver is up is for whoever delivers to look at.</summary>
    public void Send(SimulatedNode from, SimulatedNode to, string what, Action deliver)
    {
        if (IsCut(from, to) || (!IsHealed && simulator.Chance(Loss)))
        {
            return;
        }

        simulator.After(Delay(from, to), what, () =>
        {
            // Cut while it was on its way.
            if (!IsCut(from, to))
            {
                deliver();
            }
        });
    }

    private TimeSpan Delay(SimulatedNode from, SimulatedNode to)
    {
        var delay = Way(from, to) * (1 + (0.2 * simulator.Random.NextDouble()));
        return !IsHealed && simulator.Chance(0.03) ? delay + simulator.Between(1, 1_500) : delay;
    }

    /// <summary>True where a message is to be delivered once more.</summary>
    public bool Repeats() => !IsHealed && simulator.Chance(Repetition);

    /// <summary>What arrives of a page: now and then with another byte.</summary>
    public LogPage Pass(LogPage page)
    {
        if (page.Records.Length == 0 || IsHealed || !simulator.Chance(Change))
        {
            return page;
        }

        var bytes = page.Records.Span.ToArray();
        bytes[simulator.Random.Next(bytes.Length)] ^= (byte)(1 << simulator.Random.Next(8));
        return page with { Records = new(bytes) };
    }
}
