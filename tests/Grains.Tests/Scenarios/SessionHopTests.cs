using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: a session sees its own writes and never less than before, wherever it is answered and whatever becomes of the nodes. Method: sessions that
/// hop between the hub, a region that lags and another one, with their token as text, while both regions are stopped and started again; every
/// answer is judged by <see cref="SessionGuarantees"/>.
/// </summary>
[Collection(Alone.Name)]
public sealed class SessionHopTests
{
    private const string Keyspace = "hops";
    private const int Sessions = 8;
    private const int Keys = 200;
    private const int ReadsOfARound = 100_000;

    /// <summary>What the region eu is behind, one way.</summary>
    private static readonly TimeSpan Lag = TimeSpan.FromMilliseconds(10);

    /// <summary>Longer than a region needs to be stopped and started: an operation that is on its way there waits for it.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public Task A_hundred_thousand_session_reads_at_changing_places_never_go_back_and_see_the_own_writes() => HopAsync(1);

    /// <summary>Rounds of a hundred thousand reads each.</summary>
    [Fact(Explicit = true)]
    public Task Millions_of_session_reads_at_changing_places_never_go_back_and_see_the_own_writes() =>
        HopAsync(int.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "50", CultureInfo.InvariantCulture));

    private static async Task HopAsync(int rounds)
    {
        await using var cluster = await LiveCluster.StartAsync(Stop, proxied: true);
        await using var everyone = new Everyone(cluster);
        var sessions = await everyone.StartAsync();
        cluster.Network("eu").Set(ProxyMode.Open, ProxyMode.Open, Lag);
        var checker = new SessionGuarantees();
        for (var round = 0; round < rounds; round++)
        {
            var reads = 0;
            var walking = Task.WhenAll(sessions.Select(session => Task.Run(
                () => session.RunAsync(ReadsOfARound / Sessions, () => Interlocked.Increment(ref reads), Stop), Stop)));
            foreach (var (node, share) in new[] { ("us", 0.2), ("eu", 0.4), ("us", 0.6), ("eu", 0.8) })
            {
                await Eventually.TrueAsync(
                    () => Volatile.Read(ref reads) >= share * ReadsOfARound || walking.IsCompleted, $"{share:P0} of the reads", Stop, TimeSpan.FromMinutes(5));
                await cluster.StopAsync(node);
                await cluster.StartAsync(node, Stop);
            }

            await walking;
            List<SessionStep> steps = [.. sessions.SelectMany(session => session.TakeSteps())];
            var violations = checker.Check(steps);
            Assert.True(violations.Count == 0, $"Round {round}, {violations.Count} violations:\n{string.Join('\n', violations.Take(20))}");

            // It happened at all, and everywhere.
            Assert.Equal(ReadsOfARound, steps.Count(step => step.Kind == SessionStepKind.Read));
            Assert.All(Everyone.Places, place => Assert.True(steps.Count(step => step.Where == place && step.Kind == SessionStepKind.Read) > ReadsOfARound / 6, place));
            Assert.True(steps.Count(step => step.Kind != SessionStepKind.Read) > ReadsOfARound / 50);
        }

        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{rounds * (long)ReadsOfARound} reads, {sessions.Sum(session => session.Hops)} hops, {sessions.Sum(session => session.Refused)} reads refused and made again");
    }

    [Fact]
    public async Task With_the_hub_cut_off_a_session_that_has_seen_more_hears_not_yet_and_one_that_lost_its_token_is_found()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop, proxied: true);
        await using var hub = cluster.Connect("hub", Patience);
        await using var eu = cluster.Connect("eu", Patience);
        await hub.Catalog.CreateAsync(Keyspace, cancellation: Stop);
        var keys = Enumerable.Range(0, 50).Select(i => $"k{i}").ToList();
        List<SessionStep> steps = [];
        await PutAllAsync("old");
        await cluster.LevelAsync("eu", Stop);
        eu.Session = hub.Session;
        Assert.Equal("old", (await eu.Keyspace(Keyspace).GetAsync("k0", cancellation: Stop))!.Text);

        // The region hears of nothing more: all of this the session has seen, and the region has not.
        cluster.Network("eu").BlackHole();
        await PutAllAsync("new");
        Assert.True(SessionToken.TryParse(hub.Session!.Value.ToString(), out var token));

        // Twice: while the region still takes its link for one, and when it knows that there is none.
        for (var time = 0; time < 2; time++)
        {
            eu.Session = token;
            var reads = keys.Select(key => eu.Keyspace(Keyspace).GetAsync(key, cancellation: Stop).AsTask())
                .Append(eu.Keyspace(Keyspace).GetAsync("never-written", cancellation: Stop).AsTask()).ToList();
            foreach (var read in reads)
            {
                Assert.Equal(QuicksilverErrorCode.NotYet, (await Assert.ThrowsAsync<QuicksilverException>(() => read)).Code);
            }

            await Eventually.TrueAsync(() => cluster["eu"].Status.State.StartsWith("disconnected", StringComparison.Ordinal), "a region that knows that it is cut off", Stop);
        }

        // What it is asked to say all the same is the old state, and a session without its token gets that, too: planted, and found.
        var stale = await eu.Keyspace(Keyspace).GetAsync("k0", ReadOptions.Session with { AllowStaleWhenCutOff = true }, Stop);
        Assert.Equal("old", stale!.Text);
        var checker = new SessionGuarantees();
        Assert.Empty(checker.Check(steps));
        eu.Session = null;
        var entry = await eu.Keyspace(Keyspace).GetAsync("k0", cancellation: Stop);
        SessionStep planted = new(0, "eu", SessionStepKind.Read, "k0", entry!.Text, entry.Revision);
        Assert.Equal(SessionFault.ReadYourWrites, Assert.Single(checker.Check([planted])).Fault);

        cluster.Network("eu").Heal();
        await cluster.LevelAsync("eu", Stop);
        eu.Session = token;
        Assert.Equal("new", (await eu.Keyspace(Keyspace).GetAsync("k0", cancellation: Stop))!.Text);

        async Task PutAllAsync(string value)
        {
            foreach (var key in keys)
            {
                var put = await hub.Keyspace(Keyspace).PutAsync(key, value, cancellation: Stop);
                steps.Add(new(0, "hub", SessionStepKind.Put, key, value, put.Revision));
            }
        }
    }

    /// <summary>The sessions and their clients, one for each at each place.</summary>
    private sealed class Everyone(LiveCluster cluster) : IAsyncDisposable
    {
        public static readonly string[] Places = ["hub", "eu", "us"];

        private readonly List<QuicksilverClient> _clients = [];

        public async Task<IReadOnlyList<HoppingSession>> StartAsync()
        {
            await using var first = cluster.Connect("hub", Patience);
            await first.Catalog.CreateAsync(Keyspace, cancellation: Stop);
            var sessions = new List<HoppingSession>();
            for (var number = 0; number < Sessions; number++)
            {
                var clients = Places.ToDictionary(place => place, place => cluster.Connect(place, Patience));
                _clients.AddRange(clients.Values);

                // From here on it knows of the keyspace, wherever it goes.
                clients[Places[0]].Session = first.Session;
                sessions.Add(new(number, clients, Keyspace, Keys));
            }

            return sessions;
        }

        public async ValueTask DisposeAsync()
        {
            foreach (var client in _clients)
            {
                await client.DisposeAsync();
            }
        }
    }
}
