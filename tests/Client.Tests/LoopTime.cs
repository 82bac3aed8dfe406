using Microsoft.Extensions.Time.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>Fake time that knows whether a loop waits for it to pass: by timers of the periods that the loop has.</summary>
internal sealed class LoopTime(params IReadOnlyList<TimeSpan> periods) : FakeTimeProvider
{
    private readonly Lock _gate = new();
    private readonly HashSet<Pause> _pauses = [];

    public bool IsPaused
    {
        get
        {
            lock (_gate)
            {
                return _pauses.Count > 0;
            }
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        if (!periods.Contains(dueTime))
        {
            return base.CreateTimer(callback, state, dueTime, period);
        }

        var pause = new Pause(this);
        pause.Timer = base.CreateTimer(
            given =>
            {
                End(pause);
                callback(given);
            },
            state, dueTime, period);
        Begin(pause);
        return pause;
    }

    /// <summary>It counts when its timer runs, unless it is over by then.</summary>
    private void Begin(Pause pause)
    {
        lock (_gate)
        {
            if (!pause.IsOver)
            {
                _pauses.Add(pause);
            }
        }
    }

    private void End(Pause pause)
    {
        lock (_gate)
        {
            pause.IsOver = true;
            _pauses.Remove(pause);
        }
    }

    private sealed class Pause(LoopTime time) : ITimer
    {
        /// <summary>Set before anybody has the pause.</summary>
        public ITimer? Timer { get; set; }

        public bool IsOver { get; set; }

        public bool Change(TimeSpan dueTime, TimeSpan period) => Timer!.Change(dueTime, period);

        public void Dispose()
        {
            time.End(this);
            Timer!.Dispose();
        }

        public ValueTask DisposeAsync()
        {
            time.End(this);
            return Timer!.DisposeAsync();
        }
    }
}
