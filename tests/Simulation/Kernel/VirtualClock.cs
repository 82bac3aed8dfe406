namespace Quicksilver.Simulation;

/// <summary>The clocks of one machine: monotonic time is that of the simulation, its wall clock can be set.</summary>
internal sealed class VirtualClock(Simulator simulator) : TimeProvider
{
    private static readonly DateTimeOffset Start = DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000);

    /// <summary>How far the wall clock is ahead of the simulation's.</summary>
    public TimeSpan Offset { get; set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => simulator.Now.Ticks;

    public override DateTimeOffset GetUtcNow() => Start + simulator.Now + Offset;
}
