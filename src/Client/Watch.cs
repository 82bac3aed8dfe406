using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>What a watch tells.</summary>
public sealed record WatchOptions
{
    /// <summary>Only keys that start with these bytes; empty for all.</summary>
    public ReadOnlyMemory<byte> Prefix { get; init; }

    /// <summary>
    /// Goes on where another watch of this keyspace was: the cursor of its last event. Null: begins with what changes from now on, and not
    /// before what this client has seen.
    /// </summary>
    public WatchCursor? From { get; init; }

    /// <summary>Hears of what a watch could not get and tries again: a lost gateway, a region that restarts. Called on any thread; must not throw.</summary>
    public Action<QuicksilverException>? Trouble { get; init; }
}

/// <summary>
/// One thing that a watch tells. A closed set: <see cref="Changed"/>, <see cref="Progress"/>, and, each the last one, <see cref="TooOld"/> and
/// <see cref="KeyspaceDeleted"/>.
/// </summary>
/// <param name="Cursor">Everything up to here was told: a watch from this cursor goes on right behind this event.</param>
public abstract record WatchEvent(WatchCursor Cursor)
{
    /// <summary>One revision changed these keys, all at once. To be taken in their order: what went with a prefix comes before what was put.</summary>
    public sealed record Changed(WatchCursor Cursor, Revision Revision, IReadOnlyList<Change> Changes) : WatchEvent(Cursor);

    /// <summary>Nothing changed up to here. The first event of a watch without <see cref="WatchOptions.From"/>, and then at least every few seconds.</summary>
    public sealed record Progress(WatchCursor Cursor) : WatchEvent(Cursor);

    /// <summary>
    /// The changes that would come next are not kept any more, anywhere that can be asked; <see cref="Oldest"/> is the first that is. Read what
    /// is there and begin a new watch.
    /// </summary>
    public sealed record TooOld(WatchCursor Cursor, Revision Oldest) : WatchEvent(Cursor);

    /// <summary>
    /// The keyspace was deleted, also where there is another of its name by now. Changes right before the deletion may not have been told: they
    /// are gone with it.
    /// </summary>
    public sealed record KeyspaceDeleted(WatchCursor Cursor) : WatchEvent(Cursor);
}

/// <summary>What became of one key, or of all keys with a prefix. A closed set: <see cref="Put"/>, <see cref="Deleted"/>, <see cref="PrefixDeleted"/>.</summary>
public abstract record Change
{
    /// <summary>The key was put; this is there now.</summary>
    public sealed record Put(Key Key, Entry Entry) : Change;

    /// <summary>The key was deleted, or its time was over. It need not have been there.</summary>
    public sealed record Deleted(Key Key) : Change;

    /// <summary>
    /// Every key of the watch that begins with the prefix was deleted, whether there was one or not; which ones, only who keeps them knows. What the
    /// same revision puts there comes behind.
    /// </summary>
    public sealed record PrefixDeleted(Key Prefix) : Change;
}
