using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// Log time on a hub member: its wall clock, but never behind what the log says, and never standing still. Where the wall clock
/// is behind (it was set back, or another leader's was ahead), time goes on from the log's last stamp by monotonic time; with
/// stamps that stand still, ids could not be told apart from those that were forgotten.
/// </summary>
public sealed class HubLogClock(NodeStore store, TimeProvider time) : ILogClock
{
    private readonly Lock _gate = new();
    private LogTime _anchor;
    private long _anchoredAt;

    public LogTime Now
    {
        get
        {
            lock (_gate)
            {
                var wall = new LogTime(time.GetUtcNow().ToUnixTimeMilliseconds());
                var log = store.Progress.LogTime;
                var running = _anchor.Add(time.GetElapsedTime(_anchoredAt));
                if (_anchor == LogTime.None || log > running || wall > running)
                {
                    _anchor = wall > log ? wall : log;
                    _anchoredAt = time.GetTimestamp();
                    return _anchor;
                }

                return running;
            }
        }
    }

    public TimeSpan? Age => TimeSpan.Zero;
}
