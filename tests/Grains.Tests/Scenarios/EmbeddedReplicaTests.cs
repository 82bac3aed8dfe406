using System.Buffers;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Hosting;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: an application that has a replica in its own process gets what it would get at a region, and its reads cost no network. Method: such a
/// replica beside a hub and two regions; other clients write, the hub goes away and comes back, and the replica is made anew on its data.
/// </summary>
public sealed class EmbeddedReplicaTests(SharedCluster shared) : IDisposable
{
    /// <summary>Of a call that must fail; what must succeed has longer.</summary>
    private static readonly TimeSpan Short = TimeSpan.FromSeconds(5);

    private readonly TempDirectory _directory = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private LiveCluster Cluster => shared.Cluster;

    private async Task<QuicksilverReplica> StartAsync(string name, string upstream, Action<QuicksilverReplicaOptions>? change = null)
    {
        var options = new QuicksilverReplicaOptions { NodeId = name, Region = "app", DataDirectory = _directory.Sub(name), Deadline = TimeSpan.FromSeconds(20) };
        options.Upstreams.Add(upstream);
        change?.Invoke(options);
        var replica = new QuicksilverReplica(options, TimeProvider.System, NullLoggerFactory.Instance);
        try
        {
            await replica.StartAsync(Stop);
            return replica;
        }
        catch
        {
            await replica.DisposeAsync();
            throw;
        }
    }

    private static string? TryGet(ILocalKeyspace keyspace, string key)
    {
        var value = new ArrayBufferWriter<byte>();
        var isThere = keyspace.TryGet(Encoding.UTF8.GetBytes(key), value);
        Assert.True(isThere || value.WrittenCount == 0);
        return isThere ? Encoding.UTF8.GetString(value.WrittenSpan) : null;
    }

    /// <summary>Waits until the replica itself has what a session has seen: what it has not, the hub answers.</summary>
    private static Task ReachAsync(QuicksilverReplica replica, SessionToken? seen) => Eventually.TrueAsync(
        () => replica.Status!.Position.Covers(seen!.Value.Position), $"a replica at {seen}", Stop);

    private static QuicksilverErrorCode Refused(ILocalKeyspace keyspace, string key) => Assert.Throws<QuicksilverException>(() => TryGet(keyspace, key)).Code;

    [Theory]
    [InlineData("hub")]
    [InlineData("eu")]
    public async Task An_application_reads_its_own_writes_and_what_another_session_has_seen(string upstream)
    {
        await using var replica = await StartAsync($"own-{upstream}", Cluster.Gateway(upstream));
        var keyspace = replica.Keyspace($"own-{upstream}");
        await replica.Catalog.CreateAsync(keyspace.Name.Value, cancellation: Stop);
        await using var hub = Cluster.Connect("hub");
        for (var i = 0; i < 50; i++)
        {
            var put = await keyspace.PutAsync("mine", $"v{i}", cancellation: Stop);
            var entry = await keyspace.GetAsync("mine", cancellation: Stop);
            Assert.Equal(($"v{i}", put.Revision), (entry!.Text, entry.Revision));
            await ReachAsync(replica, replica.Session);
            Assert.Equal($"v{i}", TryGet(keyspace, "mine"));

            await hub.Keyspace(keyspace.Name.Value).PutAsync("theirs", $"v{i}", cancellation: Stop);
            var theirs = await keyspace.GetAsync("theirs", ReadOptions.AtLeast(hub.Session!.Value.Position), Stop);
            Assert.Equal($"v{i}", theirs!.Text);

            // Nor is anything that was read forgotten.
            Assert.True(replica.Session!.Value.Position.Covers(hub.Session.Value.Position));
        }

        await hub.Keyspace(keyspace.Name.Value).PutAsync("theirs", "last", cancellation: Stop);
        Assert.Equal("last", (await keyspace.GetAsync("theirs", ReadOptions.Linearizable, Stop))!.Text);
        Assert.Null(await keyspace.GetAsync("none", cancellation: Stop));
        var failed = await keyspace.PutAsync("mine", "no", new() { IfAbsent = true }, Stop);
        Assert.Equal(CommitStatus.ConditionFailed, failed.Status);
    }

    [Fact]
    public async Task A_session_of_another_cluster_and_a_revision_that_does_not_come_are_refused_as_over_the_network()
    {
        await using var replica = await StartAsync("refuses", Cluster.Gateway("hub"));
        await replica.Catalog.CreateAsync("refuses", cancellation: Stop);
        var keyspace = replica.Keyspace("refuses");
        await keyspace.PutAsync("k", "v", cancellation: Stop);
        var mine = replica.Session!.Value;
        var far = mine.Position with { Revision = new(1_000_000) };
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await keyspace.GetAsync("k", ReadOptions.AtLeast(far), Stop));
        Assert.Equal(QuicksilverErrorCode.NotYet, e.Code);
        Assert.Equal("v", (await keyspace.GetAsync("k", ReadOptions.Eventual, Stop))!.Text);
        foreach (var foreign in new[] { mine with { Cluster = new(1, 2) }, mine with { Position = mine.Position with { History = new(9, 9) } } })
        {
            replica.Session = foreign;
            e = await Assert.ThrowsAsync<QuicksilverException>(async () => await keyspace.GetAsync("k", cancellation: Stop));
            Assert.Equal(QuicksilverErrorCode.ForeignPosition, e.Code);
        }

        replica.Session = null;
        Assert.Equal("v", (await keyspace.GetAsync("k", cancellation: Stop))!.Text);
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.GetAsync(default, cancellation: Stop));
        Assert.Throws<ArgumentException>(() => keyspace.TryGet([], new ArrayBufferWriter<byte>()));
        Assert.Throws<ArgumentException>(() => keyspace.TryGet(new byte[Limits.MaxKeyBytes + 1], new ArrayBufferWriter<byte>()));
        Assert.Throws<ArgumentNullException>(() => keyspace.TryGet("k"u8, null!));
        Assert.Throws<ArgumentException>(() => replica.Keyspace("No name"));
    }

    [Fact]
    public async Task A_keyspace_that_is_deleted_is_gone_and_one_made_anew_under_its_name_is_another()
    {
        await using var replica = await StartAsync("again", Cluster.Gateway("hub"));
        await using var hub = Cluster.Connect("hub");
        var keyspace = replica.Keyspace("again");
        Assert.Equal(QuicksilverErrorCode.KeyspaceNotFound, Refused(keyspace, "k"));
        for (var i = 0; i < 3; i++)
        {
            await hub.Catalog.CreateAsync("again", cancellation: Stop);
            var put = await hub.Keyspace("again").PutAsync("k", $"v{i}", cancellation: Stop);
            await ReachAsync(replica, hub.Session);
            Assert.Equal($"v{i}", TryGet(keyspace, "k"));
            Assert.Null(TryGet(keyspace, "none"));
            Assert.Equal(put.Revision, (await keyspace.GetAsync("k", cancellation: Stop))!.Revision);

            await hub.Catalog.DeleteAsync("again", Stop);
            var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await keyspace.GetAsync("k", ReadOptions.AtLeast(hub.Session!.Value.Position), Stop));
            Assert.Equal(QuicksilverErrorCode.KeyspaceNotFound, e.Code);
            await ReachAsync(replica, hub.Session);
            Assert.Equal(QuicksilverErrorCode.KeyspaceNotFound, Refused(keyspace, "k"));
            Assert.Equal(QuicksilverErrorCode.KeyspaceNotFound, Refused(keyspace, "none"));
        }
    }

    [Fact]
    public async Task TryGet_allocates_nothing_whether_the_key_is_there_or_not()
    {
        const int Calls = 100_000;
        await using var replica = await StartAsync("still", Cluster.Gateway("hub"));
        await replica.Catalog.CreateAsync("still", cancellation: Stop);
        var keyspace = replica.Keyspace("still");
        await keyspace.CommitAsync([], [.. Enumerable.Range(0, 100).Select(i => Mutation.Put($"k{i}", new byte[100]))], cancellation: Stop);
        await ReachAsync(replica, replica.Session);

        // What others write meanwhile must not be applied by chance where the bytes are counted.
        await replica.StopAsync(Stop);
        var keys = Enumerable.Range(0, 200).Select(i => Encoding.UTF8.GetBytes($"k{i}")).ToArray();
        var value = new ArrayBufferWriter<byte>(1_024);
        Read(1_000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var found = Read(Calls);
        Assert.Equal((0L, Calls / 2), (GC.GetAllocatedBytesForCurrentThread() - before, found));

        int Read(int calls)
        {
            var hits = 0;
            for (var i = 0; i < calls; i++)
            {
                value.ResetWrittenCount();
                hits += keyspace.TryGet(keys[i % keys.Length], value) ? 1 : 0;
            }

            return hits;
        }
    }

    [Fact]
    public async Task A_value_never_goes_back_and_a_multi_read_is_of_one_revision_while_keys_change()
    {
        await using var replica = await StartAsync("forward", Cluster.Gateway("hub"));
        await using var hub = Cluster.Connect("hub");
        await hub.Catalog.CreateAsync("forward", cancellation: Stop);
        var keys = Enumerable.Range(0, 10).Select(i => Key.From($"k{i}")).ToList();
        await WriteAsync(0);
        var keyspace = replica.Keyspace("forward");
        await ReachAsync(replica, hub.Session);
        var writes = Task.Run(
            async () =>
            {
                for (var i = 1; i <= 150; i++)
                {
                    await WriteAsync(i);
                }
            },
            Stop);
        var readers = Enumerable.Range(0, 2).Select(_ => Task.Factory.StartNew(
            () =>
            {
                for (var last = 0; !writes.IsCompleted;)
                {
                    var next = int.Parse(TryGet(keyspace, "k3")!, CultureInfo.InvariantCulture);
                    Assert.True(next >= last, $"went back from {last} to {next}");
                    last = next;

                    // The hub of this test writes on the same processors.
                    Thread.Yield();
                }
            },
            Stop, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToList();
        while (!writes.IsCompleted)
        {
            Assert.Single((await keyspace.GetManyAsync(keys, cancellation: Stop)).Select(entry => entry!.Text).Distinct());
            await Task.Yield();
        }

        await writes;
        await Task.WhenAll(readers);

        Task WriteAsync(int value) => hub.Keyspace("forward").CommitAsync(
            [], [.. keys.Select(key => Mutation.Put(key, Encoding.UTF8.GetBytes(value.ToString(CultureInfo.InvariantCulture))))], cancellation: Stop).AsTask();
    }

    [Fact]
    public async Task Scans_watches_and_the_catalog_are_those_of_the_replica()
    {
        const int Rows = 1_500;
        await using var replica = await StartAsync("scans", Cluster.Gateway("eu"));
        await replica.Catalog.CreateAsync("scans", cancellation: Stop);
        var keyspace = replica.Keyspace("scans");
        await using var watch = keyspace.WatchAsync(cancellation: Stop).GetAsyncEnumerator(Stop);
        Assert.True(await watch.MoveNextAsync());
        Assert.IsType<WatchEvent.Progress>(watch.Current);
        await using var hub = Cluster.Connect("hub");
        var revisions = new List<Revision>();
        for (var i = 0; i < Rows; i += 100)
        {
            var from = i;
            var put = await hub.Keyspace("scans").CommitAsync(
                [], [.. Enumerable.Range(from, 100).Select(row => Mutation.Put(row.ToString("d5", CultureInfo.InvariantCulture), "v"u8.ToArray()))], cancellation: Stop);
            revisions.Add(put.Revision);
        }

        var heard = new List<Revision>();
        while (heard.Count < revisions.Count)
        {
            Assert.True(await watch.MoveNextAsync());
            if (watch.Current is WatchEvent.Changed changed)
            {
                Assert.Equal(100, changed.Changes.Count);
                heard.Add(changed.Revision);
            }
        }

        Assert.Equal(revisions, heard);

        // What the watch has told is seen by a scan.
        var rows = new List<string>();
        await foreach (var row in keyspace.ScanAsync(cancellation: Stop))
        {
            rows.Add(row.Key.ToString());
        }

        Assert.Equal(Enumerable.Range(0, Rows).Select(row => row.ToString("d5", CultureInfo.InvariantCulture)), rows);
        Assert.NotNull(await replica.Catalog.FindAsync("scans", cancellation: Stop));
        var names = new List<string>();
        await foreach (var found in replica.Catalog.ListAsync(cancellation: Stop))
        {
            names.Add(found.Name.Value);
        }

        Assert.Contains("scans", names);
        await replica.Catalog.DeleteAsync("scans", Stop);
        WatchEvent? last = null;
        while (await watch.MoveNextAsync())
        {
            last = watch.Current;
        }

        Assert.IsType<WatchEvent.KeyspaceDeleted>(last);
    }

    [Fact]
    public async Task A_replica_of_some_keyspaces_has_these_and_says_so_of_others()
    {
        await using var hub = Cluster.Connect("hub");
        foreach (var name in new[] { "part-in", "out" })
        {
            await hub.Catalog.CreateAsync(name, cancellation: Stop);
            await hub.Keyspace(name).PutAsync("k", name, cancellation: Stop);
        }

        await using var replica = await StartAsync("part", Cluster.Gateway("hub"), options => options.Keyspaces.Add("part-*"));
        replica.Session = hub.Session;
        Assert.Equal("part-in", (await replica.Keyspace("part-in").GetAsync("k", cancellation: Stop))!.Text);
        await ReachAsync(replica, hub.Session);
        Assert.Equal("part-in", TryGet(replica.Keyspace("part-in"), "k"));
        Assert.Null(TryGet(replica.Keyspace("part-in"), "none"));
        Assert.Equal(QuicksilverErrorCode.KeyspaceNotHeld, Refused(replica.Keyspace("out"), "k"));
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await replica.Keyspace("out").GetAsync("k", cancellation: Stop));
        Assert.Equal(QuicksilverErrorCode.KeyspaceNotHeld, e.Code);
        Assert.Equal(QuicksilverErrorCode.KeyspaceNotFound, Refused(replica.Keyspace("part-none"), "k"));
    }

    [Fact]
    public async Task A_replica_serves_without_the_hub_also_after_a_restart_and_goes_on_when_the_hub_is_back()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using (var replica = await StartAsync("app-0", cluster.Gateway("hub")))
        {
            await replica.Catalog.CreateAsync("flags", cancellation: Stop);
            var flags = replica.Keyspace("flags");
            await flags.PutAsync("k", "before", cancellation: Stop);
            await ReachAsync(replica, replica.Session);

            // No node, and so not looked for: it has no gateway.
            await cluster.EqualAsync("eu", Stop);
            Assert.Contains(cluster["hub"].Status.Children, child => child is { Node.Value: "app-0", Gateway: "" });
            await cluster.StopAsync("hub");

            Assert.Equal("before", TryGet(flags, "k"));
            Assert.Equal("before", (await flags.GetAsync("k", cancellation: Stop))!.Text);
            Assert.Null(replica.NotReady);
            var ahead = replica.Session!.Value.Position with { Revision = replica.Session.Value.Position.Revision.Next };
            var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await flags.GetAsync("k", ReadOptions.AtLeast(ahead), Stop));
            Assert.Equal(QuicksilverErrorCode.NotYet, e.Code);
            Assert.Equal("before", (await flags.GetAsync("k", ReadOptions.AtLeast(ahead) with { AllowStaleWhenCutOff = true }, Stop))!.Text);
            e = await Assert.ThrowsAsync<QuicksilverException>(async () => await flags.GetAsync("k", ReadOptions.Linearizable with { Deadline = Short }, Stop));
            Assert.Equal(QuicksilverErrorCode.Unavailable, e.Code);
            e = await Assert.ThrowsAsync<QuicksilverException>(async () => await flags.PutAsync("k", "lost", new() { Deadline = Short }, Stop));
            Assert.True(e is { Code: QuicksilverErrorCode.Unavailable, Outcome: WriteOutcome.NotCommitted } or { Code: QuicksilverErrorCode.OutcomeUnknown, Outcome: WriteOutcome.Unknown }, $"{e.Code} {e.Outcome}");
        }

        await using var again = await StartAsync("app-0", cluster.Gateway("hub"));
        var kept = again.Keyspace("flags");
        Assert.Equal("before", TryGet(kept, "k"));
        Assert.Equal("before", (await kept.GetAsync("k", cancellation: Stop))!.Text);

        await cluster.StartAsync("hub", Stop);
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    await kept.PutAsync("k", "after", cancellation: Stop);
                    return true;
                }
                catch (QuicksilverException e) when (e.IsTransient)
                {
                    return false;
                }
            },
            "a write after the hub is back", Stop, TimeSpan.FromMinutes(1));
        Assert.Equal("after", (await kept.GetAsync("k", cancellation: Stop))!.Text);
        await Eventually.TrueAsync(() => again.Status!.Position == cluster["hub"].Status.Position, "a replica level with the hub", Stop);
        Assert.Equal("after", TryGet(kept, "k"));
        Assert.Equal(0, again.Status!.FullCopies);
    }

    [Fact]
    public async Task A_replica_behind_a_way_that_is_silent_serves_and_catches_up_when_it_is_heard_again()
    {
        await using var hub = Cluster.Connect("hub");
        await hub.Catalog.CreateAsync("silent", cancellation: Stop);
        await hub.Keyspace("silent").PutAsync("k", "before", cancellation: Stop);
        var gateway = Cluster.Gateway("hub");
        await using var way = new TcpProxy(int.Parse(gateway[(gateway.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture));
        await using var replica = await StartAsync("silent", way.Address);
        replica.Session = hub.Session;
        var keyspace = replica.Keyspace("silent");
        Assert.Equal("before", (await keyspace.GetAsync("k", cancellation: Stop))!.Text);
        await ReachAsync(replica, hub.Session);

        way.BlackHole();
        await hub.Keyspace("silent").PutAsync("k", "after", cancellation: Stop);
        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await keyspace.GetAsync("k", ReadOptions.AtLeast(hub.Session!.Value.Position), Stop));
        Assert.Equal(QuicksilverErrorCode.NotYet, e.Code);
        Assert.Equal("before", TryGet(keyspace, "k"));
        way.Heal();
        way.Cut();
        await Eventually.TrueAsync(() => TryGet(keyspace, "k") == "after", "the value that was written meanwhile", Stop, TimeSpan.FromMinutes(1));
        replica.Session = hub.Session;
        Assert.Equal("after", (await keyspace.GetAsync("k", cancellation: Stop))!.Text);
    }

    [Fact]
    public async Task An_application_that_waits_in_a_context_of_one_thread_gets_its_answers_and_holds_nobody_up()
    {
        await using var replica = await StartAsync("context", Cluster.Gateway("eu"));
        await replica.Catalog.CreateAsync("context", cancellation: Stop);
        var keyspace = replica.Keyspace("context");
        using var context = new OneThread();
        for (var i = 0; i < 10; i++)
        {
            // The thread of the context stands still in each of them until it has its answer.
            var written = await context.RunAsync(() => keyspace.PutAsync("k", $"v{i}", cancellation: Stop).AsTask().GetAwaiter().GetResult());
            var read = await context.RunAsync(() => keyspace.GetAsync("k", cancellation: Stop).AsTask().GetAwaiter().GetResult());
            Assert.Equal((written.Revision, $"v{i}"), (read!.Revision, read.Text));
        }
    }

    /// <summary>As the user interface of a program has it: one thread, which has to come back for what is posted to it.</summary>
    private sealed class OneThread : SynchronizationContext, IDisposable
    {
        private readonly System.Collections.Concurrent.BlockingCollection<Action> _work = [];

        public OneThread() => new Thread(() =>
        {
            SetSynchronizationContext(this);
            foreach (var work in _work.GetConsumingEnumerable())
            {
                work();
            }
        })
        { IsBackground = true }.Start();

        public override void Post(SendOrPostCallback d, object? state) => _work.Add(() => d(state));

        public Task<T> RunAsync<T>(Func<T> work)
        {
            var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
            _work.Add(() =>
            {
                try
                {
                    done.SetResult(work());
                }
                catch (Exception e)
                {
                    done.SetException(e);
                }
            });
            return done.Task;
        }

        public void Dispose() => _work.CompleteAdding();
    }

    [Fact]
    public async Task A_replica_that_is_stopped_still_reads_and_one_that_is_disposed_does_not_run()
    {
        await using var replica = await StartAsync("ends", Cluster.Gateway("hub"));
        await replica.Catalog.CreateAsync("ends", cancellation: Stop);
        var keyspace = replica.Keyspace("ends");
        await keyspace.PutAsync("k", "v", cancellation: Stop);
        await ReachAsync(replica, replica.Session);
        await Assert.ThrowsAsync<InvalidOperationException>(() => replica.StartAsync(Stop));
        var e = await Assert.ThrowsAsync<StorageException>(async () => await StartAsync("ends", Cluster.Gateway("hub")));
        Assert.Equal(StorageFault.InUse, e.Fault);

        // A watch goes on as well.
        var asked = 0;
        var watching = Task.Run(
            async () =>
            {
                await foreach (var _ in keyspace.WatchAsync(cancellation: Stop))
                {
                    asked++;
                }
            },
            Stop);
        await Eventually.TrueAsync(() => asked > 0, "the beginning of the watch", Stop);
        await replica.StopAsync(Stop);
        Assert.Equal("v", TryGet(keyspace, "k"));
        Assert.Equal("v", (await keyspace.GetAsync("k", cancellation: Stop))!.Text);

        await replica.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => watching);
        await replica.DisposeAsync();
        Assert.Throws<ObjectDisposedException>(() => TryGet(keyspace, "k"));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await keyspace.GetAsync("k", cancellation: Stop));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await keyspace.PutAsync("k", "w", cancellation: Stop));
        Assert.NotNull(replica.NotReady);
        Assert.Null(replica.Status);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => replica.StartAsync(Stop));
    }

    public void Dispose() => _directory.Dispose();
}
