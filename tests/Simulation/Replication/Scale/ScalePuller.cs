using Quicksilver.Replication;

namespace Quicksilver.Simulation.Replication.Scale;

/// <summary>A source that a child has for some time.</summary>
/// <param name="Way">One way, milliseconds.</param>
/// <param name="Begin">When the child asks it to open a session.</param>
/// <param name="End">From here on nothing of it arrives any more.</param>
internal sealed record Leg(Publications Source, double Way, double Begin, double End = double.PositiveInfinity);

/// <summary>What a source sent to one child.</summary>
internal sealed class Traffic
{
    public long Pages { get; set; }

    public long Records { get; set; }

    public double Bytes { get; set; }

    public void Add(Traffic other)
    {
        Pages += other.Pages;
        Records += other.Records;
        Bytes += other.Bytes;
    }
}

/// <summary>A child: how far it is, and what others want to know of it.</summary>
/// <param name="published">Where its own children look; null for a leaf.</param>
/// <param name="seen">Delays of all records from commit to View; null where nobody asks.</param>
/// <param name="watched">An entry whose arrival is of interest.</param>
internal sealed class ScaleChild(Publications? published, Histogram? seen, int watched)
{
    /// <summary>So many entries are in its View.</summary>
    public int Has { get; private set; }

    /// <summary>When it has applied what came before.</summary>
    public double FreeAt { get; set; }

    /// <summary>When the watched entry was in its View; infinite where it never was.</summary>
    public double WatchedAt { get; private set; } = double.PositiveInfinity;

    public void Show(ScaleLog log, int to, double at)
    {
        if (seen is not null)
        {
            for (var entry = Has; entry < to; entry++)
            {
                seen.Add(at - log.TimeOf(entry), log.RecordsOf(entry, entry + 1));
            }
        }

        if (Has <= watched && watched < to)
        {
            WatchedAt = at;
        }

        (Has, FreeAt) = (to, at);
        published?.Add(at, to);
    }
}

/// <summary>
/// How one child follows one source, page by page: the window of requests of <see cref="Progress"/>, the turns, waits and pace of
/// <see cref="LogSource"/>, as a recurrence over page numbers instead of events. A page depends on nothing but the one before, the request
/// that it answers and what the source shows by then, so ten thousand children can be looked at one after the other.
/// What it leaves out: that children of one source share its processors and its network.
/// </summary>
internal sealed class ScalePuller(ScaleOptions options, ScaleLog log, Random random)
{
    public Traffic Pull(ScaleChild child, Leg leg)
    {
        var traffic = new Traffic();
        var roundTrip = 2 * leg.Way;
        var window = WindowOf(roundTrip);
        var pace = window > options.Pull.Window ? Math.Min(roundTrip / window, options.Source.MaxPace.TotalMilliseconds) : 0;
        var maxWait = Math.Min(options.Pull.MaxWait.TotalMilliseconds, options.Source.MaxWait.TotalMilliseconds);
        var pageBytes = Math.Min(Math.Min(options.Pull.PageBytes, options.Pull.MaxBytesInFlight / window), options.Source.MaxPageBytes);
        var maxRecords = Math.Max(1, pageBytes / options.RecordBytes);
        var packing = IsPacked(roundTrip) ? options.Packing : 1;

        // Open, its answer, and the first requests. From then on a request takes the place of the one that was answered.
        var opened = Math.Max(leg.Begin, child.FreeAt) + Hop(leg.Way) + Hop(leg.Way);
        var requests = new double[window];
        for (var i = 0; i < window; i++)
        {
            requests[i] = opened + Hop(leg.Way);
        }

        var (sent, view, shown, made, arrived) = (child.Has, 0, 0, double.NegativeInfinity, double.NegativeInfinity);
        for (long number = 0; sent < log.Count; number++)
        {
            var slot = (int)(number % window);
            while (view < leg.Source.Count && leg.Source.UpTo(view) <= sent)
            {
                view++;
            }

            if (view == leg.Source.Count)
            {
                // Nothing more will come of it.
                break;
            }

            // Its turn, something to send or the end of its patience, and the pace.
            var turn = Math.Max(requests[slot], made);
            var limit = Math.Max(turn, requests[slot] + maxWait);
            var ready = Math.Min(Math.Max(turn, leg.Source.TimeOf(view)), limit);
            shown = ShownAt(leg.Source, ready, shown);
            var isFew = log.RecordsOf(sent, Math.Max(sent, UpTo(leg.Source, shown))) < options.Source.PaceRecords;
            if (isFew && ready < made + pace)
            {
                ready = made + pace;
                shown = ShownAt(leg.Source, ready, shown);
            }

            made = ready + options.Read;
            var to = Limited(sent, Math.Max(sent, UpTo(leg.Source, shown)), maxRecords);
            var records = log.RecordsOf(sent, to);
            var bytes = (records * options.RecordBytes / packing) + options.PageOverheadBytes;
            arrived = Math.Max(arrived, made + Hop(leg.Way) + (bytes / options.LinkBytes));
            if (arrived >= leg.End)
            {
                break;
            }

            traffic.Pages++;
            traffic.Records += records;
            traffic.Bytes += bytes;

            // It asks again before it applies.
            var taken = Math.Max(arrived, child.FreeAt);
            requests[slot] = taken + Hop(leg.Way);
            if (to > sent)
            {
                child.Show(log, to, taken + options.Apply.Page + (options.Apply.Record * records));
                sent = to;
            }
        }

        return traffic;
    }

    /// <summary>As in <see cref="Progress"/>.</summary>
    public int WindowOf(double roundTrip) => (int)Math.Clamp(
        Math.Ceiling(roundTrip / options.Pull.PagePeriod.TotalMilliseconds) + 1, options.Pull.Window, Math.Max(options.Pull.Window, options.Pull.MaxWindow));

    public bool IsPacked(double roundTrip) => roundTrip >= options.Pull.CompressFrom.TotalMilliseconds;

    // How many Views there have been at a time, from a number that there have been earlier.
    private static int ShownAt(Publications source, double time, int shown)
    {
        while (shown < source.Count && source.TimeOf(shown) <= time)
        {
            shown++;
        }

        return shown;
    }

    private static int UpTo(Publications source, int shown) => shown == 0 ? 0 : source.UpTo(shown - 1);

    /// <summary>The end of a page: whole entries, one at least.</summary>
    private int Limited(int from, int to, long maxRecords)
    {
        if (log.RecordsOf(from, to) <= maxRecords)
        {
            return to;
        }

        var end = from + 1;
        while (end < to && log.RecordsOf(from, end + 1) <= maxRecords)
        {
            end++;
        }

        return end;
    }

    private double Hop(double way)
    {
        var time = way * (1 + (options.Jitter * random.NextDouble()));
        return random.NextDouble() < options.Lost ? time + (2 * way) : time;
    }
}
