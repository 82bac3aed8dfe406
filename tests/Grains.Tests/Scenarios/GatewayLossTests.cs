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

    /// <summary>How long this machine needs from nothing to the first answer, over a link that is in order.</summary>
    private static async Task<TimeSpan> LinkAsync(string gateway)
    {
        var start = TimeProvider.System.GetTimestamp();
        await using var client = Connect(gateway);
        await client.Keyspace(Keyspace).GetAsync("k0", cancellation: Stop);
        return Since(start);
    }

    /// <summary>A promise as it is, or, on a machine that is slower than it reckons with, what is waited by design and three links.</summary>
    private static TimeSpan Allowed(double promise, double byDesign, TimeSpan link) => TimeSpan.FromSeconds(Math.Max(promise, byDesign + (3 * link.TotalSeconds)));

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
        await reads.MoreAsync(ReadsOfAPhase);
        Assert.Equal(near, reads.Gateway);

        // Its connections are reset, and nobody is there any more.
        reads.TakeLongest();
        network.Target = Ports.Free();
        network.Cut();
        await reads.AtAsync(far);
        await reads.MoreAsync(ReadsOfAPhase);
        var cut = reads.TakeLongest();
        Assert.True(cut < Allowed(2, 0.5, link), $"The longest read over the cut took {cut}; a link took {link}.");

        // It comes back, and so does the client. That costs no read anything.
        network.Target = port;
        await reads.AtAsync(near);
        await reads.MoreAsync(ReadsOfAPhase);
        var back = reads.TakeLongest();
        Assert.True(back < Allowed(2, 0, link), $"The longest read over the way back took {back}; a link took {link}.");

        // Nothing comes from it any more, and nobody is told: two heartbeats in a row are missed, 3 s each.
        network.BlackHole();
        await reads.AtAsync(far);
        await reads.MoreAsync(ReadsOfAPhase);
        var hole = reads.TakeLongest();
        Assert.True(hole < Allowed(8, 6, link), $"The longest read over the hole took {hole}; a link took {link}.");

        await reads.EndAsync();
        Assert.Equal(2, reads.MostTries);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{reads.Count} reads; the longest {cut.TotalSeconds:0.00} s over the cut, {back.TotalSeconds:0.00} s on the way back, {hole.TotalSeconds:0.00} s over the hole; a link {link.TotalSeconds:0.00} s");
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

        await using var client = Connect(cluster.Gateway("us"), cluster.Gateway("eu"));
        Assert.Equal("v", (await client.Keyspace(Keyspace).GetAsync("k0", cancellation: Stop))!.Text);
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
            var seen = await keyspace.GetAsync("k0", cancellation: Stop);
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
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    return (await keyspace.GetAsync("k1", cancellation: Stop))!.Text == "unheard of";
                }
                catch (QuicksilverException late) when (late.Code == QuicksilverErrorCode.NotYet)
                {
                    return false;
                }
            },
            "the session at its preferred region again", Stop, Patience);
        cluster.Network("eu").Heal();
    }

    /// <summary>Readers in a loop over one client, each with a key of its own, so that the tries of a read are those of its key.</summary>
    private sealed class CountedReads : IAsyncDisposable
    {
        private readonly CountingLink _link;
        private readonly QuicksilverClient _client;
        private readonly CancellationTokenSource _enough = new();
        private readonly List<Task> _readers;
        private readonly Lock _gate = new();
        private TimeSpan _longest;
        private long _count;
        private int _mostTries;

        public CountedReads(QuicksilverClientOptions options)
        {
            // As the client would make it.
            var preferred = new PreferredLink(options.ToLinkOptions(), options.ReturnAfter, static () => default, TimeProvider.System, NullLoggerFactory.Instance);
            preferred.Start();
            _link = new(preferred);
            _client = new(_link, options, TimeProvider.System);
            _readers = [.. Enumerable.Range(0, Readers).Select(reader => Task.Run(() => ReadAsync($"k{reader}"), Stop))];
        }

        public string? Gateway => _link.Current?.Gateway;

        public long Count => Interlocked.Read(ref _count);

        /// <summary>Of any read.</summary>
        public int MostTries
        {
            get
            {
                lock (_gate)
                {
                    return _mostTries;
                }
            }
        }

        private async Task ReadAsync(string key)
        {
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
            }
        }

        /// <summary>The longest read since the last call of this.</summary>
        public TimeSpan TakeLongest()
        {
            lock (_gate)
            {
                var longest = _longest;
                _longest = default;
                return longest;
            }
        }

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
