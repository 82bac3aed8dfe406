using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// The log source of one process: <see cref="LogSource"/> line by line, with events in place of awaits and the simulated store below. The
/// sessions are real ones (<see cref="PullSession"/>): they say whose turn it is, keep cursor, chain and path. Only the wait for a turn is
/// done here, because theirs resumes on some thread.
/// </summary>
internal sealed class SimulatedSource(World world, SimulatedNode node)
{
    /// <summary>As in <see cref="PullSession"/>.</summary>
    private const int MaxAhead = 64;

    private static readonly LogSourceOptions s_options = Tuning.Source;

    private readonly Dictionary<NodeId, Session> _sessions = [];
    private readonly List<Poll> _polls = [];
    private (NodeId[] Upstream, NodeId[] Path) _path = ([], [node.Id]);
    private long _lastSession = node.Time.GetUtcNow().UtcTicks;

    private sealed class Session(PullSession turns, SimulatedSelection? selection)
    {
        public PullSession Turns { get; } = turns;

        /// <summary>What of the log the child gets; null for all of it. The real one reads the real store.</summary>
        public SimulatedSelection? Selection { get; } = selection;

        /// <summary>The number whose turn it is or comes next, as the session has it.</summary>
        public long Turn { get; set; }

        public bool IsBroken { get; set; }

        public Dictionary<long, Request> Early { get; } = [];
    }

    private sealed class Request(NextPageRequest asked, TimeSpan arrived, Action<LogPage> reply)
    {
        public NextPageRequest Asked { get; } = asked;

        public TimeSpan Arrived { get; } = arrived;

        public Action<LogPage> Reply { get; } = reply;
    }

    private sealed class Poll(Revision wanted, Action run)
    {
        public Revision Wanted { get; } = wanted;

        public Action Run { get; } = run;
    }

    public List<PullChild> Children
    {
        get
        {
            ForgetIdle();
            return [.. _sessions.Values.Select(session => session.Turns.Child)];
        }
    }

    private NodeId[] Path
    {
        get
        {
            var above = node.Replicator?.Path ?? [];
            if (!_path.Upstream.AsSpan().SequenceEqual(above))
            {
                _path = (above, [node.Id, .. above]);
            }

            return _path.Path;
        }
    }

    private long Timestamp => node.Time.GetTimestamp();

    public SourceDescription Describe()
    {
        var progress = node.Store.Progress;
        return new(node.Id, progress.Cluster, progress.Position, progress.Oldest, node.LogClock.Age, Path);
    }

    public OpenPullAnswer Open(OpenPullRequest request)
    {
        var progress = node.Store.Progress;
        var path = Path;
        if (!Subscription.TryCreate(request.Keyspaces, out var subscription, out var problem))
        {
            throw new InvalidOperationException(problem);
        }

        var holdsThem = progress.Subscription.Covers(subscription) || world.Plant == Plant.ServesWhatItLacks;
        var (status, chain) = holdsThem ? Judge(progress, request, path) : (OpenPullStatus.NotHeld, null);
        long number = 0;
        if (status == OpenPullStatus.Open)
        {
            ForgetIdle();
            if (_sessions.Count >= s_options.MaxChildren && !_sessions.ContainsKey(request.Child))
            {
                status = OpenPullStatus.Unavailable;
            }
            else
            {
                number = ++_lastSession;
                var child = new PullChild(request.Child, request.Region, request.Gateway, request.Position.Revision);
                _sessions[request.Child] = new(
                    new(number, child, request.Position.Revision.Next, chain, subscription, LogSelection.Far, path, PageEncoding.None, Timestamp),
                    subscription.IsAll ? null : new SimulatedSelection(world, node.Store, subscription));
                world.Verdict.Count("sessions at parts", progress.Subscription.IsAll ? 0 : 1);
            }
        }

        world.Verdict.Count($"open: {status}");
        world.Checks.Asked(node, subscription, isServed: status == OpenPullStatus.Open, isNotHeld: status == OpenPullStatus.NotHeld);
        return new(status, number, progress.Cluster, progress.Position, progress.Oldest, node.LogClock.Now, path, chain ?? default);
    }

    /// <summary>With the chain at the child's position; null where this node holds some keyspaces only, and does not know it.</summary>
    private (OpenPullStatus Status, ChainHash? Chain) Judge(StoreProgress progress, OpenPullRequest request, NodeId[] path)
    {
        if (request.Child == node.Id)
        {
            return (OpenPullStatus.Self, null);
        }

        if (path.Contains(request.Child))
        {
            return (OpenPullStatus.Cycle, null);
        }

        if (progress.Cluster.IsNone)
        {
            return (OpenPullStatus.Unavailable, null);
        }

        if (!request.Cluster.IsNone && request.Cluster != progress.Cluster)
        {
            return (OpenPullStatus.OtherCluster, null);
        }

        if (request.Cluster.IsNone)
        {
            return progress.Oldest > Revision.None.Next
                ? (OpenPullStatus.TooOld, null)
                : (OpenPullStatus.Open, StoreProgress.FirstChain(progress.Cluster, progress.Position.History));
        }

        if (request.Position.History != progress.Position.History || request.Position.Log != progress.Position.Log)
        {
            return (OpenPullStatus.Diverged, node.Store.FindChain(request.Position.Revision));
        }

        if (request.Position.Revision > progress.Position.Revision)
        {
            return (OpenPullStatus.SourceBehind, null);
        }

        if (request.Position.Revision.Next < progress.Oldest)
        {
            return (OpenPullStatus.TooOld, null);
        }

        if (node.Store.FindChain(request.Position.Revision) is not { } chain)
        {
            world.Verdict.Count("positions that a part does not know", progress.Subscription.IsAll ? 0 : 1);
            return (progress.Subscription.IsAll ? OpenPullStatus.Unavailable : OpenPullStatus.Open, null);
        }

        return (chain == request.Chain ? OpenPullStatus.Open : OpenPullStatus.Diverged, chain);
    }

    public void Next(NextPageRequest asked, Action<LogPage> reply)
    {
        var request = new Request(asked, world.Now, reply);
        if (_sessions.Values.FirstOrDefault(open => open.Turns.Id == asked.Session) is not { } session)
        {
            reply(Lost());
            return;
        }

        Enter(session, request);
    }

    private void Enter(Session session, Request request)
    {
        var number = request.Asked.Number;
        if (!session.IsBroken && number > session.Turn && number - session.Turn <= MaxAhead)
        {
            if (!session.Early.TryAdd(number, request))
            {
                request.Reply(Lost());
            }

            return;
        }

        // Nothing is left that it would wait for.
        var entered = session.Turns.EnterAsync(number, TimeSpan.Zero, node.Time, CancellationToken.None).AsTask();
        if (entered.IsCompleted && entered.Result)
        {
            Serve(session, request);
        }
        else
        {
            request.Reply(Lost());
        }
    }

    private void Serve(Session session, Request request)
    {
        session.Turns.Touch(request.Asked.Applied, Timestamp);
        var wait = Earlier(request.Asked.MaxWait, s_options.MaxWait) - (world.Now - request.Arrived);
        if (wait <= TimeSpan.Zero || node.Store.Last >= session.Turns.Cursor)
        {
            Pace(session, request);
            return;
        }

        var poll = new Poll(session.Turns.Cursor, () => Pace(session, request));
        _polls.Add(poll);
        node.After(wait, $"a poll at {node.Id} is over", () =>
        {
            if (_polls.Remove(poll))
            {
                poll.Run();
            }
        });
    }

    /// <summary>A View was published.</summary>
    public void Wake()
    {
        foreach (var poll in _polls.FindAll(poll => poll.Wanted <= node.Store.Last))
        {
            _polls.Remove(poll);
            node.After(world.Simulator.Between(0.01, 0.2), $"a poll at {node.Id} wakes", poll.Run);
        }
    }

    private void Pace(Session session, Request request)
    {
        var pace = session.Turns.WasEmpty && request.Asked.Pace < Tuning.EmptyPace ? Tuning.EmptyPace : request.Asked.Pace;
        var pause = Earlier(pace, s_options.MaxPace) - node.Time.GetElapsedTime(session.Turns.SentAt);
        var isPaced = pause > TimeSpan.Zero && node.Store.Last.Value - session.Turns.Cursor.Value < s_options.PaceRecords;
        node.After((isPaced ? pause : TimeSpan.Zero) + node.DiskTime(0.3), $"{node.Id} reads a page", () => Answer(session, request));
    }

    private void Answer(Session session, Request request)
    {
        var page = ReadPage(session, Math.Clamp(request.Asked.MaxBytes, 1, s_options.MaxPageBytes));
        session.Turns.SentAt = Timestamp;
        page = page with { Path = session.Turns.TellPath(Path) };
        world.Checks.Sent(node, session.Turns.Child.Node, session.Selection?.Subscription ?? Subscription.All, page);
        request.Reply(page);
        Leave(session, page.Status == PageStatus.Ok);
    }

    private void Leave(Session session, bool isAnswered)
    {
        if (!isAnswered)
        {
            Break(session);
            return;
        }

        session.Turns.Leave(answered: true);
        session.Turn++;
        if (session.Early.Remove(session.Turn, out var next))
        {
            Enter(session, next);
        }
    }

    private void Break(Session session)
    {
        session.Turns.Leave(answered: false);
        session.IsBroken = true;
        var early = session.Early.Values.ToList();
        session.Early.Clear();
        early.ForEach(request => request.Reply(Lost()));
    }

    /// <summary>Breaks the sessions in which a request has waited too long for those before it.</summary>
    public void LoseImpatient()
    {
        foreach (var session in _sessions.Values)
        {
            if (session.Early.Values.Any(request => world.Now - request.Arrived > s_options.MaxWait + TimeSpan.FromSeconds(1)))
            {
                world.Verdict.Count("requests whose predecessor never came");
                Break(session);
            }
        }
    }

    private LogPage ReadPage(Session session, int maxBytes)
    {
        var progress = node.Store.Progress;
        var turns = session.Turns;
        var from = turns.Cursor;
        if (!turns.IsCoveredBy(progress.Subscription) && world.Plant != Plant.ServesWhatItLacks)
        {
            return Header(PageStatus.SessionLost, progress, from);
        }

        if (progress.Position.Revision < from)
        {
            return Header(PageStatus.Ok, progress, from);
        }

        if (progress.Oldest > from)
        {
            world.Verdict.Count("page: TooOld");
            return Header(PageStatus.TooOld, progress, from);
        }

        try
        {
            var records = new ByteWriter(1024);
            if (session.Selection is { } selection)
            {
                var known = turns.Chain;
                var end = selection.ReadPage(from, ref known, maxBytes, records);
                turns.Move(end, known);
                turns.WasEmpty = records.Length == 0;
                world.Verdict.Count("pages that only say how far", records.Length == 0 ? 1 : 0);
                return (Header(PageStatus.Ok, progress, from) with { To = end, Records = new(records.ToArray()), Chain = known ?? default }).Sealed();
            }

            var chain = turns.Chain!.Value;
            var to = node.Store.ReadPage(from, ref chain, maxBytes, records);
            turns.Move(to, chain);
            var bytes = records.ToArray();
            if (world.Plant == Plant.SkipsARecord && to.Value - from.Value > 1 && world.Simulator.Chance(0.2))
            {
                bytes = WithoutTheFirst(bytes);
            }

            return Header(PageStatus.Ok, progress, from) with { To = to, Records = new(bytes) };
        }
        catch (StorageException e) when (e.Fault is StorageFault.Corrupt)
        {
            world.Verdict.Count("page: SourceDamaged");
            return Header(PageStatus.SourceDamaged, progress, from);
        }
    }

    private static byte[] WithoutTheFirst(byte[] records)
    {
        var reader = new ByteReader(records);
        reader.ReadBytes(RecordFormat.MaxBytes, "the record's length");
        return records.AsSpan(reader.Offset).ToArray();
    }

    private LogPage Lost()
    {
        world.Verdict.Count("page: SessionLost");
        return Header(PageStatus.SessionLost, node.Store.Progress, default);
    }

    private LogPage Header(PageStatus status, StoreProgress progress, Revision from) => new(
        status, progress.Cluster, progress.Position, progress.Oldest, node.LogClock.Now, node.LogClock.Age ?? TimeSpan.MaxValue, from, from, default);

    private void ForgetIdle()
    {
        foreach (var session in _sessions.Values.Where(open => node.Time.GetElapsedTime(open.Turns.LastSeen) > s_options.SessionIdle).ToList())
        {
            _sessions.Remove(session.Turns.Child.Node);
        }
    }

    private static TimeSpan Earlier(TimeSpan one, TimeSpan other) => one < other ? one : other;
}
