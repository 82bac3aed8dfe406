namespace Quicksilver.Load;

/// <summary>
/// Numbers from 0 to below <paramref name="count"/>, few of them often: the n-th most frequent one about 1/n^<paramref name="skew"/> as often as
/// the first. The frequent ones lie anywhere among the others. Source: Gray et al., Quickly Generating Billion-Record Synthetic Databases,
/// SIGMOD 1994, as in YCSB.
/// </summary>
internal sealed class Zipf(int count, double skew)
{
    private readonly double _zeta = Enumerable.Range(1, count).Sum(i => Math.Pow(i, -skew));
    private readonly double _second = 1 + Math.Pow(0.5, skew);
    private readonly double _alpha = 1 / (1 - skew);

    public int Next(Random random)
    {
        var u = random.NextDouble();
        var rank = (u * _zeta) switch
        {
            < 1 => 0L,
            var scaled when scaled < _second => 1,
            _ => (long)(count * Math.Pow((Eta * u) - Eta + 1, _alpha)),
        };

        // A prime larger than any count spreads the ranks, each to a place of its own where it does not divide the count.
        return (int)(Math.Min(rank, count - 1) * 2_654_435_761 % count);
    }

    private double Eta { get; } = (1 - Math.Pow(2.0 / count, 1 - skew)) / (1 - ((1 + Math.Pow(0.5, skew)) / Enumerable.Range(1, count).Sum(i => Math.Pow(i, -skew))));
}
