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
    private readonly Dictionary<OperationId, First> _byId = [];
    private readonly Queue<(OperationId Id, LogTime LogTime)> _byAge = new();
    private LogTime _evictedUpTo;
    private bool _evicted;

    private readonly record struct First(Revision Revision, ChainHash RequestHash);

    public int Count => _byId.Count;

    /// <summary>Fills the memory from the end of the change log.</summary>
    public void Rebuild(View view)
    {
        _byId.Clear();
        _byAge.Clear();
        _evicted = false;
        var oldest = view.Progress.LogTime.Add(-window.MaxAge);
        var first = view.Position.Revision.Next;
        using var cursor = view.OpenLog();
        for (var more = cursor.SeekForPrevious(view.Position.Revision); more && _byId.Count < window.MaxCount; more = cursor.Previous())
        {
            var header = RecordView.Parse(cursor.Record).Header;
            if (header.LogTime < oldest)
            {
                break;
            }

            _byId[header.OperationId] = new(header.Revision, header.RequestHash);
            first = header.Revision;
        }

        for (var more = cursor.Seek(first); more; more = cursor.Next())
        {
            var header = RecordView.Parse(cursor.Record).Header;
            _byAge.Enqueue((header.OperationId, header.LogTime));
        }

        // The record before the first one kept tells what has been forgotten by count.
        if (cursor.SeekForPrevious(new(first.Value - 1)))
        {
            _evictedUpTo = RecordView.Parse(cursor.Record).Header.LogTime;
            _evicted = true;
        }
    }

    /// <summary>Forgets what is too old at the stamp of the next entry.</summary>
    public void Advance(LogTime now)
    {
        var oldest = now.Add(-window.MaxAge);
        while (_byAge.TryPeek(out var next) && next.LogTime < oldest)
        {
            Evict();
        }
    }

    /// <summary>The outcome that an id already has, or null where the command is to be judged.</summary>
    public CommitOutcome? Judge(OperationId id, ChainHash requestHash, LogTime now)
    {
        if (_byId.TryGetValue(id, out var first))
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
        if (_byId.Count >= window.MaxCount)
        {
            Evict();
        }

        _byId[id] = new(revision, requestHash);
        _byAge.Enqueue((id, logTime));
    }

    /// <summary>
    /// Ids issued before this may have been forgotten. An id can be in a record up to MaxLead older than the id says, so the
    /// floor lies that much above the oldest record that is still remembered.
    /// </summary>
    private LogTime Floor(LogTime now)
    {
        var byAge = now.Add(-window.MaxAge);
        var byCount = _evicted ? new LogTime(_evictedUpTo.Value + 1) : LogTime.None;
        var floor = byAge > byCount ? byAge : byCount;
        return floor == LogTime.None ? floor : floor.Add(window.MaxLead);
    }

    private void Evict()
    {
        var (id, logTime) = _byAge.Dequeue();
        _byId.Remove(id);
        _evictedUpTo = logTime;
        _evicted = true;
    }
}
