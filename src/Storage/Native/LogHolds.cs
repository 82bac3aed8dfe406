using Quicksilver.Model;

namespace Quicksilver.Storage.Native;

/// <summary>
/// From which revision on somebody may still read the change log. Files are deleted whole, without regard to RocksDB's snapshots, so
/// what a View can see must be known here. Safe for all threads.
/// </summary>
internal sealed class LogHolds
{
    private readonly Lock _gate = new();

    // Views by the oldest revision they have: a handful, because a cut is rare.
    private readonly SortedList<long, int> _views = [];

    /// <summary>The oldest revision that a View has; null where there is no View.</summary>
    public Revision? Oldest
    {
        get
        {
            lock (_gate)
            {
                return _views.Count > 0 ? new(_views.Keys[0]) : null;
            }
        }
    }

    public void Add(Revision oldest)
    {
        lock (_gate)
        {
            _views[oldest.Value] = _views.GetValueOrDefault(oldest.Value) + 1;
        }
    }

    public void Remove(Revision oldest)
    {
        lock (_gate)
        {
            if (--_views[oldest.Value] == 0)
            {
                _views.Remove(oldest.Value);
            }
        }
    }
}
