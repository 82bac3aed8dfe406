using System.Collections.Concurrent;
using System.Globalization;
using Quicksilver.Testing;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// Goal: whatever nodes, disks and ways do, each replica shows a prefix of the hub's log, or of some keyspaces exactly what the hub had of them,
/// applies each record once, ends level when all has healed, and pulls from where it should. Method: seeded histories of a simulated tree on
/// virtual time, with the state machines of the product; a seed is a history.
/// </summary>
public sealed class ReplicationSimulationTests
{
    private const string SeedVariable = "QS_SIM_SEED";
    private const string HashLine = "trace hash ";

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static int? SeedToReplay => int.TryParse(Environment.GetEnvironmentVariable(SeedVariable), CultureInfo.InvariantCulture, out var seed) ? seed : null;

    private static string HowToReplay(int seed) => $"Replay: {SeedVariable}={seed} dotnet run -c Release --project tests/Simulation -- -explicit only -method '*.{nameof(One_tree_is_told)}'";

    [Fact]
    public async Task Five_hundred_histories_of_a_tree_keep_every_promise() => await RunAsync(1, 500);

    [Fact(Explicit = true)]
    public async Task Many_histories_of_a_tree_keep_every_promise() => await RunAsync(
        1_000, 1_000 * int.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "20", CultureInfo.InvariantCulture));

    private static async Task RunAsync(int first, int count)
    {
        var counts = new ConcurrentDictionary<string, int>();
        await Parallel.ForEachAsync(Enumerable.Range(first, count), Stop, (seed, _) =>
        {
            var outcome = ReplicationSimulation.Run(seed);
            Assert.True(outcome.Wrong.Count == 0, $"Seed {seed}: {string.Join("; ", outcome.Wrong)}. {HowToReplay(seed)}");
            foreach (var (what, times) in outcome.Counts)
            {
                counts.AddOrUpdate(what, times, (_, before) => before + times);
            }

            return ValueTask.CompletedTask;
        });

        TestContext.Current.TestOutputHelper?.WriteLine(string.Join("\n", counts.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}: {pair.Value}")));

        // Histories in which nothing happens prove nothing.
        foreach (var what in new[]
        {
            "open: Open", "open: TooOld", "open: SourceBehind", "open: Cycle", "open: Unavailable", "page: SessionLost", "pages refused", "bootstraps",
            "copies gone on with", "cuts", "losses of power with records", "new disks", "records damaged", "links lost in silence", "left: Failing",
            "left: Cycle", "better sources", "egress counted", "keyspaces dropped", "keyspaces created again", "keyspaces let go", "keyspaces added",
            "open: NotHeld", "copies that were not held", "copies of parts begun", "sessions at parts", "positions that a part does not know",
            "parts read by keyspace", "parts cut between records", "pages that only say how far", "pages applied in part",
            "restarts for other keyspaces when nothing is wrong",
        })
        {
            Assert.True(counts.GetValueOrDefault(what) > 0, $"'{what}' did not happen in {count} histories.");
        }
    }

    [Theory]
    [InlineData((int)Plant.AppliesTwice, "once")]
    [InlineData((int)Plant.SkipsARecord, "dense")]
    [InlineData((int)Plant.TakesChainsOnTrust, "chains")]
    [InlineData((int)Plant.ShowsTheOldStateAgain, "prefix")]
    [InlineData((int)Plant.AlsoPullsFromTheHub, "egress")]
    [InlineData((int)Plant.NeverReopens, "liveness")]
    [InlineData((int)Plant.NeverLooks, "egress")]
    [InlineData((int)Plant.KeepsThePositionAlone, "dense")]
    [InlineData((int)Plant.FiltersOneTooMany, "state")]
    [InlineData((int)Plant.CopiesALaterState, "state")]
    [InlineData((int)Plant.KeepsWhatItLetGo, "state")]
    [InlineData((int)Plant.ReachesTooFar, "state")]
    [InlineData((int)Plant.ServesWhatItLacks, "subset")]
    [InlineData((int)Plant.SendsEverything, "selection")]
    [InlineData((int)Plant.ForgetsToAdd, "liveness")]
    public void A_bug_planted_in_a_tree_is_found_within_a_hundred_histories(int plant, string checker) =>
        Assert.Contains(Enumerable.Range(1, 100), seed => ReplicationSimulation.Run(seed, (Plant)plant).Wrong.Exists(
            wrong => wrong.StartsWith($"{checker}: ", StringComparison.Ordinal)));

    [Theory]
    [InlineData(7)]
    [InlineData(77)]
    public async Task A_seed_is_the_same_tree_and_history_in_two_processes(int seed)
    {
        var hashes = new HashSet<string> { ReplicationSimulation.Run(seed).TraceHash, ReplicationSimulation.Run(seed).TraceHash };
        for (var i = 0; i < 2; i++)
        {
            await using var child = ChildProcess.Start(
                "Simulation", "Simulation", ["-explicit", "only", "-noColor", "-showLiveOutput", "-method", $"*.{nameof(One_tree_is_told)}"],
                new Dictionary<string, string> { [SeedVariable] = seed.ToString(CultureInfo.InvariantCulture) });
            Assert.Equal(0, await child.WaitAsync(Stop));
            var line = child.Output.Split('\n').First(line => line.Contains(HashLine, StringComparison.Ordinal));
            hashes.Add(line[(line.IndexOf(HashLine, StringComparison.Ordinal) + HashLine.Length)..].Trim());
        }

        Assert.Single(hashes);
    }

    /// <summary>Replays a seed with everything that happens in it.</summary>
    [Fact(Explicit = true)]
    public void One_tree_is_told()
    {
        Assert.SkipUnless(SeedToReplay is not null, $"Nothing to replay: set {SeedVariable} to a seed.");
        var text = new StringWriter();
        var outcome = ReplicationSimulation.Run(SeedToReplay!.Value, Plant.None, text);
        TestContext.Current.TestOutputHelper?.WriteLine($"{text}\n{HashLine}{outcome.TraceHash}");
        Assert.True(outcome.Wrong.Count == 0, string.Join("\n", outcome.Wrong));
    }
}
