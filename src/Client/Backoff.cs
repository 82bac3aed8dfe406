namespace Quicksilver.Client;

/// <summary>The growing pause between two tries of one operation.</summary>
/// <param name="first">The first pause; each next one is twice as long, up to <see cref="Max"/>.</param>
internal sealed class Backoff(TimeSpan first)
{
    /// <summary>The longest pause, unless a node asks for a longer one.</summary>
    public static readonly TimeSpan Max = TimeSpan.FromMilliseconds(500);

    private TimeSpan _pause = first;

    /// <summary>The pause before the next try; null where it would not fit into the time that is left.</summary>
    /// <param name="atLeast">What a node asked for; null where none did.</param>
    /// <param name="left">What is left of the operation's time.</param>
    public TimeSpan? Next(TimeSpan? atLeast, TimeSpan left)
    {
        var pause = atLeast > _pause ? atLeast.Value : _pause;
        if (left <= pause)
        {
            return null;
        }

        _pause = _pause * 2 < Max ? _pause * 2 : Max;
        return pause;
    }
}
