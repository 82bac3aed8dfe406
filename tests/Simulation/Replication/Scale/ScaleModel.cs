namespace Quicksilver.Simulation.Replication.Scale;

/// <summary>What a simulated tree of thousands came to. Rates are of the time in which records were written.</summary>
internal sealed record ScaleResult(ScaleOptions Options)
{
    /// <summary>From commit at the hub to the View of a leaf, each record at each leaf.</summary>
    public Histogram Leaves { get; } = new();

    /// <summary>As <see cref="Leaves"/>, of the leaves whose source failed.</summary>
    public Histogram Struck { get; } = new();

    /// <summary>As <see cref="Leaves"/>, of the relays.</summary>
    public Histogram Relays { get; } = new();

    public int LeafCount { get; set; }

    /// <summary>Leaves that have everything.</summary>
    public int LevelLeaves { get; set; }

    public int HubSessions { get; set; }

    public Traffic FromHub { get; } = new();

    public double BusiestHubChildBytes { get; set; }

    /// <summary>Of the relay that sends most.</summary>
    public double BusiestRelayBytes { get; set; }

    /// <summary>Requests that are open at the hub at any time.</summary>
    public long HubRequests { get; set; }

    /// <summary>Children of the hub whose pages are packed: each has a dictionary there.</summary>
    public int HubPackedChildren { get; set; }

    public double Seconds { get; set; }

    public long Records { get; set; }

    /// <summary>When the last leaf had what was committed before the trouble ended, after that, milliseconds.</summary>
    public double CaughtUpAfter { get; set; }
}

/// <summary>
/// A hub, the relays of many regions and their leaves, for reports: ways are drawn, and each child follows its source page by page
/// (<see cref="ScalePuller"/>). Region by region, so that ten thousand nodes take little memory.
/// </summary>
internal static class ScaleModel
{
    public static ScaleResult Run(ScaleOptions options)
    {
        var random = new Random(options.Seed);
        var log = new ScaleLog(options, random);
        var puller = new ScalePuller(options, log, random);
        var result = new ScaleResult(options) { Seconds = log.Seconds, Records = log.Records };
        for (var region = 0; region < options.Regions; region++)
        {
            // The nodes are spread as evenly as they go.
            var nodes = (options.Nodes / options.Regions) + (region < options.Nodes % options.Regions ? 1 : 0);
            RunRegion(options, region, nodes, log, puller, random, result);
        }

        return result;
    }

    private static void RunRegion(ScaleOptions options, int region, int nodes, ScaleLog log, ScalePuller puller, Random random, ScaleResult result)
    {
        var mended = options.Trouble.At + options.Trouble.For;
        var watched = log.LastBefore(mended);
        var far = options.Far.From * Math.Pow(options.Far.To / options.Far.From, random.NextDouble());
        var relays = Math.Min(options.RelaysOfRegion, nodes);
        var failed = options.Event == ScaleEvent.TwoRelaysFail && region < 2;
        var shown = new List<Publications>();
        var sent = new List<Traffic>();
        for (var i = 0; i < relays; i++)
        {
            var published = new Publications();
            var relay = new ScaleChild(published, result.Relays, watched);
            var traffic = new Traffic();
            foreach (var leg in LegsOfRelay(options, log, far, failed && i == 0, random))
            {
                traffic.Add(puller.Pull(relay, leg));
            }

            shown.Add(published);
            sent.Add(new());
            result.HubSessions++;
            result.HubRequests += puller.WindowOf(2 * far);
            result.HubPackedChildren += puller.IsPacked(2 * far) ? 1 : 0;
            result.FromHub.Add(traffic);
            result.BusiestHubChildBytes = Math.Max(result.BusiestHubChildBytes, traffic.Bytes);
        }

        for (var i = relays; i < nodes; i++)
        {
            var first = i % relays;
            var isStruck = failed && first == 0;
            var leaf = new ScaleChild(null, isStruck ? result.Struck : result.Leaves, watched);
            var near = options.Near.From + ((options.Near.To - options.Near.From) * random.NextDouble());
            if (isStruck && relays > 1)
            {
                // The first region hears of the end at once, the second by its heartbeats. The other relay takes over.
                var noticed = options.Trouble.At + (region == 0 ? options.NoticeEnd : options.NoticeSilence * (0.8 + (0.2 * random.NextDouble())));
                sent[0].Add(puller.Pull(leaf, new(shown[0], near, 0, options.Trouble.At)));
                sent[1].Add(puller.Pull(leaf, new(shown[1], near, noticed)));
            }
            else
            {
                sent[first].Add(puller.Pull(leaf, new(shown[first], near, 0)));
            }

            result.LeafCount++;
            result.LevelLeaves += leaf.Has == log.Count ? 1 : 0;
            result.CaughtUpAfter = Math.Max(result.CaughtUpAfter, leaf.WatchedAt - mended);
        }

        result.BusiestRelayBytes = Math.Max(result.BusiestRelayBytes, sent.Max(traffic => traffic.Bytes));
    }

    private static List<Leg> LegsOfRelay(ScaleOptions options, ScaleLog log, double far, bool fails, Random random)
    {
        if (fails)
        {
            return [new(log.Published, far, 0, options.Trouble.At)];
        }

        if (options.Event != ScaleEvent.HubIsCutOff)
        {
            return [new(log.Published, far, 0)];
        }

        // By then the link is known to be lost, and the hub is greeted again and again. Hello, connection and four measurements come first.
        var back = options.Trouble.At + options.Trouble.For + (options.Greeting * random.NextDouble()) + (6 * 2 * far);
        return [new(log.Published, far, 0, options.Trouble.At), new(log.Published, far, back)];
    }
}
