using System.Diagnostics;

namespace Quicksilver.Model.Tests;

/// <summary>Goal: work that is traced ends as it would without whoever listens. Method: a listener that throws at the beginning, or at the end.</summary>
public sealed class GuardedSpanTests
{
    private static ActivityListener Listen(bool throwsAtStart, bool throwsAtEnd)
    {
        var listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name == Traces.SourceName,
            Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStarted = _ => ThrowIf(throwsAtStart),
            ActivityStopped = _ => ThrowIf(throwsAtEnd),
        };
        ActivitySource.AddActivityListener(listener);
        return listener;
    }

    private static void ThrowIf(bool throws)
    {
        if (throws)
        {
            throw new InvalidOperationException("The listener fails.");
        }
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void A_listener_that_fails_at_the_beginning_costs_the_span_and_nothing_else(bool throwsAtStart, bool throwsAtEnd)
    {
        using var listener = Listen(throwsAtStart, throwsAtEnd);
        Assert.Throws<InvalidOperationException>(() => Traces.Source.StartActivity(Traces.Apply));
        Activity.Current = null;
        using var traced = Traces.Guard(static () => Traces.Source.StartActivity(Traces.Apply));
        Assert.Null(traced.Span);
        Activity.Current = null;
    }

    [Fact]
    public void A_listener_that_fails_at_the_end_is_not_heard()
    {
        using var listener = Listen(throwsAtStart: false, throwsAtEnd: true);
        Activity span;
        using (var traced = Traces.Guard(static () => Traces.Source.StartActivity(Traces.Apply)))
        {
            Assert.NotNull(span = traced.Span!);
        }

        Assert.True(span.IsStopped);
        Activity.Current = null;
    }
}
