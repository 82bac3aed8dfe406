namespace Quicksilver.Simulation.Replication.Scale;

/// <summary>What the hub commits: entries at their times, each with the records of the writes that came together.</summary>
internal sealed class ScaleLog
{
    /// <summary>All sessions are open by then.</summary>
    private const double Begin = 2_000;

    private readonly List<double> _times = [];

    // Records in all entries before one.
    private readonly List<long> _before = [0];

    /// <summary>Writes that come by themselves, at a rate.</summary>
    public ScaleLog(ScaleOptions options, Random random)
    {
        var end = Begin + options.Duration.TotalMilliseconds;
        var write = Begin + Gap();
        double commit = 0;
        while (write < end)
        {
            commit = Math.Max(commit + options.Commit.Round, write + options.Commit.Flush);
            long records = 0;
            do
            {
                records++;
                write += Gap();
            }
            while (write < end && write <= commit - options.Commit.Flush);

            _times.Add(commit);
            _before.Add(_before[^1] + records);
            Published.Add(commit, _times.Count);
        }

        double Gap() => -Math.Log(1 - random.NextDouble()) * 1_000 / options.WritesPerSecond;
    }

    /// <summary>Entries.</summary>
    public int Count => _times.Count;

    public long Records => _before[^1];

    public double Seconds => (_times[^1] - _times[0]) / 1_000;

    /// <summary>As the hub itself shows it.</summary>
    public Publications Published { get; } = new();

    /// <summary>When an entry was committed.</summary>
    public double TimeOf(int entry) => _times[entry];

    /// <summary>Records of the entries [from, to).</summary>
    public long RecordsOf(int from, int to) => _before[to] - _before[from];

    /// <summary>The last entry that was committed before a time; the first where there is none.</summary>
    public int LastBefore(double time)
    {
        var index = _times.BinarySearch(time);
        return Math.Max(0, (index >= 0 ? index : ~index) - 1);
    }
}

/// <summary>When a node showed how much: its Views, in their order.</summary>
internal sealed class Publications
{
    private readonly List<double> _times = [];
    private readonly List<int> _upTo = [];

    public int Count => _times.Count;

    /// <param name="upTo">So many entries, from the first.</param>
    public void Add(double time, int upTo)
    {
        _times.Add(time);
        _upTo.Add(upTo);
    }

    public double TimeOf(int view) => _times[view];

    public int UpTo(int view) => _upTo[view];
}
