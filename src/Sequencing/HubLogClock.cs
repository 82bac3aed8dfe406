using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// Log time on a hub member. It begins with the wall clock, and from there goes by monotonic time: a wall clock that is set ahead
/// must not make every operation id too old at once, and one that is set back must not let time stand still, because ids could not be
/// told apart then from those that were forgotten. It is never behind what the log says.
/// Where this member leads and its wall clock is ahead, log time follows by a twentieth of the time that passes. Those who do not lead
/// do not: they would teach clients a time that the leader does not know yet.
/// </summary>
/// <param name="isLeading">Whether this member leads now.</param>
public sealed class HubLogClock(NodeStore store, Func<bool> isLeading, TimeProvider time) : ILogClock
{
    private const int FollowsBy = 20;

    private readonly Lock _gate = new();
    private LogTime _anchor;
    private long _anchoredAt;
    private TimeSpan _followed;
    private long _followedAt;

    public LogTime Now
    {
        get
        {
            lock (_gate)
            {
                var now = time.GetTimestamp();
                var wall = new LogTime(time.GetUtcNow().ToUnixTimeMilliseconds());
                var log = store.Progress.LogTime;
                if (_anchor == LogTime.None)
                {
                    return Anchor(wall > log ? wall : log, now);
                }

                Follow(wall, now);
                var running = Running(now);
                return log > running ? Anchor(log, now) : running;
            }
        }
    }

    public TimeSpan? Age => TimeSpan.Zero;

    private LogTime Running(long now) => _anchor.Add(time.GetElapsedTime(_anchoredAt, now) + _followed);

    private LogTime Anchor(LogTime at, long now)
    {
        (_anchor, _anchoredAt, _followed, _followedAt) = (at, now, TimeSpan.Zero, now);
        return at;
    }

    private void Follow(LogTime wall, long now)
    {
        var behind = TimeSpan.FromMilliseconds(wall.Value - Running(now).Value);
        if (behind > TimeSpan.Zero && isLeading())
        {
            var most = time.GetElapsedTime(_followedAt, now) / FollowsBy;
            _followed += most < behind ? most : behind;
        }

        _followedAt = now;
    }
}
