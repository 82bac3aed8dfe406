namespace Quicksilver.Client;

/// <summary>The time that one operation may take, over everything it needs: connecting, finding its keyspace, all tries.</summary>
internal readonly struct Deadline(TimeProvider time, TimeSpan limit)
{
    private readonly long _start = time.GetTimestamp();

    /// <summary>What is left of it, never negative.</summary>
    public TimeSpan Left
    {
        get
        {
            var left = limit - time.GetElapsedTime(_start);
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }
}
