using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: a session sees its own writes and never less than before, wherever it is answered and whatever becomes of the nodes. Method: sessions that
/// hop between the hub, a region that lags and another one, with their token as text, while both regions are killed (SIGKILL) and started again;
/// every answer is judged by <see cref="SessionGuarantees"/>.
/// </summary>
public sealed class SessionHopTests
{
    private const string Keyspace = "hops";
    private const int Sessions = 8;
    private const int Keys = 200;
    private const int ReadsOfARound = 100_000;

    /// <summary>Who is killed, after which part of the reads of a round.</summary>
    private static readonly (string Node, double Share)[] Kills = [("us-0", 0.2), ("eu-0", 0.4), ("us-0", 0.6), ("eu-0", 0.8)];

    /// <summary>What the region eu is behind, one way.</summary>
    private static readonly TimeSpan Lag = TimeSpan.FromMilliseconds(10);

    /// <summary>Longer than a region needs to be started again: an operation that is on its way there waits for it.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public Task A_hundred_thousand_session_reads_at_changing_places_never_go_back_and_see_the_own_writes() => HopAsync(1);

    /// <summary>Rounds of a hundred thousand reads each.</summary>
    [Fact(Explicit = true)]
    public Task Millions_of_session_reads_at_changing_places_never_go_back_and_see_the_own_writes() =>
        HopAsync(int.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "50", CultureInfo.InvariantCulture));

    private static async Task HopAsync(int rounds)
    {
        TcpProxy? way = null;
        await using var cluster = await ProcessCluster.StartAsync(Stop, hubs: 1, prepare: async nodes =>
        {
            var hub = nodes["hub-0"].Gateway;
            way = new(int.Parse(hub[(hub.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture));
            var file = Path.Combine(nodes.Data, "config", "eu-0.json");
            await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file, Stop)).Replace(hub, way.Address, StringComparison.Ordinal), Stop);
        });
        await using var _ = way;
        way!.Set(ProxyMode.Open, ProxyMode.Open, Lag);
        await using var everyone = new Everyone(cluster);
        var sessions = await everyone.StartAsync();
        var checker = new SessionGuarantees();
        for (var round = 0; round < rounds; round++)
        {
            var reads = 0;
            var walking = Task.WhenAll(sessions.Select(session => Task.Run(
                () => session.RunAsync(ReadsOfARound / Sessions, () => Interlocked.Increment(ref reads), Stop), Stop)));
            foreach (var (node, share) in Kills)
            {
                await Eventually.TrueAsync(
                    () => Volatile.Read(ref reads) >= share * ReadsOfARound || walking.IsCompleted, $"{share:P0} of the reads", Stop, TimeSpan.FromMinutes(10));
                await cluster.Nodes.KillAsync(node, Stop);
                cluster.Nodes.Start(node);
                await cluster.Nodes.ReadyAsync([node], Patience, Stop);
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

    /// <summary>The sessions and their clients, one for each at each place.</summary>
    private sealed class Everyone(ProcessCluster cluster) : IAsyncDisposable
    {
        public static readonly string[] Places = ["hub-0", "eu-0", "us-0"];

        private readonly List<QuicksilverClient> _clients = [];

        public async Task<IReadOnlyList<HoppingSession>> StartAsync()
        {
            await using var first = cluster.Connect(Patience, Places[0]);
            await first.Catalog.CreateAsync(Keyspace, cancellation: Stop);
            var sessions = new List<HoppingSession>();
            for (var number = 0; number < Sessions; number++)
            {
                var clients = Places.ToDictionary(place => place, place => cluster.Connect(Patience, place));
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
