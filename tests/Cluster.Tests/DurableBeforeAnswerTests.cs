using System.Net;
using Quicksilver.Client;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Goal: no member acknowledges what its disk does not have. Method: every system call of a following member under load; each answer
/// on its Raft port must leave after a completed flush of what it acknowledges.
/// </summary>
[Collection(Alone.Name)]
public sealed class DurableBeforeAnswerTests
{
    /// <summary>How long no acknowledgement makes one look for who leads.</summary>
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(3);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public Task No_follower_answers_before_its_disk_has_what_it_acknowledges() => AuditAsync(5_000);

    [Fact(Explicit = true)]
    public Task No_follower_answers_early_in_20000_answers() => AuditAsync(20_000);

    private static async Task AuditAsync(int acknowledgements)
    {
        await using var cluster = await ProcessCluster.StartAsync(Stop, regions: []);
        var leader = await cluster.LeaderAsync(Stop);
        var follower = cluster.Nodes.Layout.Nodes.First(node => node.Node != leader);
        await using var client = cluster.Connect(TimeSpan.FromSeconds(60), leader);
        await client.Catalog.CreateAsync("audit", cancellation: Stop);
        using var enough = new CancellationTokenSource();
        var number = 0;
        var writers = Enumerable.Range(0, 4).Select(_ => Task.Run(
            async () =>
            {
                while (!enough.IsCancellationRequested)
                {
                    var next = Interlocked.Increment(ref number);
                    await client.Keyspace("audit").PutAsync($"k{next % 1_000}", SyscallTrace.Mark(next), cancellation: CancellationToken.None);
                }
            },
            Stop)).ToList();
        await using var trace = await SyscallTrace.AttachAsync(
            cluster.Nodes[follower.Node].Pid, cluster.Sub("trace"), IPEndPoint.Parse(follower.Raft!).Port, cluster.Nodes.DataOf(follower.Node), Stop);
        var (before, since) = (0, TimeProvider.System.GetTimestamp());
        await Eventually.TrueAsync(
            async () =>
            {
                var now = trace.Read().Acknowledgements;
                if (now > before)
                {
                    (before, since) = (now, TimeProvider.System.GetTimestamp());
                }
                else if (TimeProvider.System.GetElapsedTime(since) > Silence)
                {
                    // A leader acknowledges nothing: where the traced one was elected, it hands over.
                    if (await cluster.LeaderAsync(Stop) == follower.Node)
                    {
                        var (code, said) = await cluster.HubAsync(leader, [.. cluster.Nodes.Hubs], Stop, "transfer", "--to", leader);
                        Assert.True(code == 0, $"exit {code}: {said}");
                    }

                    since = TimeProvider.System.GetTimestamp();
                }

                return now >= acknowledgements || writers.Exists(writer => writer.IsFaulted);
            },
            $"{acknowledgements} acknowledgements", Stop, TimeSpan.FromSeconds(30 + (acknowledgements / 20)));
        await enough.CancelAsync();
        await Task.WhenAll(writers);
        var audit = trace.Read();
        Assert.True(audit.Early == 0, $"{audit.Early} of {audit.Acknowledgements} acknowledgements left too early; {audit.FirstEarly}");
        TestContext.Current.TestOutputHelper?.WriteLine($"{audit.Acknowledgements} acknowledgements, {audit.Early} early");
    }
}
