namespace Quicksilver.Simulation;

/// <summary>
/// Virtual time: a queue of events, run one after the other on the thread that asks. What happens next is decided by their times, by the
/// order in which they were made where the times are equal, and by one seeded source of randomness; so a seed is a history.
/// </summary>
internal sealed class Simulator(int seed, Trace trace)
{
    private readonly PriorityQueue<(string What, Action Run), (TimeSpan At, long Number)> _events = new();
    private long _number;

    public Random Random { get; } = new(seed);

    /// <summary>Since the beginning.</summary>
    public TimeSpan Now { get; private set; }

    /// <summary>Called before each event.</summary>
    public Action Stepped { get; set; } = () => { };

    /// <param name="delay">From now; not negative.</param>
    /// <param name="what">For the trace.</param>
    public void After(TimeSpan delay, string what, Action run)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(delay, TimeSpan.Zero);
        _events.Enqueue((what, run), (Now + delay, _number++));
    }

    /// <summary>A random time, shorter ones more often.</summary>
    public TimeSpan Between(double minMilliseconds, double maxMilliseconds)
    {
        var share = Random.NextDouble();
        return TimeSpan.FromMicroseconds(Math.Round(1_000 * (minMilliseconds + ((maxMilliseconds - minMilliseconds) * share * share * share))));
    }

    public bool Chance(double probability) => Random.NextDouble() < probability;

    /// <summary>A line in the trace, beside those of the events themselves.</summary>
    public void Note(FormattableString what) => trace.Add(Now, FormattableString.Invariant(what));

    /// <summary>Runs events until there are none. Throws where they do not come to an end.</summary>
    public void Run(int maxEvents)
    {
        for (var left = maxEvents; _events.TryDequeue(out var next, out var due); left--)
        {
            if (left == 0)
            {
                throw new InvalidOperationException($"{maxEvents} events and no end; the next is '{next.What}' at {due.At}.");
            }

            Do(next.What, next.Run, due.At);
        }
    }

    /// <summary>Runs the events up to a time, and stands there; later ones stay. Throws where there are more than that many.</summary>
    public void RunUntil(TimeSpan end, int maxEvents)
    {
        for (var left = maxEvents; _events.TryPeek(out var next, out var due) && due.At <= end; left--)
        {
            if (left == 0)
            {
                throw new InvalidOperationException($"{maxEvents} events before {end}; the next is '{next.What}' at {due.At}.");
            }

            _events.Dequeue();
            Do(next.What, next.Run, due.At);
        }

        Now = end;
    }

    private void Do(string what, Action run, TimeSpan at)
    {
        Now = at;
        trace.Add(Now, what);
        Stepped();
        run();
    }
}
