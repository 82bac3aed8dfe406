using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <summary>What happens to a <see cref="Progress"/>. Answers carry the attempt they belong to; those of earlier ones are ignored.</summary>
public abstract record ProgressEvent
{
    /// <param name="Node">Whom the link leads to.</param>
    /// <param name="Others">How many other sources could be tried in its place.</param>
    /// <param name="RoundTrip">How long a call to it and back takes.</param>
    public sealed record LinkUp(NodeId Node = default, int Others = 0, TimeSpan RoundTrip = default) : ProgressEvent;

    public sealed record LinkLost : ProgressEvent;

    /// <summary>A wait that was asked for is over.</summary>
    public sealed record WaitOver(long Attempt) : ProgressEvent;

    public sealed record Opened(long Attempt, OpenPullAnswer Answer) : ProgressEvent;

    /// <param name="At">When it arrived, by the driver's monotonic clock; handed back with the page.</param>
    public sealed record PageArrived(long Attempt, long Number, LogPage Page, long At = 0) : ProgressEvent;

    /// <summary>A call ended in an exception.</summary>
    public sealed record CallFailed(long Attempt, string Why = "no answer") : ProgressEvent;

    /// <summary>A page that was to be applied is in the View.</summary>
    public sealed record Applied(LogPosition Position, ChainHash Chain) : ProgressEvent;

    /// <summary>A page did not pass the checks; nothing of it was applied.</summary>
    public sealed record Refused(string Why) : ProgressEvent;

    /// <summary>The disk failed.</summary>
    public sealed record ApplyFailed(string Why) : ProgressEvent;

    /// <summary>What this replica has on disk is damaged: it needs a copy of everything.</summary>
    /// <param name="Again">It was damaged before, and the copy that was taken for it is damaged as well.</param>
    public sealed record Damaged(string Why, bool Again = false) : ProgressEvent;

    /// <summary>Keyspaces that could not be added may be tried again.</summary>
    public sealed record AddDue : ProgressEvent;

    /// <summary>A copy of the source's state is here, whole.</summary>
    /// <param name="At">The revision that it is of.</param>
    public sealed record SnapshotReceived(long Attempt, Revision At = default) : ProgressEvent;

    /// <summary>The copy is the replica's state now.</summary>
    public sealed record Installed(StoreProgress Progress) : ProgressEvent;

    /// <summary>The copy did not come, or is no use. What came of it stays, and is gone on with where the source still has that state.</summary>
    public sealed record BootstrapFailed(long Attempt, string Why) : ProgressEvent;
}

/// <summary>What a <see cref="Progress"/> wants done.</summary>
public abstract record ProgressEffect
{
    /// <summary>Ask the source to open a session after this position.</summary>
    public sealed record Open(long Attempt, ClusterUuid Cluster, LogPosition Position, ChainHash Chain, PageEncoding Accepts) : ProgressEffect;

    /// <summary>Ask for a page.</summary>
    public sealed record Next(long Attempt, NextPageRequest Request) : ProgressEffect;

    /// <summary>
    /// Check and apply the records of a page; for an empty replica, after making it part of this cluster. Must be answered by
    /// Applied, Refused or ApplyFailed before the next event.
    /// </summary>
    /// <param name="UpTo">Stop at this revision, which is in the page; null for all of it.</param>
    public sealed record Apply(LogPage Page, long At, Revision? UpTo = null) : ProgressEffect;

    /// <summary>A page without records that this replica is level with.</summary>
    public sealed record Level(LogPage Page, long At) : ProgressEffect;

    /// <summary>Receive a copy of the source's state; say SnapshotReceived or BootstrapFailed.</summary>
    /// <param name="Adds">Only of the keyspaces that the store is to hold and does not.</param>
    public sealed record Bootstrap(long Attempt, bool Adds = false) : ProgressEffect;

    /// <summary>Put the copy that was received in place. Must be answered by Installed or BootstrapFailed before the next event.</summary>
    /// <param name="Quarantine">Keep what was there aside: two sources agree that it is wrong.</param>
    /// <param name="Adds">The copy is of keyspaces to add, and the store stands where it was taken: keep what is there.</param>
    public sealed record Install(long Attempt, bool Quarantine, bool Adds = false) : ProgressEffect;

    /// <summary>Give up the link for one to another source. LinkLost follows, and LinkUp.</summary>
    public sealed record LeaveSource(SourceFault Fault, string Why) : ProgressEffect;

    /// <summary>Let this much time pass, whatever happens meanwhile, then say AddDue.</summary>
    public sealed record AddLater(TimeSpan Duration) : ProgressEffect;

    /// <summary>Let this much time pass, then say WaitOver.</summary>
    public sealed record Wait(long Attempt, TimeSpan Duration) : ProgressEffect;
}
