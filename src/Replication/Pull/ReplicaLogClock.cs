using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>
/// Log time on a replica: what the source said last plus the monotonic time since then. It also keeps how long ago this replica
/// was level with its source, which is its lag. Wall clocks play no part.
/// </summary>
public sealed class ReplicaLogClock(NodeStore store, TimeProvider time) : ILogClock
{
    private Mark? _heard;
    private Mark? _level;

    private sealed record Mark(LogTime LogTime, LogPosition Source, TimeSpan SourceAge, long At);

    public LogTime Now => Volatile.Read(ref _heard) is { } heard
        ? heard.LogTime.Add(time.GetElapsedTime(heard.At))
        : store.Progress.LogTime;

    public TimeSpan? Age => Volatile.Read(ref _level) is { } level ? time.GetElapsedTime(level.At) + level.SourceAge : null;

    /// <summary>Revisions the source had, as it last said, that this replica does not; null where it has said nothing.</summary>
    public long? LagRevisions => Volatile.Read(ref _heard) is { } heard
        ? Math.Max(0, heard.Source.Revision.Value - store.Progress.Position.Revision.Value)
        : null;

    /// <summary>A page has arrived.</summary>
    public void Hear(LogPage page)
    {
        var mark = new Mark(page.LogTime, page.Source, page.SourceAge < TimeSpan.FromDays(365) ? page.SourceAge : TimeSpan.FromDays(365), time.GetTimestamp());
        Volatile.Write(ref _heard, mark);
        Check();
    }

    /// <summary>A page was applied, or there was none to apply: level now?</summary>
    public void Check()
    {
        if (Volatile.Read(ref _heard) is { } heard && store.Progress.Position.Revision >= heard.Source.Revision)
        {
            Volatile.Write(ref _level, heard);
        }
    }
}
