namespace Quicksilver.Simulation.Replication.Scale;

/// <summary>
/// Goal: figures of a tree of thousands of nodes: how long a record takes, and what leaves the hub. Method: a model page by page
/// (<see cref="ScaleModel"/>), held against what was measured on one machine.
/// </summary>
public sealed class ScaleTests
{
    private static readonly ScaleOptions Small = new() { Regions = 6, Nodes = 60, Duration = TimeSpan.FromSeconds(3) };

    [Fact]
    public void A_model_of_the_measured_way_of_40_ms_has_the_delay_that_was_measured()
    {
        // bench/README.md, far regions: 1,000 puts a second, 40 ms one way: p50 45.7, p99 52.4.
        var result = ScaleModel.Run(Small with { Regions = 1, Nodes = 1, RelaysOfRegion = 1, WritesPerSecond = 1_000, Far = (40, 40), Jitter = 0.02 });
        Assert.InRange(result.Relays.Percentile(0.5), 41, 50);
        Assert.InRange(result.Relays.Percentile(0.99), 44, 60);
    }

    [Theory]
    [InlineData(350, 1)]
    [InlineData(350, 2)]
    [InlineData(5_000, 2)]
    public void All_leaves_of_a_model_have_everything_and_the_hub_sends_each_record_once_to_each_relay(int rate, int relays)
    {
        var result = ScaleModel.Run(Small with { WritesPerSecond = rate, RelaysOfRegion = relays });
        Assert.Equal(60 - (6 * relays), result.LeafCount);
        Assert.Equal(result.LeafCount, result.LevelLeaves);
        Assert.Equal(6 * relays, result.HubSessions);
        Assert.Equal(result.Records * result.HubSessions, result.FromHub.Records);
        Assert.InRange(result.Leaves.Percentile(0.5), 5, 200);
    }

    [Fact]
    public void Leaves_of_a_model_catch_up_after_the_hub_was_cut_off_and_after_relays_failed()
    {
        var cut = ScaleModel.Run(Small with { Event = ScaleEvent.HubIsCutOff, Trouble = (3_000, 1_000) });
        Assert.Equal(cut.LeafCount, cut.LevelLeaves);
        Assert.InRange(cut.Leaves.Max, 1_000, 5_000);
        Assert.InRange(cut.CaughtUpAfter, 0, 5_000);
        var failed = ScaleModel.Run(Small with { Event = ScaleEvent.TwoRelaysFail, Trouble = (3_000, 1_000) });
        Assert.Equal(failed.LeafCount, failed.LevelLeaves);
        Assert.InRange(failed.Struck.Max, 1_000, 8_000);
    }

    [Fact]
    public void A_model_says_the_same_twice() =>
        Assert.Equal(ScaleReport.Write([ScaleModel.Run(Small)]), ScaleReport.Write([ScaleModel.Run(Small)]));

    /// <summary>Writes the report to the file that QS_SCALE_REPORT names, and shows it.</summary>
    [Fact(Explicit = true)]
    public void Ten_thousand_nodes_are_told()
    {
        var results = new List<ScaleResult>();
        foreach (var rate in new[] { 350, 5_000 })
        {
            foreach (var relays in new[] { 1, 2 })
            {
                results.Add(ScaleModel.Run(new() { WritesPerSecond = rate, RelaysOfRegion = relays }));
            }

            results.Add(ScaleModel.Run(new() { WritesPerSecond = rate, Event = ScaleEvent.TwoRelaysFail }));
            results.Add(ScaleModel.Run(new() { WritesPerSecond = rate, Event = ScaleEvent.HubIsCutOff }));
        }

        var report = ScaleReport.Write(results);
        TestContext.Current.TestOutputHelper?.WriteLine(report);
        if (Environment.GetEnvironmentVariable("QS_SCALE_REPORT") is { Length: > 0 } path)
        {
            File.WriteAllText(path, report);
        }

        Assert.All(results, result => Assert.Equal(result.LeafCount, result.LevelLeaves));
    }
}
