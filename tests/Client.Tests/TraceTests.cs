using System.Diagnostics;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: what callers share is found from the trace of each of them, and no trace gets what is another's. Method: a merger whose calls the test
/// answers, callers in spans of their own, with a listener and without.
/// </summary>
public sealed class TraceTests
{
    private static readonly ActivityContext Came = new(ActivityTraceId.CreateFromString("0123456789abcdef0123456789abcdef"), ActivitySpanId.CreateFromString("0123456789abcdef"), ActivityTraceFlags.Recorded, "vendor=1", isRemote: true);

    private readonly List<Sent> _sent = [];
    private readonly CommitMerger _merger;

    public TraceTests() => _merger = new(request =>
    {
        var sent = new Sent(CommandBatch.ReadCount(request.Commands), CarriedTrace.Current, Traces.Current, Orleans.Runtime.RequestContext.Get("mine"), new());
        _sent.Add(sent);
        return sent.Answer.Task;
    });

    /// <summary>One call, with what it carried and the span that it was made in.</summary>
    private sealed record Sent(int Commands, ActivityContext Carried, Activity? Span, object? Mine, TaskCompletionSource<CommitManyAnswer> Answer);

    private static ActivityListener Listen()
    {
        var listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name == Traces.SourceName,
            Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
        };
        ActivitySource.AddActivityListener(listener);
        return listener;
    }

    /// <summary>A commit in a span of its own, which is returned open.</summary>
    private async Task<(Activity Span, Task<MergedOutcomes> Commit)> CommitTracedAsync()
    {
        // When an asynchronous method returns, its caller is in the span that it was in before.
        await Task.CompletedTask;
        var span = Traces.Source.StartActivity(Traces.Put, ActivityKind.Client)!;
        return (span, CommitAsync());
    }

    private Task<MergedOutcomes> CommitAsync() => _merger.CommitAsync([new byte[] { 1 }], CancellationToken.None);

    /// <summary>Answers a call, and returns when all of its callers have heard of it.</summary>
    private static Task<MergedOutcomes[]> AnswerAsync(Sent sent, params Task<MergedOutcomes>[] commits)
    {
        sent.Answer.SetResult(new([.. Enumerable.Repeat(CommitOutcome.Committed(new(1)), sent.Commands)], default));
        return Task.WhenAll(commits);
    }

    private Task<Sent> CalledAsync(int number) => CalledAsync(_sent, number);

    private static async Task<Sent> CalledAsync(List<Sent> sent, int number)
    {
        await Testing.Eventually.TrueAsync(() => sent.Count > number, $"call {number}", TestContext.Current.CancellationToken);
        return sent[number];
    }

    [Fact]
    public async Task A_lone_call_is_below_its_caller_and_carries_its_own_span()
    {
        using var listener = Listen();
        var before = Activity.Current;
        var (span, commit) = await CommitTracedAsync();
        var call = _sent[0].Span!;
        Assert.Equal((Traces.Call, span.SpanId, span.TraceId), (call.OperationName, call.ParentSpanId, call.TraceId));
        Assert.Equal(1, call.GetTagItem(Traces.CommandsTag));
        Assert.Empty(call.Links);
        Assert.Equal((call.TraceId, call.SpanId, ActivityTraceFlags.Recorded, true), (_sent[0].Carried.TraceId, _sent[0].Carried.SpanId, _sent[0].Carried.TraceFlags, _sent[0].Carried.IsRemote));
        await AnswerAsync(_sent[0], commit);
        Assert.Same(before, Activity.Current);
        span.Dispose();
    }

    [Fact]
    public async Task A_call_for_several_is_below_the_first_that_is_traced_and_linked_with_all_both_ways()
    {
        using var listener = Listen();
        var (first, lone) = await CommitTracedAsync();
        var untraced = CommitAsync();
        List<(Activity Span, Task<MergedOutcomes> Commit)> others = [await CommitTracedAsync(), await CommitTracedAsync()];
        await AnswerAsync(_sent[0], lone);
        var sent = await CalledAsync(1);
        Assert.Equal(3, sent.Commands);
        Assert.Equal((others[0].Span.SpanId, others[0].Span.TraceId), (sent.Span!.ParentSpanId, sent.Span.TraceId));
        Assert.Equal(others.Select(other => other.Span.Context), sent.Span.Links.Select(link => link.Context));
        Assert.Empty(others[0].Span.Links);
        Assert.Equal(sent.Span.Context, Assert.Single(others[1].Span.Links).Context);
        await AnswerAsync(sent, [untraced, .. others.Select(other => other.Commit)]);
        foreach (var span in others.Select(other => other.Span).Append(first))
        {
            span.Dispose();
        }
    }

    [Fact]
    public async Task A_call_of_those_whom_nobody_traces_is_not_part_of_the_trace_of_whoever_began()
    {
        using var listener = Listen();
        var (span, commit) = await CommitTracedAsync();
        var untraced = CommitAsync();
        await AnswerAsync(_sent[0], commit);
        var sent = await CalledAsync(1);
        Assert.Equal((null, default), (sent.Span, sent.Carried));
        await AnswerAsync(sent, untraced);
        span.Dispose();
    }

    [Fact]
    public async Task What_came_with_a_call_is_carried_on_where_nobody_listens_and_ends_with_it()
    {
        var commit = ServedAsync();
        var untraced = CommitAsync();
        Assert.Equal((null, Came.TraceId, Came.SpanId, Came.TraceState), (_sent[0].Span, _sent[0].Carried.TraceId, _sent[0].Carried.SpanId, _sent[0].Carried.TraceState));
        await AnswerAsync(_sent[0], commit);
        var sent = await CalledAsync(1);
        Assert.Equal(default, sent.Carried);
        await AnswerAsync(sent, untraced);

        async Task<MergedOutcomes> ServedAsync()
        {
            CarriedTrace.Set(Came);
            return await CommitAsync();
        }
    }

    [Fact]
    public async Task Nothing_else_that_whoever_began_carries_goes_with_the_calls_of_others_nor_a_state_that_is_too_long()
    {
        Orleans.Runtime.RequestContext.Set("mine", "of any size");
        Orleans.Runtime.RequestContext.Set("tracestate", new string('x', 513));
        var first = CommitAsync();
        Assert.Equal(["mine"], Orleans.Runtime.RequestContext.Keys.Where(key => key == "mine"));
        var second = CommitAsync();
        await AnswerAsync(_sent[0], first);
        var sent = await CalledAsync(1);
        Assert.Equal([null, null], _sent.Select(call => call.Mine));
        await AnswerAsync(sent, second);
        CarriedTrace.Set(Came);
        Orleans.Runtime.RequestContext.Set("tracestate", new string('x', 513));
        Assert.Equal((Came.TraceId, null), (CarriedTrace.Current.TraceId, CarriedTrace.Current.TraceState));
    }

    [Fact]
    public async Task A_call_that_fails_says_so_in_its_span()
    {
        using var listener = Listen();
        var (span, commit) = await CommitTracedAsync();
        _sent[0].Answer.SetException(new QuicksilverException(QuicksilverErrorCode.Unavailable, "no link"));
        await Assert.ThrowsAsync<QuicksilverException>(() => commit);
        var call = _sent[0].Span!;
        Assert.Equal((ActivityStatusCode.Error, "no link"), (call.Status, call.StatusDescription));
        Assert.Equal("Unavailable", call.GetTagItem("error.type"));
        span.Dispose();
    }

    [Fact]
    public async Task Gets_that_share_a_call_are_found_from_each_other_and_those_that_went_straight_are_not_among_them()
    {
        using var listener = Listen();
        var (straight, shared) = (new List<ActivitySpanId>(), new List<Activity>());
        var ends = new TaskCompletionSource();
        var merger = new GetMerger(
            async (_, _, _) =>
            {
                straight.Add(Activity.Current!.SpanId);
                await ends.Task;
                return null;
            },
            (_, _, _) =>
            {
                shared.Add(Activity.Current!);
                return Task.FromResult<IReadOnlyList<int>>([]);
            });
        async Task<Activity> GetTracedAsync(string key)
        {
            using var span = Traces.Source.StartActivity(Traces.Get, ActivityKind.Client)!;
            await merger.GetAsync(key, new(TimeProvider.System, TimeSpan.FromSeconds(8)), CancellationToken.None);
            return span;
        }

        var gets = new[] { "a", "b", "c", "d" }.Select(GetTracedAsync).ToList();
        ends.SetResult();
        var spans = await Task.WhenAll(gets);
        Assert.Equal(spans.Take(2).Select(span => span.SpanId), straight);
        var call = Assert.Single(shared);
        Assert.Equal((Traces.Call, spans[2].SpanId, spans[2].TraceId), (call.OperationName, call.ParentSpanId, call.TraceId));
        Assert.Equal(2, call.GetTagItem(Traces.KeysTag));
        Assert.Equal(spans.Skip(2).Select(span => span.Context), call.Links.Select(link => link.Context));
        Assert.Equal(call.Context, Assert.Single(spans[3].Links).Context);
        Assert.All(spans.Take(2), span => Assert.Empty(span.Links));
    }
}
