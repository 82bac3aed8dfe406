using Quicksilver.Model;

namespace Quicksilver.Replication;

/// <summary>How much of the change log a node keeps.</summary>
public sealed record RetentionOptions
{
    /// <summary>Records older than this are cut, by log time. Default 7 days.</summary>
    public TimeSpan MaxAge { get; init; } = TimeSpan.FromDays(7);

    /// <summary>The log is cut where its tables are larger than this, bytes. Default 10 GiB.</summary>
    public long MaxBytes { get; init; } = 10L << 30;

    /// <summary>
    /// How much more is kept for children that pull or copy and are not that far yet, bytes. Past it the log is cut all the same, and they
    /// begin with a copy: a full disk would stop everybody. Default 2 GiB.
    /// </summary>
    public long MaxHoldBytes { get; init; } = 2L << 30;

    /// <summary>The last records that are kept whatever else is said: the node itself reads them. Default <see cref="Limits.MaxConditionWindow"/>.</summary>
    public long MinRecords { get; init; } = Limits.MaxConditionWindow;

    /// <summary>
    /// Hub: the window of operation ids, which are rebuilt from the log at a start. Of the last so many records, those younger than
    /// <see cref="OperationsAge"/> are kept. Default 0.
    /// </summary>
    public long OperationsCount { get; init; }

    /// <summary>As <see cref="OperationsCount"/>.</summary>
    public TimeSpan OperationsAge { get; init; }

    /// <summary>Between two looks at the log. Default 10 s.</summary>
    public TimeSpan Period { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>A log as the policy sees it.</summary>
public interface IRetainedLog
{
    /// <summary>First revision there is.</summary>
    Revision Oldest { get; }

    Revision Last { get; }

    /// <summary>
    /// Log time of the state. Ages are judged by it and by no clock: one that was wrong when the node started would cut everything. A log that
    /// rests does not age.
    /// </summary>
    LogTime LogTime { get; }

    /// <summary>About how many bytes the records from a revision on take.</summary>
    long BytesFrom(Revision from);

    /// <summary>First revision written at or after a log time; one more than the last where there is none.</summary>
    Revision FirstSince(LogTime time);
}

/// <param name="Oldest">The first revision to keep.</param>
/// <param name="Waiting">A child whose records are cut although it is not that far; null where there is none.</param>
public sealed record RetentionCut(Revision Oldest, NodeId? Waiting);

/// <summary>A child that still needs the records from <paramref name="From"/> on.</summary>
public readonly record struct RetentionHold(NodeId Child, Revision From);

/// <summary>Decides where the change log of a node begins. No clock, no disk: what it must know is handed in.</summary>
public static class RetentionPolicy
{
    /// <summary>What is to be cut now; null where nothing is.</summary>
    public static RetentionCut? Decide(RetentionOptions options, IRetainedLog log, IReadOnlyCollection<RetentionHold> holds)
    {
        var byAge = log.LogTime.Value > options.MaxAge.TotalMilliseconds ? log.FirstSince(log.LogTime.Add(-options.MaxAge)) : log.Oldest;
        var due = Later(byAge, FirstWithin(log, options.MaxBytes));
        due = Earlier(due, Needed(options, log));
        if (due <= log.Oldest)
        {
            return null;
        }

        NodeId? waiting = null;
        if (holds.Count > 0)
        {
            var first = holds.MinBy(hold => hold.From.Value);
            if (first.From < due)
            {
                var limit = FirstWithin(log, options.MaxBytes + options.MaxHoldBytes);
                waiting = limit > first.From ? first.Child : null;
                due = Earlier(due, Later(first.From, limit));
            }
        }

        return due > log.Oldest ? new(due, waiting) : null;
    }

    /// <summary>What the node itself may have to read again.</summary>
    private static Revision Needed(RetentionOptions options, IRetainedLog log)
    {
        var last = log.Last.Value;
        var window = new Revision(Math.Max(1, last + 1 - options.MinRecords));
        if (options.OperationsCount == 0)
        {
            return window;
        }

        var byCount = new Revision(Math.Max(1, last + 1 - options.OperationsCount));
        var operations = log.LogTime.Value > options.OperationsAge.TotalMilliseconds
            ? Later(byCount, log.FirstSince(log.LogTime.Add(-options.OperationsAge)))
            : byCount;
        return Earlier(window, operations);
    }

    /// <summary>The first revision from which on the log is within a size.</summary>
    private static Revision FirstWithin(IRetainedLog log, long maxBytes)
    {
        var (first, end) = (log.Oldest.Value, log.Last.Value + 1);
        if (log.BytesFrom(log.Oldest) <= maxBytes)
        {
            return log.Oldest;
        }

        while (first < end)
        {
            var middle = first + ((end - first) / 2);
            (first, end) = log.BytesFrom(new(middle)) <= maxBytes ? (first, middle) : (middle + 1, end);
        }

        return new(first);
    }

    private static Revision Later(Revision a, Revision b) => a > b ? a : b;

    private static Revision Earlier(Revision a, Revision b) => a < b ? a : b;
}
