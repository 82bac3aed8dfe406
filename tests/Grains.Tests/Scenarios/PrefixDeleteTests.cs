using System.Text;
using Quicksilver.Client;
using Quicksilver.Model;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: who deletes a prefix reads nothing of it afterwards, in every region, and everybody sees all of it or nothing. Method: a client in one
/// region that replaces what is below a prefix again and again, readers in another; a keyspace with more rows than may go.
/// </summary>
public sealed class PrefixDeleteTests(SharedCluster shared)
{
    /// <summary>For the reader to see more than one round.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private LiveCluster Cluster => shared.Cluster;

    [Fact]
    public async Task A_prefix_that_is_replaced_again_and_again_is_seen_whole_in_another_region()
    {
        await using var eu = Cluster.Connect("eu");
        await eu.Catalog.CreateAsync("replaced", cancellation: Stop);
        var keyspace = eu.Keyspace("replaced");
        await keyspace.PutAsync("aside", "stays", cancellation: Stop);
        await using var us = Cluster.Connect("us");
        us.Session = eu.Session;
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var rounds = 0;
        var reader = Task.Run(
            async () =>
            {
                var seen = new HashSet<string>();
                while (!enough.IsCancellationRequested)
                {
                    // As many keys as the round says, all of that round.
                    var page = await us.Keyspace("replaced").ScanPageAsync(new() { Prefix = "a/"u8.ToArray() }, default, Stop);
                    if (page.Rows.Count > 0)
                    {
                        var round = Assert.Single(page.Rows.Select(row => row.Entry.Text).Distinct());
                        Assert.Equal((int.Parse(round, System.Globalization.CultureInfo.InvariantCulture) % 7) + 1, page.Rows.Count);
                        Assert.Single(page.Rows.Select(row => row.Entry.Revision).Distinct());
                        seen.Add(round);
                        Volatile.Write(ref rounds, seen.Count);
                    }
                }
            },
            Stop);

        // On a machine on which the reader comes late there are more rounds, or nothing would have been seen.
        var start = TimeProvider.System.GetTimestamp();
        for (var round = 0; round < 200 || (Volatile.Read(ref rounds) < 2 && !reader.IsCompleted && TimeProvider.System.GetElapsedTime(start) < Patience); round++)
        {
            var puts = Enumerable.Range(0, (round % 7) + 1).Select(i => Mutation.Put($"a/{(round * 31) + i}", Encoding.UTF8.GetBytes($"{round}")));
            var result = await keyspace.CommitAsync([], [Mutation.DeletePrefix("a/"), .. puts], cancellation: Stop);
            Assert.Equal(CommitStatus.Committed, result.Status);
        }

        await enough.CancelAsync();
        await reader;
        Assert.True(rounds > 1, $"{rounds} rounds were seen");
        Assert.Equal(CommitStatus.Committed, (await keyspace.DeletePrefixAsync("a/", cancellation: Stop)).Status);
        Assert.Equal(["aside"], await keyspace.ScanKeysAsync(cancellation: Stop).Select(head => head.Key.ToString()).ToListAsync(Stop));
        Assert.Equal(CommitStatus.Unchanged, (await keyspace.DeletePrefixAsync("a/", new() { SkipUnchanged = true }, Stop)).Status);
    }

    [Fact]
    public async Task More_rows_than_may_go_stay_and_the_exception_says_what_to_do()
    {
        await using var client = Cluster.Connect("hub");
        await client.Catalog.CreateAsync("many", cancellation: Stop);
        var keyspace = client.Keyspace("many");
        for (var first = 0; first < Limits.MaxPrefixRows + 1; first += Limits.MaxMutations)
        {
            var count = Math.Min(Limits.MaxMutations, Limits.MaxPrefixRows + 1 - first);
            await keyspace.CommitAsync([], [.. Enumerable.Range(first, count).Select(i => Mutation.Put($"k{i:d6}", default))], cancellation: Stop);
        }

        var e = await Assert.ThrowsAsync<QuicksilverException>(async () => await keyspace.DeletePrefixAsync("k", cancellation: Stop));
        Assert.Equal((QuicksilverErrorCode.InvalidRequest, WriteOutcome.NotCommitted), (e.Code, e.Outcome));
        Assert.Contains("longer prefixes", e.Message, StringComparison.Ordinal);
        var run = await Cluster.QsAsync("hub", "delete", "many", "--prefix", "k");
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("more than 100000 keys", run.Errors, StringComparison.Ordinal);
        Assert.Equal(2, (await Cluster.QsAsync("hub", "delete", "many", "--prefix", "k", "--yes")).ExitCode);
        Assert.Equal(Limits.MaxPrefixRows + 1, await keyspace.ScanKeysAsync(new() { PageSize = Limits.MaxScanRows }, Stop).CountAsync(Stop));

        Assert.Equal(CommitStatus.Committed, (await keyspace.DeletePrefixAsync("k0", cancellation: Stop)).Status);
        Assert.Equal(["k100000"], await keyspace.ScanKeysAsync(cancellation: Stop).Select(head => head.Key.ToString()).ToListAsync(Stop));
    }

    [Fact]
    public async Task What_has_no_meaning_for_a_prefix_is_refused_before_anything_is_sent()
    {
        await using var client = Cluster.Connect("hub");
        var keyspace = client.Keyspace("never-made");
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.DeletePrefixAsync(default, cancellation: Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.DeletePrefixAsync("a", new() { IfAbsent = true }, Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.DeletePrefixAsync("a", new() { IfRevision = new(3) }, Stop));
        await Assert.ThrowsAsync<ArgumentException>(async () => await keyspace.CommitAsync([], [Mutation.Delete("b"), Mutation.DeletePrefix("a")], cancellation: Stop));
    }
}
