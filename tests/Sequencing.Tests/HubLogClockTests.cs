using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>Goal: log time never stands still, never goes back and never leaps. Method: a clock that the test moves, both ways.</summary>
public sealed class HubLogClockTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly FakeTimeProvider _time = new();

    public HubLogClockTests() => _hub = new(_directory.Sub("hub"));

    private bool _leads = true;

    private LogTime Stamp => _hub.Store.Progress.LogTime;

    private HubLogClock Clock(SkewedTime time) => new(_hub.Store, () => _leads, time);

    [Fact]
    public void A_wall_clock_behind_the_log_lets_time_go_on_from_the_last_stamp()
    {
        var clock = Clock(new(_time, Stamp.Value - 600_000));
        Assert.Equal(Stamp, clock.Now);
        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(Stamp.Add(TimeSpan.FromSeconds(3)), clock.Now);
    }

    [Fact]
    public void At_the_start_a_wall_clock_ahead_of_the_log_is_the_log_time_and_setting_it_back_does_not_turn_it_back()
    {
        var skewed = new SkewedTime(_time, Stamp.Value + 60_000);
        var clock = Clock(skewed);
        var ahead = clock.Now;
        Assert.Equal(Stamp.Add(TimeSpan.FromMinutes(1)), ahead);
        skewed.WallAtStart -= 600_000;
        Assert.Equal(ahead, clock.Now);
        _time.Advance(TimeSpan.FromMilliseconds(250));
        Assert.Equal(ahead.Add(TimeSpan.FromMilliseconds(250)), clock.Now);
    }

    [Fact]
    public void A_wall_clock_that_is_set_ahead_is_followed_by_a_twentieth_of_the_time_where_this_member_leads()
    {
        var skewed = new SkewedTime(_time, Stamp.Value);
        var clock = Clock(skewed);
        var start = clock.Now;
        skewed.WallAtStart += 600_000;
        Assert.Equal(start, clock.Now);

        // However often it is asked, also within a millisecond.
        for (var i = 0; i < 40_000; i++)
        {
            _time.Advance(TimeSpan.FromMicroseconds(250));
            _ = clock.Now;
        }

        Assert.Equal(start.Add(TimeSpan.FromSeconds(10.5)), clock.Now);
        _time.Advance(TimeSpan.FromHours(4));
        Assert.Equal(start.Add(TimeSpan.FromHours(4) + TimeSpan.FromSeconds(610)), clock.Now);
        _time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(start.Add(TimeSpan.FromHours(5) + TimeSpan.FromSeconds(610)), clock.Now);
    }

    [Fact]
    public void A_member_that_does_not_lead_does_not_follow_its_wall_clock_and_begins_to_where_it_does()
    {
        _leads = false;
        var skewed = new SkewedTime(_time, Stamp.Value);
        var clock = Clock(skewed);
        var start = clock.Now;
        skewed.WallAtStart += 600_000;
        _time.Advance(TimeSpan.FromSeconds(100));
        Assert.Equal(start.Add(TimeSpan.FromSeconds(100)), clock.Now);
        _leads = true;
        Assert.Equal(start.Add(TimeSpan.FromSeconds(100)), clock.Now);
        _time.Advance(TimeSpan.FromSeconds(20));
        Assert.Equal(start.Add(TimeSpan.FromSeconds(121)), clock.Now);
    }

    [Fact]
    public void A_stamp_of_another_leader_that_was_ahead_is_not_fallen_behind()
    {
        var clock = Clock(new(_time, Stamp.Value));
        _ = clock.Now;
        _hub.Now = Stamp.Add(TimeSpan.FromMinutes(2));
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "v"));
        Assert.Equal(_hub.Now, clock.Now);
        _time.Advance(TimeSpan.FromMilliseconds(10));
        Assert.Equal(_hub.Now.Add(TimeSpan.FromMilliseconds(10)), clock.Now);
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }

    /// <summary>Monotonic time of one provider, and a wall clock that can be set.</summary>
    private sealed class SkewedTime(FakeTimeProvider monotonic, long wallAtStart) : TimeProvider
    {
        private readonly long _start = monotonic.GetTimestamp();

        public long WallAtStart { get; set; } = wallAtStart;

        public override long TimestampFrequency => monotonic.TimestampFrequency;

        public override long GetTimestamp() => monotonic.GetTimestamp();

        public override DateTimeOffset GetUtcNow() =>
            DateTimeOffset.FromUnixTimeMilliseconds(WallAtStart) + monotonic.GetElapsedTime(_start);
    }
}
