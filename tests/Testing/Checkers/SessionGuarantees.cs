using Quicksilver.Model;

namespace Quicksilver.Testing.Checkers;

/// <summary>What a session did.</summary>
public enum SessionStepKind
{
    Unspecified = 0,

    /// <summary>Read a key.</summary>
    Read = 1,

    /// <summary>Set a key, and was told that it is done.</summary>
    Put = 2,

    /// <summary>Removed a key, and was told that it is done.</summary>
    Delete = 3,
}

/// <summary>One step of a session.</summary>
/// <param name="Session">Whose. The steps of one session are checked in the order in which they are given.</param>
/// <param name="Where">Who answered, for people.</param>
/// <param name="Value">What was read or set; null where the key was not there, or was removed.</param>
/// <param name="Revision">The revision of what was read, none where the key was not there; for a write, its own.</param>
public readonly record struct SessionStep(int Session, string Where, SessionStepKind Kind, string Key, string? Value, Revision Revision);

/// <summary>Which promise to a session was broken.</summary>
public enum SessionFault
{
    Unspecified = 0,

    /// <summary>What was read was never written, or not at this revision.</summary>
    NeverWritten = 1,

    /// <summary>Two writes of one key have one revision.</summary>
    RevisionTwice = 2,

    /// <summary>A read does not show the session's own write, nor a later one.</summary>
    ReadYourWrites = 3,

    /// <summary>A read shows what is older than what the session has read of this key.</summary>
    MonotonicReads = 4,

    /// <summary>A read shows what is older than what the session has seen of other keys: a region shows a prefix.</summary>
    Prefix = 5,

    /// <summary>A write got a revision that is not after everything that the session had seen.</summary>
    WritesFollowReads = 6,
}

/// <summary>A step that must not have ended as it did.</summary>
public sealed record SessionViolation(SessionFault Fault, SessionStep Step, string Why)
{
    /// <inheritdoc/>
    public override string ToString() =>
        $"{Fault}: session {Step.Session}, {Step.Kind} of {Step.Key} at {Step.Where}: {(Step.Value is null ? "nothing" : $"'{Step.Value}'")} at revision {Step.Revision}, {Why}";
}

/// <summary>
/// Does each session see its own writes, and never less than it has seen? Judged by revisions: a session has seen the log up to some revision at
/// least, its floor, and each read must show its key as it was at the floor or later. Nothing is known of the View that answered but the row, so
/// the floor rises by the least that explains the answer, and whatever is reported is certain.
/// What is given to <see cref="Check"/> again and again is one history: sessions go on where they were.
/// Invariant: all writes of the history are given together with the reads that may have seen them, or before.
/// </summary>
public sealed class SessionGuarantees
{
    /// <summary>The writes of each key by revision; null where it was removed.</summary>
    private readonly Dictionary<string, SortedList<long, string?>> _written = [];
    private readonly Dictionary<int, Seen> _sessions = [];

    /// <summary>What one session has seen, as revisions.</summary>
    private sealed class Seen
    {
        public long Floor { get; set; }

        public Dictionary<string, long> Read { get; } = [];

        public Dictionary<string, long> Written { get; } = [];
    }

    /// <summary>Takes steps that follow those of the calls before; returns what is wrong with them.</summary>
    public IReadOnlyList<SessionViolation> Check(IReadOnlyList<SessionStep> steps)
    {
        var found = new List<SessionViolation>();
        foreach (var write in steps.Where(step => step.Kind != SessionStepKind.Read))
        {
            if (!WritesOf(write.Key).TryAdd(write.Revision.Value, write.Value))
            {
                found.Add(new(SessionFault.RevisionTwice, write, "as another write of the key"));
            }
        }

        foreach (var step in steps)
        {
            if (!_sessions.TryGetValue(step.Session, out var session))
            {
                _sessions[step.Session] = session = new();
            }

            if ((step.Kind == SessionStepKind.Read ? JudgeRead(step, session) : JudgeWrite(step, session)) is { } violation)
            {
                found.Add(violation);
            }
        }

        return found;
    }

    private SortedList<long, string?> WritesOf(string key)
    {
        if (!_written.TryGetValue(key, out var writes))
        {
            _written[key] = writes = [];
        }

        return writes;
    }

    private static SessionViolation? JudgeWrite(SessionStep write, Seen session)
    {
        var (revision, floor) = (write.Revision.Value, session.Floor);
        session.Floor = Math.Max(floor, revision);
        session.Written[write.Key] = revision;
        return revision > floor ? null : new(SessionFault.WritesFollowReads, write, $"and the session had seen {floor} before");
    }

    private SessionViolation? JudgeRead(SessionStep read, Seen session)
    {
        var writes = WritesOf(read.Key);
        var newest = AtOrBefore(writes.Keys, session.Floor);
        if (read.Value is not null && !(writes.TryGetValue(read.Revision.Value, out var value) && value == read.Value))
        {
            return new(SessionFault.NeverWritten, read, "where nobody has written that");
        }

        var at = read.Value is null ? Absence(writes, newest) : read.Revision.Value;
        session.Floor = Math.Max(session.Floor, at);
        var fault = newest < 0 || writes.Keys[newest] <= at ? SessionFault.Unspecified
            : session.Written.GetValueOrDefault(read.Key) > at ? SessionFault.ReadYourWrites
            : session.Read.GetValueOrDefault(read.Key) > at ? SessionFault.MonotonicReads
            : SessionFault.Prefix;
        if (fault != SessionFault.Unspecified)
        {
            return new(fault, read, $"and the session had seen {session.Floor}, where the key was of {writes.Keys[newest]}");
        }

        session.Read[read.Key] = Math.Max(at, session.Read.GetValueOrDefault(read.Key));
        return null;
    }

    /// <summary>
    /// Since which revision the key was not there, for a read that did not find it: the earliest that fits the floor, else the last before it.
    /// 0 where it had not been written yet.
    /// </summary>
    /// <param name="newest">The newest write that the session must see.</param>
    private static long Absence(SortedList<long, string?> writes, int newest)
    {
        if (newest < 0)
        {
            return 0;
        }

        for (var i = newest; i < writes.Count; i++)
        {
            if (writes.Values[i] is null)
            {
                return writes.Keys[i];
            }
        }

        for (var i = newest - 1; i >= 0; i--)
        {
            if (writes.Values[i] is null)
            {
                return writes.Keys[i];
            }
        }

        return 0;
    }

    /// <summary>Where in a sorted list the last revision is that is not after another one; -1 where there is none.</summary>
    private static int AtOrBefore(IList<long> revisions, long revision)
    {
        var (low, high) = (0, revisions.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            (low, high) = revisions[middle] <= revision ? (middle + 1, high) : (low, middle);
        }

        return low - 1;
    }
}
