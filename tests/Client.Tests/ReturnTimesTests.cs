using Microsoft.Extensions.Time.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>Goal: a gateway that comes and goes costs less and less, and clients do not move together. Method: fake time.</summary>
public sealed class ReturnTimesTests
{
    private static readonly TimeSpan ReturnAfter = TimeSpan.FromSeconds(10);

    private readonly FakeTimeProvider _time = new();
    private readonly ReturnTimes _times;

    public ReturnTimesTests() => _times = new(ReturnAfter, new Random(1), _time);

    /// <summary>Returned to and lost after so long; how long is waited then.</summary>
    private TimeSpan WaitAfter(TimeSpan stay)
    {
        _times.OnReturned("a:1");
        _time.Advance(stay);
        Assert.True(_times.MayReturn("a:1"));
        _times.OnLost("a:1");
        var waited = TimeSpan.Zero;
        for (; !_times.MayReturn("a:1"); waited += TimeSpan.FromSeconds(1))
        {
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        return waited;
    }

    [Fact]
    public void A_gateway_that_is_lost_soon_after_the_return_is_waited_for_twice_as_long_each_time()
    {
        var soon = ReturnTimes.SoonAfter - TimeSpan.FromSeconds(1);
        var waits = Enumerable.Range(0, 6).Select(_ => WaitAfter(soon).TotalSeconds).ToList();
        Assert.Equal<double>([20, 40, 80, 160, 300, 300], waits);

        // It stayed: what it did before does not count any more.
        Assert.Equal(TimeSpan.Zero, WaitAfter(ReturnTimes.SoonAfter));
        Assert.Equal(20, WaitAfter(soon).TotalSeconds);
    }

    [Fact]
    public void Looks_are_a_fifth_earlier_or_later_at_most()
    {
        var looks = Enumerable.Range(0, 1_000).Select(_ => _times.NextLook()).ToList();
        Assert.All(looks, look => Assert.InRange(look, ReturnAfter * 0.8, ReturnAfter * 1.2));
        Assert.True(looks.Max() - looks.Min() > ReturnAfter * 0.3);
    }
}
