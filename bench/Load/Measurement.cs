using HdrHistogram;

namespace Quicksilver.Load;

/// <summary>Latencies of one kind of operation, in microseconds.</summary>
internal sealed record Latencies(string Name, long Count, double P50, double P90, double P99, double P999, double Max)
{
    public static Latencies Of(string name, HistogramBase histogram) => new(
        name, histogram.TotalCount, histogram.GetValueAtPercentile(50), histogram.GetValueAtPercentile(90), histogram.GetValueAtPercentile(99),
        histogram.GetValueAtPercentile(99.9), histogram.TotalCount == 0 ? 0 : histogram.GetMaxValue());
}

/// <summary>Outcome of one cell: one scenario at one concurrency.</summary>
/// <param name="Mode"><c>closed loop</c>, or <c>fixed rate N/s</c>.</param>
/// <param name="PerSecond">Operations that ended in the measured time, by it. A multi-get of 64 keys is one.</param>
/// <param name="NotBegun">Fixed rate: operations that no caller was free for until the time was over. They are in no latency: the rate was too high.</param>
/// <param name="Errors">Operations that ended in an exception; they are in no latency.</param>
/// <param name="ClientCpu">Processor time of this process by the measured time: 1 = one core.</param>
/// <param name="ClientBytes">What this process allocated for an operation.</param>
/// <param name="ClientPause">How long this process stood still for its collector, ms in each second.</param>
internal sealed record CellResult(
    string Scenario, string Mode, int Concurrency, double Seconds, double PerSecond, long NotBegun, long Errors, string? FirstError, double ClientCpu, double ClientBytes, double ClientPause, IReadOnlyList<Latencies> Latencies);

/// <summary>Latencies of several callers. Each caller records into its own histograms; they are added at the end.</summary>
internal sealed class Recorder
{
    /// <summary>A minute, in microseconds.</summary>
    private const long Highest = 60_000_000;

    private readonly List<Dictionary<string, LongHistogram>> _callers = [];
    private readonly Lock _gate = new();
    private long _errors;
    private string? _firstError;

    public Dictionary<string, LongHistogram> NewCaller()
    {
        lock (_gate)
        {
            _callers.Add([]);
            return _callers[^1];
        }
    }

    public static void Record(Dictionary<string, LongHistogram> caller, string name, TimeSpan latency)
    {
        if (!caller.TryGetValue(name, out var histogram))
        {
            caller.Add(name, histogram = new(1, Highest, 3));
        }

        histogram.RecordValue(Math.Clamp((long)latency.TotalMicroseconds, 1, Highest));
    }

    public void Fail(Exception e)
    {
        Interlocked.Increment(ref _errors);
        _firstError ??= e.Message;
    }

    public long Errors => Interlocked.Read(ref _errors);

    public string? FirstError => _firstError;

    public IReadOnlyList<Latencies> Sum()
    {
        var sums = new Dictionary<string, LongHistogram>();
        foreach (var (name, histogram) in _callers.SelectMany(caller => caller))
        {
            if (!sums.TryGetValue(name, out var sum))
            {
                sums.Add(name, sum = new(1, Highest, 3));
            }

            sum.Add(histogram);
        }

        return [.. sums.OrderBy(sum => sum.Key, StringComparer.Ordinal).Select(sum => Latencies.Of(sum.Key, sum.Value))];
    }
}
