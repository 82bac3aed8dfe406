namespace Quicksilver.Client;

/// <summary>
/// When a better gateway may be looked for, and returned to. One that comes and goes would take its clients with it each time: it is waited for twice
/// as long each time that it was lost soon after the return. Clients that lost one gateway together do not return to it together.
/// Not thread-safe: for the loop of one link.
/// </summary>
/// <param name="returnAfter">The time between two looks.</param>
internal sealed class ReturnTimes(TimeSpan returnAfter, Random random, TimeProvider time)
{
    /// <summary>A gateway that was lost sooner than this after the return comes and goes.</summary>
    public static readonly TimeSpan SoonAfter = TimeSpan.FromMinutes(1);

    /// <summary>The longest that is waited for one that comes and goes; longer only where the time between two looks is.</summary>
    public static readonly TimeSpan MaxWait = TimeSpan.FromMinutes(5);

    /// <summary>Share by which the time between two looks is made longer or shorter at random. Source: as of the sources of a replica.</summary>
    private const double Jitter = 0.2;

    private readonly Dictionary<string, Returned> _returned = [];

    /// <param name="At">When it was returned to, last.</param>
    /// <param name="Wait">How long is waited after its loss.</param>
    /// <param name="LostAt">When it was lost soon after; null where it was not.</param>
    private readonly record struct Returned(long At, TimeSpan Wait, long? LostAt);

    /// <summary>How long from now to the next look.</summary>
    public TimeSpan NextLook() => returnAfter * (1 + (Jitter * ((2 * random.NextDouble()) - 1)));

    /// <summary>A better gateway was gone over to.</summary>
    public void OnReturned(string gateway) =>
        _returned[gateway] = new(time.GetTimestamp(), _returned.TryGetValue(gateway, out var before) ? before.Wait : returnAfter, null);

    /// <summary>The session with a gateway was lost.</summary>
    public void OnLost(string gateway)
    {
        if (!_returned.TryGetValue(gateway, out var returned))
        {
            return;
        }

        if (time.GetElapsedTime(returned.At) >= SoonAfter)
        {
            _returned.Remove(gateway);
            return;
        }

        var wait = returned.Wait * 2 < MaxWait ? returned.Wait * 2 : MaxWait;
        _returned[gateway] = returned with { Wait = wait > returnAfter ? wait : returnAfter, LostAt = time.GetTimestamp() };
    }

    /// <summary>False while a gateway that comes and goes is waited for.</summary>
    public bool MayReturn(string gateway) =>
        !_returned.TryGetValue(gateway, out var returned) || returned.LostAt is not { } lost || time.GetElapsedTime(lost) >= returned.Wait;
}
