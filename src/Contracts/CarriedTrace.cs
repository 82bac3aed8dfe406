using System.Diagnostics;
using System.Globalization;
using Orleans.Runtime;
using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>
/// The trace that a grain call belongs to: in its request context, under the names of W3C Trace Context, which are those of Orleans' own propagation.
/// That one works by call filters, which cost every call; this costs the calls that are traced.
/// </summary>
public static class CarriedTrace
{
    private const string Parent = "traceparent";
    private const string State = "tracestate";

    /// <summary>Most characters of a state that is carried on; a longer one is left out. Source: W3C Trace Context, "Tracestate Limits".</summary>
    private const int MaxState = 512;

    /// <summary>What came with the call that is served now; none where it is not traced.</summary>
    public static ActivityContext Current =>
        RequestContext.Get(Parent) is string parent && ActivityContext.TryParse(parent, RequestContext.Get(State) is string { Length: <= MaxState } state ? state : null, isRemote: true, out var context)
            ? context
            : default;

    /// <summary>Lets the grain calls that this flow makes from now on belong to a trace, or to none. It ends with the asynchronous method that says it.</summary>
    public static void Set(ActivityContext trace)
    {
        if (trace == default)
        {
            RequestContext.Remove(Parent);
            RequestContext.Remove(State);
            return;
        }

        RequestContext.Set(Parent, string.Create(CultureInfo.InvariantCulture, $"00-{trace.TraceId}-{trace.SpanId}-{(byte)trace.TraceFlags:x2}"));
        if (trace.TraceState is { Length: > 0 } state)
        {
            RequestContext.Set(State, state);
        }
        else
        {
            RequestContext.Remove(State);
        }
    }

    /// <summary>As <see cref="Set"/>, with the span that this flow is in, where it is one of Quicksilver's; else nothing changes.</summary>
    public static void SetCurrent()
    {
        if (Traces.Current is { } span)
        {
            Set(span.Context);
        }
    }

    /// <summary>
    /// A span for one call that is made for several, in the flow of none of them: neither the span that it is in nor what it carries is theirs,
    /// so both are said anew. None where nobody traces it; what the first came with is then carried on. Throws nothing: all of them wait for the call.
    /// </summary>
    public static GuardedSpan StartShared(string name, IReadOnlyList<TraceOrigin?> origins)
    {
        var listens = Traces.Source.HasListeners();
        if (listens && Activity.Current is not null)
        {
            Activity.Current = null;
        }

        // What else the flow of whoever began carries is nobody else's either, and may be of any size.
        RequestContext.Clear();
        var started = listens ? Traces.Guard(() => Traces.StartShared(name, ActivityKind.Client, origins.Select(origin => origin?.Span))) : default;
        Set(started.Span?.Context ?? origins.FirstOrDefault(origin => origin is not null && origin.Carried != default)?.Carried ?? default);
        return started;
    }

    /// <summary>A span for the call that is served now; null where it is not traced, or nobody listens.</summary>
    public static Activity? Serve(string name) =>
        Traces.Source.HasListeners() && Current is var trace && trace != default ? Traces.Source.StartActivity(name, ActivityKind.Server, trace) : null;
}

/// <summary>What an operation is part of that waits for a call which it shares.</summary>
/// <param name="Span">The span that it is in, where somebody listens here.</param>
/// <param name="Carried">What it came with, where it came with a call: carried on also where nobody listens.</param>
public sealed record TraceOrigin(Activity? Span, ActivityContext Carried)
{
    /// <summary>That of the flow that asks; null where it is part of nothing, as almost always.</summary>
    public static TraceOrigin? Now => (Traces.Current, CarriedTrace.Current) is var (span, carried) && (span is not null || carried != default) ? new(span, carried) : null;
}
