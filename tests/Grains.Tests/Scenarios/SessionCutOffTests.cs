using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: a region that cannot ask the hub never says what is older than what a session has seen. Method: a region behind a black hole, and a session
/// that comes to it with its token from the hub; a session that lost its token is found by <see cref="SessionGuarantees"/>.
/// </summary>
[Collection(Alone.Name)]
public sealed class SessionCutOffTests
{
    private const string Keyspace = "hops";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

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
}
