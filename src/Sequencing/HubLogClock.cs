using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>Log time on a hub member: its own wall clock, but never before what the log says already.</summary>
public sealed class HubLogClock(NodeStore store, TimeProvider time) : ILogClock
{
    public LogTime Now
    {
        get
        {
            var wall = new LogTime(time.GetUtcNow().ToUnixTimeMilliseconds());
            var log = store.Progress.LogTime;
            return wall > log ? wall : log;
        }
    }

    public TimeSpan? Age => TimeSpan.Zero;
}
