using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>Goal: log time never stands still and never goes back. Method: a clock that the test moves, both ways.</summary>
public sealed class HubLogClockTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly FakeTimeProvider _time = new();

    public HubLogClockTests() => _hub = new(_directory.Sub("hub"));

    private LogTime Stamp => _hub.Store.Progress.LogTime;

    [Fact]
    public void A_wall_clock_behind_the_log_lets_time_go_on_from_the_last_stamp()
    {
        var clock = new HubLogClock(_hub.Store, new SkewedTime(_time, Stamp.Value - 600_000));
        Assert.Equal(Stamp, clock.Now);
        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(Stamp.Add(TimeSpan.FromSeconds(3)), clock.Now);
    }

    [Fact]
    public void A_wall_clock_ahead_of_the_log_is_the_log_time_and_setting_it_back_does_not_turn_it_back()
    {
        var skewed = new SkewedTime(_time, Stamp.Value + 60_000);
        var clock = new HubLogClock(_hub.Store, skewed);
        var ahead = clock.Now;
        Assert.Equal(Stamp.Add(TimeSpan.FromMinutes(1)), ahead);
        skewed.WallAtStart -= 600_000;
        Assert.Equal(ahead, clock.Now);
        _time.Advance(TimeSpan.FromMilliseconds(250));
        Assert.Equal(ahead.Add(TimeSpan.FromMilliseconds(250)), clock.Now);
    }

    [Fact]
    public void A_stamp_of_another_leader_that_was_ahead_is_not_fallen_behind()
    {
        var clock = new HubLogClock(_hub.Store, new SkewedTime(_time, Stamp.Value));
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
