namespace Quicksilver.Client;

/// <summary>The time that one operation may take, over everything it needs: connecting, finding its keyspace, all tries.</summary>
internal readonly struct Deadline(TimeProvider time, TimeSpan limit)
{
    private static readonly TimeSpan Min = TimeSpan.FromMilliseconds(1);

    // A timer takes no more than 49 days, and no operation is worth one of them.
    private static readonly TimeSpan Max = TimeSpan.FromHours(24);

    private readonly long _start = time.GetTimestamp();

    /// <summary>All of it.</summary>
    public TimeSpan Limit => limit;

    /// <summary>What is left of it, never negative.</summary>
    public TimeSpan Left
    {
        get
        {
            var left = limit - time.GetElapsedTime(_start);
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    /// <summary>What is wrong with a limit, or null.</summary>
    public static string? Problem(TimeSpan limit) =>
        limit < Min || limit > Max ? $"Deadline is {limit}; it must be {Min.TotalMilliseconds:0} ms to {Max.TotalHours:0} hours" : null;
}
