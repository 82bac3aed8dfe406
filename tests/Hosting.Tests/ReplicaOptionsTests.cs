using System.Buffers;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Hosting.Tests;

/// <summary>
/// Goal: an application starts with the replica that its options describe, or hears which option is wrong and how to mend it; what it cannot have yet
/// it hears, too. Method: good options, each changed in one; hosts without a cluster.
/// </summary>
public sealed class ReplicaOptionsTests : IDisposable
{
    private readonly TempDirectory _directory = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private void Configure(QuicksilverReplicaOptions options)
    {
        options.NodeId = "app-0";
        options.Region = "app";
        options.DataDirectory = _directory.Sub("app-0");
        options.Upstreams.Add($"127.0.0.1:{Ports.Free()}");
        options.StartTimeout = TimeSpan.FromMilliseconds(100);
        options.Deadline = TimeSpan.FromMilliseconds(500);
    }

    private string RefusedMessage(string option, Action<QuicksilverReplicaOptions> change)
    {
        var options = new QuicksilverReplicaOptions();
        Configure(options);
        change(options);
        var e = Assert.Throws<ConfigurationException>(() => new QuicksilverReplica(options, TimeProvider.System, NullLoggerFactory.Instance));
        Assert.Equal($"QuicksilverReplicaOptions.{option}", e.Key);
        Assert.StartsWith(e.Key, e.Message, StringComparison.Ordinal);
        return e.Message;
    }

    [Fact]
    public void A_wrong_option_is_named_with_its_value_and_the_fix()
    {
        Assert.Contains("is missing: use a stable name", RefusedMessage("NodeId", options => options.NodeId = ""), StringComparison.Ordinal);
        Assert.Contains("is 'App 0': use a stable name", RefusedMessage("NodeId", options => options.NodeId = "App 0"), StringComparison.Ordinal);
        Assert.Contains("is missing", RefusedMessage("Region", options => options.Region = ""), StringComparison.Ordinal);
        Assert.Contains("is 'hub': it is the name of the hub's own region", RefusedMessage("Region", options => options.Region = "hub"), StringComparison.Ordinal);
        Assert.Contains("is missing: give the replica a directory", RefusedMessage("DataDirectory", options => options.DataDirectory = ""), StringComparison.Ordinal);
        Assert.Contains("is missing: name at least one gateway", RefusedMessage("Upstreams", options => options.Upstreams.Clear()), StringComparison.Ordinal);
        Assert.Contains("is 'nowhere': write each gateway as HOST:PORT", RefusedMessage("Upstreams", options => options.Upstreams.Add("nowhere")), StringComparison.Ordinal);
        RefusedMessage("Upstreams", options => options.Upstreams.Add(""));
        Assert.Contains("is 'Not one'", RefusedMessage("Keyspaces", options => options.Keyspaces.Add("Not one")), StringComparison.Ordinal);
        Assert.Contains(
            "is '00:00:00.0010000': use a time from 00:00:00.0100000 to 01:00:00", RefusedMessage("Deadline", options => options.Deadline = TimeSpan.FromMilliseconds(1)), StringComparison.Ordinal);
        RefusedMessage("Deadline", options => options.Deadline = TimeSpan.FromHours(2));
        RefusedMessage("StartTimeout", options => options.StartTimeout = TimeSpan.FromSeconds(-1));
        RefusedMessage("MaxLag", options => options.MaxLag = TimeSpan.Zero);
        RefusedMessage("StaleSourceAfter", options => options.StaleSourceAfter = TimeSpan.FromDays(2));
        RefusedMessage("ReturnAfter", options => options.ReturnAfter = TimeSpan.Zero);
        RefusedMessage("RetentionMaxAge", options => options.RetentionMaxAge = TimeSpan.Zero);
        Assert.Contains("is '1': use a whole number from 8388608 to 1099511627776", RefusedMessage("BlockCacheBytes", options => options.BlockCacheBytes = 1), StringComparison.Ordinal);
        RefusedMessage("MaxWaiters", options => options.MaxWaiters = 0);
        RefusedMessage("ScrubBytesPerSecond", options => options.ScrubBytesPerSecond = -1);
        RefusedMessage("RetentionMaxBytes", options => options.RetentionMaxBytes = 1_000);
    }

    [Fact]
    public async Task A_host_with_wrong_options_or_two_replicas_does_not_start()
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddQuicksilverReplica(options => options.NodeId = "app-0");
        Assert.Throws<InvalidOperationException>(() => builder.Services.AddQuicksilverReplica(Configure));
        using var host = builder.Build();
        var e = await Assert.ThrowsAsync<ConfigurationException>(() => host.StartAsync(Stop));
        Assert.Equal("QuicksilverReplicaOptions.Region", e.Key);
    }

    [Fact]
    public async Task An_application_starts_without_data_after_its_time_and_hears_why_nothing_can_be_read()
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddQuicksilverReplica(Configure);
        builder.Services.AddHealthChecks().AddQuicksilverReplica();
        using var host = builder.Build();
        var replica = host.Services.GetRequiredService<IQuicksilverReplica>();
        Assert.Same(replica, host.Services.GetRequiredService<IQuicksilverClient>());
        var flags = replica.Keyspace("flags");

        // Before the start as well.
        Assert.Equal(QuicksilverErrorCode.Unavailable, Assert.Throws<QuicksilverException>(() => flags.TryGet("k"u8, new ArrayBufferWriter<byte>())).Code);
        Assert.Equal(QuicksilverErrorCode.Unavailable, (await Assert.ThrowsAsync<QuicksilverException>(async () => await flags.GetAsync("k", cancellation: Stop))).Code);
        Assert.NotNull(replica.NotReady);
        Assert.Null(replica.Status);

        await host.StartAsync(Stop);
        var e = Assert.Throws<QuicksilverException>(() => flags.TryGet("k"u8, new ArrayBufferWriter<byte>()));
        Assert.Equal(QuicksilverErrorCode.Unavailable, e.Code);
        Assert.Contains("no data yet", e.Message, StringComparison.Ordinal);
        Assert.Equal(QuicksilverErrorCode.Unavailable, (await Assert.ThrowsAsync<QuicksilverException>(async () => await flags.GetAsync("k", cancellation: Stop))).Code);
        var put = await Assert.ThrowsAsync<QuicksilverException>(async () => await flags.PutAsync("k", "v", cancellation: Stop));
        Assert.Equal(WriteOutcome.NotCommitted, put.Outcome);
        Assert.NotNull(replica.NotReady);
        Assert.Equal("app-0", replica.Status!.Node.Value);
        var health = await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(Stop);
        Assert.Equal(HealthStatus.Unhealthy, health.Entries["quicksilver"].Status);
        await host.StopAsync(Stop);
    }

    [Fact]
    public async Task A_data_directory_of_another_replica_keeps_the_host_from_starting()
    {
        var options = new QuicksilverReplicaOptions();
        Configure(options);
        await using (var first = new QuicksilverReplica(options, TimeProvider.System, NullLoggerFactory.Instance))
        {
            await first.StartAsync(Stop);
        }

        options.NodeId = "app-1";
        await using var second = new QuicksilverReplica(options, TimeProvider.System, NullLoggerFactory.Instance);
        var e = await Assert.ThrowsAsync<StorageException>(() => second.StartAsync(Stop));
        Assert.Equal(StorageFault.Foreign, e.Fault);
    }

    public void Dispose() => _directory.Dispose();
}
