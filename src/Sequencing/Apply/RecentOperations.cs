using System.Buffers.Binary;
using System.Security.Cryptography;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// The operation ids of the last effective transactions, in memory, rebuilt from the change log at start.
/// Invariant: after entry N the content is a function of the log up to N alone: the last <c>MaxCount</c> records whose log time
/// is not older than <c>MaxAge</c> before the stamp of N. So all members answer a retry alike, however often they restarted.
/// </summary>
public sealed class RecentOperations(OperationWindow window)
{
    private readonly OperationRing _ring = new(window.MaxCount, BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(sizeof(ulong))));

    public int Count => _ring.Count;

    /// <summary>
    /// Ids issued before this may have been forgotten because there were too many: greater than any id that was. It only grows;
    /// the caller stores it with the state.
    /// </summary>
    public LogTime CountFloor { get; private set; }

    /// <summary>Fills the memory from the end of the change log.</summary>
    public void Rebuild(View view)
    {
        _ring.Clear();
        CountFloor = view.Progress.OperationsFloor;
        var oldest = view.Progress.LogTime.Add(-window.MaxAge);
        var first = view.Position.Revision.Next;
        using var cursor = view.OpenLog();
        var count = 0;
        for (var more = cursor.SeekForPrevious(view.Position.Revision); more && count < window.MaxCount; more = cursor.Previous())
        {
            var header = RecordView.Parse(cursor.Record).Header;
            if (header.LogTime < oldest)
            {
                break;
            }

            first = header.Revision;
            count++;
        }

        for (var more = cursor.Seek(first); more; more = cursor.Next())
        {
            var header = RecordView.Parse(cursor.Record).Header;
            _ring.Add(new(header.OperationId, header.Revision, header.RequestHash, header.LogTime));
        }
    }

    /// <summary>Forgets what is too old at the stamp of the next entry.</summary>
    public void Advance(LogTime now)
    {
        var oldest = now.Add(-window.MaxAge);
        while (_ring.Count > 0 && _ring.Oldest.LogTime < oldest)
        {
            _ring.RemoveOldest();
        }
    }

    /// <summary>The outcome that an id already has, or null where the command is to be judged.</summary>
    public CommitOutcome? Judge(OperationId id, ChainHash requestHash, LogTime now)
    {
        if (_ring.TryFind(id, out var first))
        {
            return first.RequestHash == requestHash ? CommitOutcome.Committed(first.Revision) : CommitOutcome.OperationIdReused;
        }

        if (id.IssuedAt > now.Add(window.MaxLead))
        {
            return CommitOutcome.FromFuture;
        }

        return id.IssuedAt < Floor(now) ? CommitOutcome.Expired : null;
    }

    public void Remember(OperationId id, Revision revision, ChainHash requestHash, LogTime logTime)
    {
        if (_ring.Count >= window.MaxCount)
        {
            var evicted = _ring.Oldest.Id;
            _ring.RemoveOldest();
            CountFloor = evicted.IssuedAt >= CountFloor ? new(evicted.IssuedAt.Value + 1) : CountFloor;
        }

        _ring.Add(new(id, revision, requestHash, logTime));
    }

    /// <summary>
    /// Ids issued before this may have been forgotten. By age: an id can be in a record that is up to MaxLead older than the id
    /// says, so the floor lies that much above the oldest record that is still remembered.
    /// </summary>
    private LogTime Floor(LogTime now)
    {
        var byAge = now.Value > window.MaxAge.TotalMilliseconds ? now.Add(-window.MaxAge).Add(window.MaxLead) : LogTime.None;
        return byAge > CountFloor ? byAge : CountFloor;
    }
}
