using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>
/// Log time on a replica: what the source said last plus the monotonic time since then. It also keeps how long ago this replica
/// was level with its source, which is its lag. Wall clocks play no part. A replica that has heard nothing since it started does
/// not know the time: what its disk says is from another day.
/// </summary>
public sealed class ReplicaLogClock(NodeStore store, TimeProvider time) : ILogClock
{
    private static readonly TimeSpan UnknownAge = TimeSpan.FromDays(365);

    private Mark? _heard;
    private Mark? _level;

    private sealed record Mark(LogTime LogTime, LogPosition Source, TimeSpan SourceAge, long At);

    public LogTime Now => Volatile.Read(ref _heard) is { } heard
        ? heard.LogTime.Add(time.GetElapsedTime(heard.At))
        : LogTime.None;

    public TimeSpan? Age => Volatile.Read(ref _level) is { } level ? time.GetElapsedTime(level.At) + level.SourceAge : null;

    /// <summary>Revisions the source had, as it last said, that this replica does not; null where it has said nothing.</summary>
    public long? LagRevisions => Volatile.Read(ref _heard) is { } heard
        ? Math.Max(0, heard.Source.Revision.Value - store.Progress.Position.Revision.Value)
        : null;

    /// <summary>A page has arrived.</summary>
    public void Hear(LogPage page) => Hear(page.LogTime, page.Source, page.SourceAge);

    /// <summary>A session was opened.</summary>
    public void Hear(OpenPullAnswer answer) => Hear(answer.LogTime, answer.Source, TimeSpan.MaxValue);

    private void Hear(LogTime logTime, LogPosition source, TimeSpan sourceAge)
    {
        if (logTime == LogTime.None)
        {
            // The source does not know the time itself yet.
            return;
        }

        // An age nobody knows must stay a number that can be added to.
        var age = sourceAge < UnknownAge ? sourceAge : UnknownAge;
        Volatile.Write(ref _heard, new(logTime, source, age, time.GetTimestamp()));
        if (age < UnknownAge)
        {
            Check();
        }
    }

    /// <summary>A page was applied, or there was none to apply: level now?</summary>
    public void Check()
    {
        if (Volatile.Read(ref _heard) is { } heard && heard.SourceAge < UnknownAge && store.Progress.Position.Revision >= heard.Source.Revision)
        {
            Volatile.Write(ref _level, heard);
        }
    }
}
