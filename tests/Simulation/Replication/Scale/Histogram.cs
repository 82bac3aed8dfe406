namespace Quicksilver.Simulation.Replication.Scale;

/// <summary>Delays in milliseconds: to a tenth below 2 s, to 10 ms above.</summary>
internal sealed class Histogram
{
    private const double FineLimit = 2_000;
    private const double Fine = 0.1;
    private const double Coarse = 10;
    private const int FineBuckets = 20_000;

    private readonly long[] _buckets = new long[2 * FineBuckets];
    private long _count;

    public double Max { get; private set; }

    public void Add(double delay, long times)
    {
        var bucket = delay < FineLimit ? (int)(delay / Fine) : FineBuckets + (int)((delay - FineLimit) / Coarse);
        _buckets[Math.Clamp(bucket, 0, _buckets.Length - 1)] += times;
        _count += times;
        Max = Math.Max(Max, delay);
    }

    /// <summary>The delay that a share of all is not above; 0 where there is none.</summary>
    public double Percentile(double share)
    {
        var left = (long)Math.Ceiling(share * _count);
        for (var i = 0; i < _buckets.Length && left > 0; i++)
        {
            left -= _buckets[i];
            if (left <= 0)
            {
                return Math.Min(Max, i < FineBuckets ? (i + 1) * Fine : FineLimit + ((i - FineBuckets + 1) * Coarse));
            }
        }

        return 0;
    }
}
