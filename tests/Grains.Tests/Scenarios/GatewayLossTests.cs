using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: an application with several gateways notices the loss of one by the time that one read takes, and nothing else: no read fails, none is
/// sent more than twice, and the preferred gateway is returned to. Method: two regions, a proxy before the gateway of the near one, and readers
/// whose tries are counted.
/// </summary>
[Collection(Alone.Name)]
public sealed class GatewayLossTests
{
    private const string Keyspace = "near";
    private const int Readers = 64;
    private const int ReadsOfAPhase = 2_000;
    private const int Links = 3;

    /// <summary>What a link needs to find out that its gateway is silent: two heartbeats in a row are missed, 3 s each.</summary>
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(6);

    /// <summary>Of each read: far more than any may take, so that what it takes is measured.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static TcpProxy Before(LiveCluster cluster, string region) => new(IPEndPoint.Parse(cluster.Gateway(region)).Port);

    private static async Task FillAsync(LiveCluster cluster)
    {
        await using var hub = cluster.Connect("hub");
        await hub.Catalog.CreateAsync(Keyspace, cancellation: Stop);
        await hub.Keyspace(Keyspace).CommitAsync([], [.. Enumerable.Range(0, Readers).Select(reader => Mutation.Put($"k{reader}", "v"u8.ToArray()))], cancellation: Stop);
        await cluster.LevelAsync("us", Stop);
        await cluster.LevelAsync("eu", Stop);
    }

    private static QuicksilverClientOptions Options(bool merges, params string[] gateways)
    {
        var options = new QuicksilverClientOptions { Deadline = Patience, MergeReads = merges, ReturnAfter = TimeSpan.FromSeconds(1) };
        foreach (var gateway in gateways)
        {
            options.Gateways.Add(gateway);
        }

        return options;
    }

    private static QuicksilverClient Connect(params string[] gateways) => new(Options(merges: true, gateways), TimeProvider.System, NullLoggerFactory.Instance);

    private static TimeSpan Since(long start) => TimeProvider.System.GetElapsedTime(start);

    /// <summary>How long this machine needs from nothing to the first answer, over a link that is in order: the longest of some times.</summary>
    private static async Task<TimeSpan> LinkAsync(string gateway)
    {
        var longest = TimeSpan.Zero;
        for (var i = 0; i < Links; i++)
        {
            var start = TimeProvider.System.GetTimestamp();
            await using var client = Connect(gateway);
            await client.Keyspace(Keyspace).GetAsync("k0", cancellation: Stop);
            var took = Since(start);
            longest = took > longest ? took : longest;
        }

        return longest;
    }

    /// <summary>A promise as it is, or, on a machine that is slower than it reckons with, what is waited by design and three links.</summary>
    private static TimeSpan Allowed(double promise, double byDesign, TimeSpan link) => TimeSpan.FromSeconds(Math.Max(promise, byDesign + (3 * link.TotalSeconds)));

    /// <summary>
    /// No read of a phase takes longer than is allowed, and none is sent more than twice. Where heartbeats starve, a link is lost that was in order:
    /// each such loss, beside those that the test has made, may cost one more try and the time of a silence.
    /// </summary>
    private static void Judge(string what, Phase phase, TimeSpan allowed, int losses, TimeSpan link)
    {
        var said = $"{what}: the longest read took {phase.Longest}, most tries {phase.MostTries}, {phase.Losses} sessions lost; a link took {link}.";
        Assert.True(phase.Longest < allowed + (Math.Max(0, phase.Losses - losses) * Silence), said);
        Assert.True(phase.MostTries <= Math.Max(2, 1 + phase.Losses), said);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_lost_gateway_costs_each_read_at_most_one_more_try(bool merges)
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var network = Before(cluster, "us");
        await FillAsync(cluster);
        var (near, far, port) = (network.Address, cluster.Gateway("eu"), network.Target);
        var link = await LinkAsync(near);
        await using var reads = new CountedReads(Options(merges, near, far));
        await reads.AtAsync(near);
        await reads.MoreAsync(ReadsOfAPhase);

        // Its connections are reset, and nobody is there any more.
        await reads.EndPhaseAsync();
        network.Target = Ports.Free();
        network.Cut();
        await reads.AtAsync(far);
        await reads.MoreAsync(ReadsOfAPhase);
        var cut = await reads.EndPhaseAsync();
        Judge("cut", cut, Allowed(2, 0.5, link), losses: 1, link);

        // It comes back, and so does the client. That costs no read anything.
        network.Target = port;
        await reads.AtAsync(near);
        await reads.MoreAsync(ReadsOfAPhase);
        var back = await reads.EndPhaseAsync();
        Judge("way back", back, Allowed(2, 0, link), losses: 0, link);

        // Nothing comes from it any more, and nobody is told.
        network.BlackHole();
        await reads.AtAsync(far);
        await reads.MoreAsync(ReadsOfAPhase);
        var hole = await reads.EndPhaseAsync();
        Judge("hole", hole, Allowed(8, Silence.TotalSeconds, link), losses: 1, link);

        // There were reads on their way, which were made again.
        await reads.EndAsync();
        Assert.True(Math.Max(cut.MostTries, hole.MostTries) >= 2, $"{cut} {hole}");
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{reads.Count} reads; the longest {cut.Longest.TotalSeconds:0.00} s over the cut, {back.Longest.TotalSeconds:0.00} s on the way back, {hole.Longest.TotalSeconds:0.00} s over the hole; a link {link.TotalSeconds:0.00} s");
    }

    [Fact]
    public async Task A_gateway_that_takes_connections_and_says_nothing_is_passed_over_within_a_second()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var network = Before(cluster, "us");
        await FillAsync(cluster);
        var link = await LinkAsync(cluster.Gateway("eu"));
        network.BlackHole();
        var start = TimeProvider.System.GetTimestamp();
        await using var client = Connect(network.Address, cluster.Gateway("eu"));
        Assert.Equal("v", (await client.Keyspace(Keyspace).GetAsync("k0", cancellation: Stop))!.Text);
        var took = Since(start);

        // Half a second for the preferred one, from the answer of the other on.
        Assert.True(took < Allowed(1.5, 0.5, link), $"{took}; a link took {link}.");
    }

    [Fact]
    public async Task A_region_that_has_no_data_yet_is_passed_over_for_one_that_has()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop, proxied: true);
        await FillAsync(cluster);
        await cluster.StopAsync("us");
        using var empty = new TempDirectory();
        cluster.Change("us", settings => settings with { DataDirectory = empty.Sub("us") });
        cluster.Network("us").BlackHole();
        await cluster.StartAsync("us", Stop);

        // Asked alone, it knows of no keyspace.
        await using var alone = Connect(cluster.Gateway("us"));
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await alone.Keyspace(Keyspace).GetAsync("k0", cancellation: Stop));
        Assert.Equal(QuicksilverErrorCode.KeyspaceNotFound, e.Code);

        // Passed over where it says in time that it has nothing, and eu is there in time: a client that could not hear that asks what it has.
        await Eventually.TrueAsync(
            async () =>
            {
                await using var client = Connect(cluster.Gateway("us"), cluster.Gateway("eu"));
                try
                {
                    return (await client.Keyspace(Keyspace).GetAsync("k0", cancellation: Stop))!.Text == "v";
                }
                catch (QuicksilverException early) when (early.Code == QuicksilverErrorCode.KeyspaceNotFound)
                {
                    return false;
                }
            },
            "a read past the region that has nothing", Stop, Patience);
        await cluster.StopAsync("us");
    }

    [Fact]
    public async Task A_session_that_goes_over_to_a_region_that_is_behind_sees_its_writes_or_hears_that_it_cannot_yet()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop, proxied: true);
        await using var network = Before(cluster, "us");
        await FillAsync(cluster);
        var port = network.Target;
        await using var client = Connect(network.Address, cluster.Gateway("eu"));
        var keyspace = client.Keyspace(Keyspace);
        Assert.Equal("v", (await keyspace.GetAsync("k0", cancellation: Stop))!.Text);

        // What eu hears, it hears late: it waits, or asks the hub.
        cluster.Network("eu").Set(ProxyMode.Open, ProxyMode.Open, TimeSpan.FromMilliseconds(300));
        for (var i = 0; i < 5; i++)
        {
            var put = await keyspace.PutAsync("k0", $"late {i}", cancellation: Stop);
            network.Target = Ports.Free();
            network.Cut();
            var seen = await SeenAsync(keyspace, "k0");
            Assert.Equal(($"late {i}", put.Revision), (seen!.Text, seen.Revision));
            network.Target = port;
        }

        // What it never hears: the session says so, and goes on where the near region is back.
        await using var nearOnly = Connect(network.Address);
        await nearOnly.Keyspace(Keyspace).GetAsync("k0", cancellation: Stop);
        cluster.Network("eu").BlackHole();
        await nearOnly.Keyspace(Keyspace).PutAsync("k1", "unheard of", cancellation: Stop);
        await using var farOnly = Connect(cluster.Gateway("eu"));
        farOnly.Session = nearOnly.Session;
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await farOnly.Keyspace(Keyspace).GetAsync("k1", cancellation: Stop));
        Assert.Equal((QuicksilverErrorCode.NotYet, true), (e.Code, e.IsTransient));
        client.Session = nearOnly.Session;
        Assert.Equal("unheard of", (await SeenAsync(keyspace, "k1"))!.Text);
        cluster.Network("eu").Heal();
    }

    /// <summary>What a session reads at last: as long as it hears that it cannot yet, it asks again.</summary>
    private static async Task<Entry?> SeenAsync(IKeyspace keyspace, string key)
    {
        Entry? seen = null;
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    seen = await keyspace.GetAsync(key, cancellation: Stop);
                    return true;
                }
                catch (QuicksilverException late) when (late.Code == QuicksilverErrorCode.NotYet)
                {
                    return false;
                }
            },
            $"{key} as the session must see it", Stop, Patience);
        return seen;
    }

    /// <summary>Of the reads of a phase: the longest, and how often any was sent; and how many sessions were lost meanwhile.</summary>
    private sealed record Phase(TimeSpan Longest, int MostTries, int Losses);

    /// <summary>Readers in a loop over one client, each with a key of its own, so that the tries of a read are those of its key.</summary>
    private sealed class CountedReads : IAsyncDisposable
    {
        private readonly CountingLink _link;
        private readonly QuicksilverClient _client;
        private readonly CancellationTokenSource _enough = new();
        private readonly List<Task> _readers;
        private readonly Lock _gate = new();
        private readonly long[] _done = new long[Readers];
        private TimeSpan _longest;
        private long _count;
        private int _mostTries;

        public CountedReads(QuicksilverClientOptions options)
        {
            // As the client would make it.
            var preferred = new PreferredLink(options.ToLinkOptions(), options.ReturnAfter, static () => default, new Random(1), TimeProvider.System, NullLoggerFactory.Instance);
            preferred.Start();
            _link = new(preferred);
            _client = new(_link, options, TimeProvider.System);
            _readers = [.. Enumerable.Range(0, Readers).Select(reader => Task.Run(() => ReadAsync(reader), Stop))];
        }

        public string? Gateway => _link.Current?.Gateway;

        public long Count => Interlocked.Read(ref _count);

        private async Task ReadAsync(int reader)
        {
            var key = $"k{reader}";
            var keyspace = _client.Keyspace(Keyspace);
            while (!_enough.IsCancellationRequested)
            {
                var start = TimeProvider.System.GetTimestamp();
                var entry = await keyspace.GetAsync(key, cancellation: CancellationToken.None);
                var took = Since(start);
                Assert.Equal("v", entry!.Text);
                var tries = _link.TakeSent(key);
                lock (_gate)
                {
                    _longest = took > _longest ? took : _longest;
                    _mostTries = Math.Max(_mostTries, tries);
                }

                Interlocked.Increment(ref _count);
                Interlocked.Increment(ref _done[reader]);
            }
        }

        /// <summary>All reads since the last call of this, and with them those that are on their way now: every reader ends one that it began after this.</summary>
        public async Task<Phase> EndPhaseAsync()
        {
            long[] before = [.. Enumerable.Range(0, Readers).Select(Done)];
            await TrueAsync(() => Enumerable.Range(0, Readers).All(reader => Done(reader) >= before[reader] + 2), "one more read of every reader");
            lock (_gate)
            {
                var phase = new Phase(_longest, _mostTries, _link.TakeLosses());
                (_longest, _mostTries) = (default, 0);
                return phase;
            }
        }

        private long Done(int reader) => Interlocked.Read(ref _done[reader]);

        public Task MoreAsync(int reads)
        {
            var before = Count;
            return TrueAsync(() => Count >= before + reads, $"{reads} more reads");
        }

        public Task AtAsync(string gateway) => TrueAsync(() => Gateway == gateway, $"reads through {gateway}");

        /// <summary>A reader that failed is not waited for.</summary>
        private async Task TrueAsync(Func<bool> condition, string what)
        {
            await Eventually.TrueAsync(() => condition() || _readers.Exists(reader => reader.IsCompleted), what, Stop, 2 * Patience);
            if (_readers.Find(reader => reader.IsCompleted) is { } ended)
            {
                await ended;
            }
        }

        public async Task EndAsync()
        {
            await _enough.CancelAsync();
            await Task.WhenAll(_readers);
        }

        public async ValueTask DisposeAsync()
        {
            await _enough.CancelAsync();
            await _client.DisposeAsync();
            await Task.WhenAll(_readers).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _enough.Dispose();
        }
    }
}
