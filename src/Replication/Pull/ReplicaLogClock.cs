using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>
/// Log time on a replica: what the source said last plus the monotonic time since then. It also keeps when this replica was last
/// level with its source, which is its lag. Wall clocks play no part. A replica that has heard nothing since it started does not
/// know the time: what its disk says is from another day.
/// </summary>
public sealed class ReplicaLogClock(NodeStore store, TimeProvider time) : ILogClock
{
    private readonly Lock _gate = new();
    private Heard? _heard;
    private Mark? _level;

    private sealed record Heard(LogTime LogTime, Revision Source, long At);

    private sealed record Mark(TimeSpan SourceAge, long At);

    public LogTime Now => Volatile.Read(ref _heard) is { } heard
        ? heard.LogTime.Add(time.GetElapsedTime(heard.At))
        : LogTime.None;

    public TimeSpan? Age => Volatile.Read(ref _level) is { } level ? time.GetElapsedTime(level.At) + level.SourceAge : null;

    /// <summary>Revisions the source had, as it last said, that this replica does not; null where it has said nothing.</summary>
    public long? LagRevisions => Volatile.Read(ref _heard) is { } heard
        ? Math.Max(0, heard.Source.Value - store.Progress.Position.Revision.Value)
        : null;

    /// <summary>
    /// The source has spoken, and it arrived at <paramref name="at"/>. The latest to arrive counts, also where it is behind what has
    /// run on since: two monotonic clocks drift apart, and an estimate that only grew would end up in the leader's future.
    /// </summary>
    public void Hear(LogTime logTime, Revision source, long at)
    {
        lock (_gate)
        {
            if (logTime != LogTime.None && (_heard is not { } heard || at >= heard.At))
            {
                Volatile.Write(ref _heard, new(logTime, source, at));
            }
        }
    }

    /// <summary>
    /// Everything up to this page is applied here. Where the page went up to what the source had when it made it, this replica is
    /// level with what the source was when the page arrived.
    /// </summary>
    public void Applied(LogPage page, long at)
    {
        if (page.To <= page.Source.Revision || SourceAge.Known(page.SourceAge) is null)
        {
            return;
        }

        lock (_gate)
        {
            if (_level is not { } level || at > level.At)
            {
                Volatile.Write(ref _level, new(page.SourceAge, at));
            }
        }
    }
}
