using System.Collections.Concurrent;
using System.Diagnostics;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: one operation of an application is one trace over all nodes that it passes, and a page is one from its source to its View. Method: a
/// listener in the process of a whole cluster; its spans drawn as trees and compared as text.
/// </summary>
[Collection(Alone.Name)]
public sealed class TraceTests : IDisposable
{
    private readonly ConcurrentQueue<Activity> _spans = new();
    private readonly ActivityListener _listener;

    public TraceTests()
    {
        _listener = new()
        {
            ShouldListenTo = static source => source.Name == Traces.SourceName,
            Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = _spans.Enqueue,
        };
        ActivitySource.AddActivityListener(_listener);
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static long? Number(Activity span, string tag) => span.GetTagItem(tag) as long?;

    private static string? Node(Activity span) => span.GetTagItem(Traces.NodeTag) as string;

    /// <summary>The last operation of a client of this name on a keyspace; the spans of a test before are not of it.</summary>
    private Activity Root(string name, string keyspace) =>
        _spans.Last(span => span.OperationName == name && span.GetTagItem(Traces.KeyspaceTag) as string == keyspace);

    /// <summary>A span and everything below it, one line for each.</summary>
    private string Tree(Activity root)
    {
        var lines = new List<string>();
        Add(root, 0);
        return string.Join('\n', lines);

        void Add(Activity span, int depth)
        {
            lines.Add($"{new string(' ', 2 * depth)}{span.OperationName}{(Node(span) is { } node ? $" {node}" : "")}");
            foreach (var below in _spans.Where(other => other.TraceId == span.TraceId && other.ParentSpanId == span.SpanId).OrderBy(other => other.StartTimeUtc))
            {
                Add(below, depth + 1);
            }
        }
    }

    /// <summary>Waits until a tree is as it must be: what happens behind an answer ends after it.</summary>
    private async Task IsAsync(Activity root, string expected)
    {
        try
        {
            await Eventually.TrueAsync(() => Tree(root) == expected, "the whole trace", Stop);
        }
        catch (TimeoutException)
        {
            Assert.Equal(expected, Tree(root));
        }
    }

    [Fact]
    public async Task A_put_through_a_region_is_one_trace_from_the_client_to_apply_and_its_page_one_from_the_source_to_the_view()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var eu = cluster.Connect("eu");
        await eu.Catalog.CreateAsync("traced", cancellation: Stop);

        // Polls that were there before the listener have no span; they are answered before any that has one.
        await Eventually.TrueAsync(
            async () =>
            {
                await eu.Keyspace("traced").PutAsync("k", "before", cancellation: Stop);
                return _spans.Any(span => span.OperationName == Traces.ApplyPage && Node(span) == "eu");
            },
            "a pull that is traced", Stop);
        var put = await eu.Keyspace("traced").PutAsync("k", "v", cancellation: Stop);
        var root = Root(Traces.Put, "traced");
        await IsAsync(root, """
            quicksilver.put
              quicksilver.call
                quicksilver.serve.commit eu
                  quicksilver.forward
                    quicksilver.serve.commit hub
                      quicksilver.sequence
                        quicksilver.raft
                          quicksilver.apply
            """);
        Assert.Equal("Committed", root.GetTagItem(Traces.OutcomeTag));
        Assert.Equal(put.Revision.Value, Number(root, Traces.RevisionTag));
        Assert.Equal(put.OperationId.ToString(), root.GetTagItem(Traces.OperationTag));
        Assert.Equal(put.Revision.Value, Number(_spans.Last(span => span.OperationName == Traces.Apply && span.TraceId == root.TraceId), Traces.RevisionTag));

        Activity? pull = null;
        await Eventually.TrueAsync(
            () => (pull = _spans.FirstOrDefault(span => span.OperationName == Traces.Pull && Node(span) == "eu"
                && Number(span, Traces.FromTag) <= put.Revision.Value && Number(span, Traces.ToTag) > put.Revision.Value)) is not null,
            "the pull of the put", Stop);
        await IsAsync(pull!, """
            quicksilver.pull eu
              quicksilver.serve.page hub
              quicksilver.apply.page eu
            """);
        Assert.True(pull!.Recorded);
        Assert.All(
            _spans.Where(span => span is { OperationName: Traces.Pull, Status: ActivityStatusCode.Unset } && Number(span, Traces.ToTag) is null),
            span => Assert.False(span.Recorded));
    }

    [Fact]
    public async Task A_get_is_a_trace_of_the_node_that_was_asked_and_one_that_the_hub_answers_of_both()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var eu = cluster.Connect("eu");
        await eu.Catalog.CreateAsync("read", cancellation: Stop);
        await eu.Keyspace("read").PutAsync("k", "v", cancellation: Stop);
        await eu.Keyspace("read").GetAsync("k", cancellation: Stop);
        await eu.Keyspace("read").GetAsync("k", ReadOptions.Eventual, Stop);
        await IsAsync(Root(Traces.Get, "read"), """
            quicksilver.get
              quicksilver.serve.read eu
            """);
        await eu.Keyspace("read").GetAsync("k", ReadOptions.Linearizable, Stop);
        await IsAsync(Root(Traces.Get, "read"), """
            quicksilver.get
              quicksilver.serve.read eu
                quicksilver.forward
                  quicksilver.serve.read hub
            """);
        var far = eu.Session!.Value.Position with { Revision = new(long.MaxValue) };
        await Assert.ThrowsAsync<QuicksilverException>(async () => await eu.Keyspace("read").GetAsync("k", ReadOptions.AtLeast(far), Stop));
        var failed = Root(Traces.Get, "read");
        Assert.Equal(ActivityStatusCode.Error, failed.Status);
        Assert.Equal("NotYet", failed.GetTagItem("error.type"));
    }

    [Fact]
    public async Task Every_put_of_a_merged_call_leads_to_its_raft_entry_by_its_own_spans_and_links()
    {
        await using var cluster = await LiveCluster.StartAsync(Stop);
        await using var eu = cluster.Connect("eu");
        await eu.Catalog.CreateAsync("merged", cancellation: Stop);
        await eu.Keyspace("merged").PutAsync("k", "v", cancellation: Stop);
        await Task.WhenAll(Enumerable.Range(0, 64).Select(i => eu.Keyspace("merged").PutAsync($"k{i}", "v", cancellation: Stop).AsTask()));
        var puts = _spans.Where(span => span.OperationName == Traces.Put && span.GetTagItem(Traces.KeyspaceTag) as string == "merged").ToList();
        Assert.Equal(65, puts.Count);
        await Eventually.TrueAsync(() => puts.TrueForAll(put => Reaches(put, Traces.Apply)), "apply from each put", Stop);
        var shared = _spans.Where(span => span.OperationName == Traces.Call && span.Links.Any()).ToList();
        Assert.NotEmpty(shared);
        Assert.All(shared, call => Assert.Equal(call.Links.Count(), call.GetTagItem(Traces.CommandsTag)));
    }

    /// <summary>Goes down by parents, and over by the links that a span has itself.</summary>
    private bool Reaches(Activity from, string name)
    {
        var spans = _spans.ToDictionary(span => span.SpanId);
        var below = _spans.ToLookup(span => span.ParentSpanId);
        var seen = new HashSet<ActivitySpanId>();
        var next = new Stack<Activity>([from]);
        while (next.TryPop(out var span))
        {
            if (span.OperationName == name)
            {
                return true;
            }

            if (seen.Add(span.SpanId))
            {
                foreach (var other in below[span.SpanId].Concat(
                    IsMember(span) ? span.Links.Select(link => spans.GetValueOrDefault(link.Context.SpanId)).OfType<Activity>() : []))
                {
                    next.Push(other);
                }
            }
        }

        return false;
    }

    /// <summary>Of a shared span the links lead back to all whom it is for; those of its members lead on.</summary>
    private static bool IsMember(Activity span) => span.OperationName is Traces.Put or Traces.ServeCommit or Traces.Sequence;

    public void Dispose() => _listener.Dispose();
}
