using Quicksilver.Model;

namespace Quicksilver.Replication;

/// <summary>When a replica leaves a source, and when it comes back.</summary>
public sealed record SourceOptions
{
    /// <summary>A source that was not level with the hub for longer is left for one that is further. Default 30 s.</summary>
    public TimeSpan StaleAfter { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long another source is pulled from before a better one is looked at, and between two looks at it. Default 30 s.</summary>
    public TimeSpan ReturnAfter { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>As <see cref="ReturnAfter"/>, for the first two sources of a process: nodes that start together see each other late, and one that begins with a neighbour's copy goes on elsewhere. Default 3 s.</summary>
    public TimeSpan FirstReturnAfter { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>A better source is returned to where it was level with the hub at most so long ago. Default 10 s: where nothing is written, each tier adds up to three.</summary>
    public TimeSpan GoodAge { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Between two looks at others while the source is stale. Default 5 s.</summary>
    public TimeSpan LookPeriod { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a source is avoided that failed, was full, behind or stale. Default 10 s.</summary>
    public TimeSpan AvoidFor { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a source is avoided that is damaged, diverged or the wrong one. Default 60 s.</summary>
    public TimeSpan DistrustFor { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Share by which every time above is made longer or shorter at random, so that children of one source do not move together. Default 0.2.</summary>
    public double Jitter { get; init; } = 0.2;
}

/// <summary>
/// Which source a replica pulls from: a synchronous state machine without clock or sockets. Sources are known by their addresses, in order
/// of preference. It says which ones may be tried, in which order, what is worth a look, and when the current one is to be left.
/// Invariant: it never leaves a source that works unless another was seen to be better.
/// </summary>
public sealed class SourceChoice(SourceOptions options, Random random)
{
    private readonly Dictionary<string, Avoided> _avoided = [];
    private readonly Dictionary<string, TimeSpan> _looked = [];
    private IReadOnlyList<string> _candidates = [];
    private string? _current;
    private TimeSpan _upSince;
    private int _ups;
    private TimeSpan _heardAt;
    private TimeSpan? _age;
    private Revision _revision;

    // Since when the current source has not known its age, or has been too old.
    private TimeSpan? _staleSince;

    private readonly record struct Avoided(SourceFault Fault, TimeSpan Until);

    /// <summary>The source that is linked, or null.</summary>
    public string? Current => _current;

    /// <summary>How many sources there are beside the current one.</summary>
    public int Others => _candidates.Count(candidate => candidate != _current);

    /// <summary>Sets the sources, best first.</summary>
    public void SetCandidates(IReadOnlyList<string> candidates)
    {
        if (_candidates.SequenceEqual(candidates))
        {
            return;
        }

        _candidates = [.. candidates];
        foreach (var gone in _avoided.Keys.Concat(_looked.Keys).Except(candidates).ToList())
        {
            _avoided.Remove(gone);
            _looked.Remove(gone);
        }
    }

    /// <summary>
    /// The sources to try, best first. Those that are avoided come last, the one whose time is over first at their head; those that are
    /// distrusted do not come at all. Empty where all are distrusted.
    /// </summary>
    public IReadOnlyList<string> Order(TimeSpan now) =>
    [
        .. _candidates.Where(candidate => !IsAvoided(candidate, now)),
        .. _candidates.Where(candidate => IsAvoided(candidate, now) && !IsDistrust(_avoided[candidate].Fault)).OrderBy(candidate => _avoided[candidate].Until),
    ];

    private bool IsAvoided(string candidate, TimeSpan now) => _avoided.TryGetValue(candidate, out var avoided) && avoided.Until > now;

    private static bool IsDistrust(SourceFault fault) => fault is SourceFault.Damaged or SourceFault.Diverged or SourceFault.Wrong;

    public void OnUp(string source, TimeSpan now)
    {
        (_current, _upSince, _heardAt, _age, _revision, _staleSince) = (source, now, now, null, Revision.None, null);
        _ups++;
    }

    public void OnLost() => _current = null;

    /// <summary>What the current source says of itself.</summary>
    /// <param name="age">How long ago it was level with the hub; null where it does not know.</param>
    public void OnHeard(TimeSpan? age, Revision revision, TimeSpan now)
    {
        (_heardAt, _revision) = (now, revision);
        _age = SourceAge.Known(age);
        _staleSince = _age is { } known && known <= options.StaleAfter ? null : _staleSince ?? now;
    }

    /// <summary>The current source was given up.</summary>
    public void OnLeft(string source, SourceFault fault, TimeSpan now) =>
        _avoided[source] = new(fault, now + Jittered(IsDistrust(fault) ? options.DistrustFor : options.AvoidFor));

    private TimeSpan Jittered(TimeSpan time) => time * (1 + (options.Jitter * ((2 * random.NextDouble()) - 1)));

    /// <summary>A source that is worth a look now, or null: a better one than the current, or any where the current is stale.</summary>
    public string? NextLook(TimeSpan now)
    {
        if (_current is null)
        {
            return null;
        }

        var isStale = IsStale(now);
        if (!isStale && now - _upSince < (_ups <= 2 ? options.FirstReturnAfter : options.ReturnAfter))
        {
            return null;
        }

        var rank = RankOf(_current);
        for (var i = 0; i < _candidates.Count; i++)
        {
            var candidate = _candidates[i];
            if (candidate != _current && (isStale || i < rank) && !IsAvoided(candidate, now)
                && (!_looked.TryGetValue(candidate, out var next) || next <= now))
            {
                _looked[candidate] = now + Jittered(isStale ? options.LookPeriod : options.ReturnAfter);
                return candidate;
            }
        }

        return null;
    }

    // One that is no candidate any more is the last of all.
    private int RankOf(string source)
    {
        for (var i = 0; i < _candidates.Count; i++)
        {
            if (_candidates[i] == source)
            {
                return i;
            }
        }

        return _candidates.Count;
    }

    private bool IsStale(TimeSpan now) => AgeAt(now) > options.StaleAfter;

    /// <summary>Age of the current source now: what it said last, and the time since. One that never knew its age is as old as the link.</summary>
    private TimeSpan AgeAt(TimeSpan now) => _age is { } age ? age + (now - _heardAt) : now - (_staleSince ?? _upSince);

    /// <summary>
    /// What was seen of a source that was looked at; null where it did not answer. True: leave the current source, the other is better.
    /// </summary>
    public bool OnDescribed(string source, SourceDescription? seen, NodeId self, ClusterUuid cluster, TimeSpan now)
    {
        if (seen is null || _current is null || source == _current || !_candidates.Contains(source))
        {
            return false;
        }

        if (seen.Node == self || (!cluster.IsNone && !seen.Cluster.IsNone && seen.Cluster != cluster))
        {
            OnLeft(source, SourceFault.Wrong, now);
            return false;
        }

        // Not now. It may be looked at again soon: a region that starts sorts itself out.
        if (seen.Path.Contains(self) || seen.Cluster.IsNone)
        {
            return false;
        }

        var age = AgeAt(now);
        var theirs = SourceAge.Known(seen.Age);
        var isFurther = seen.Position.Revision > _revision
            || (seen.Position.Revision == _revision && theirs is { } other && other + (options.StaleAfter / 2) < age);
        if (IsStale(now) && isFurther)
        {
            OnLeft(_current, SourceFault.Stale, now);
            return true;
        }

        // A better one, by preference. It need not be as far: a relay is always a little behind the hub.
        return RankOf(source) < RankOf(_current) && theirs is { } fresh && fresh <= options.GoodAge;
    }
}
