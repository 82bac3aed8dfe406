using Microsoft.Extensions.Time.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Fake time that can go on to the end of a pause that somebody makes, and by no more: however long this machine takes for what is on its
/// way, no deadline passes meanwhile.
/// </summary>
internal sealed class PausedTime : FakeTimeProvider
{
    private readonly Lock _gate = new();
    private readonly Dictionary<Armed, DateTimeOffset> _due = [];

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Armed(this, base.CreateTimer(callback, state, dueTime, period));
        Note(timer, dueTime);
        return timer;
    }

    /// <summary>Goes on to the end of the pause that ends first, where one ends before a deadline; does nothing where nobody pauses.</summary>
    /// <param name="deadline">What is waited for until then is an answer, and no pause. Null: everything is a pause.</param>
    public void EndPause(DateTimeOffset? deadline = null)
    {
        var now = GetUtcNow();
        TimeSpan left;
        lock (_gate)
        {
            left = _due.Values.Where(due => due > now && !(due >= deadline)).Select(due => due - now).DefaultIfEmpty().Min();
        }

        // Outside of the lock: what waited for this goes on here, and may pause again.
        if (left > TimeSpan.Zero)
        {
            Advance(left);
        }
    }

    private void Note(Armed timer, TimeSpan dueTime)
    {
        var now = GetUtcNow();
        lock (_gate)
        {
            if (dueTime == Timeout.InfiniteTimeSpan)
            {
                _due.Remove(timer);
            }
            else
            {
                _due[timer] = now + dueTime;
            }
        }
    }

    private void Forget(Armed timer)
    {
        lock (_gate)
        {
            _due.Remove(timer);
        }
    }

    private sealed class Armed(PausedTime time, ITimer timer) : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            time.Note(this, dueTime);
            return timer.Change(dueTime, period);
        }

        public void Dispose()
        {
            time.Forget(this);
            timer.Dispose();
        }

        public ValueTask DisposeAsync()
        {
            time.Forget(this);
            return timer.DisposeAsync();
        }
    }
}
