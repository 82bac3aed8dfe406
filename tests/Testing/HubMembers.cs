using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Sequencing;
using Quicksilver.Storage;

namespace Quicksilver.Testing;

/// <summary>Hub members in one process, without Orleans: real Raft over loopback TCP, real stores.</summary>
public sealed class HubMembers : IAsyncDisposable
{
    /// <summary>
    /// An election timeout for tests of which no election is the subject: a machine that holds a hub up for less than this makes nobody
    /// else its leader. The first election takes as long.
    /// </summary>
    public static readonly TimeSpan Patient = TimeSpan.FromSeconds(2);

    private readonly List<HubMember> _addresses = [];
    private readonly SequencerOptions _options;

    private readonly RaftLogKind _log;
    private readonly TimeSpan? _electionTimeout;

    private HubMembers(SequencerOptions options, RaftLogKind log, TimeSpan? electionTimeout) =>
        (_options, _log, _electionTimeout) = (options, log, electionTimeout);

    /// <summary>One member; engine and store are null while it is stopped.</summary>
    public sealed class Member(NodeId node, string path)
    {
        public NodeId Node { get; } = node;
        public string Path { get; } = path;
        public DataDirectory? Directory { get; set; }
        public NodeStore? Store { get; set; }
        public HubEngine? Engine { get; set; }

        /// <summary>Highest feature level that it can apply from its next start on: it plays a build.</summary>
        public int FeatureLevel { get; set; } = EntryApplier.SupportedFeatureLevel;

        /// <summary>From its next start on; null for that of the hub.</summary>
        public TimeSpan? ElectionTimeout { get; set; }
    }

    public List<Member> Members { get; } = [];

    public IReadOnlyList<HubMember> Addresses => _addresses;

    public Member? Leader => Members.Find(member => member.Engine?.Sequencer.Leadership.IsLeader == true);

    public LogTime LogTime => new(TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds());

    /// <summary>
    /// Whoever leads and has applied everything that was committed before; waits for one while nobody does. It may lead no more a moment
    /// later: who needs one leader for several things asks once.
    /// </summary>
    public async Task<Member> LeaderAsync(CancellationToken stop)
    {
        Member? leader = null;
        await Eventually.TrueAsync(
            async () =>
            {
                leader = Leader;
                return leader is { Engine: { } engine } && await engine.Sequencer.ReadBarrierAsync(stop) is not null;
            },
            "a leader", stop);
        return leader!;
    }

    /// <summary>A new hub.</summary>
    /// <param name="electionTimeout">Null for that of a node.</param>
    public static Task<HubMembers> StartAsync(
        TempDirectory directory, int count, CancellationToken stop, SequencerOptions? options = null, RaftLogKind log = RaftLogKind.Database,
        TimeSpan? electionTimeout = null)
    {
        var addresses = Enumerable.Range(0, count).Select(i => new HubMember(NodeId.Parse($"hub-{i}"), new(IPAddress.Loopback, Ports.Free()))).ToList();
        return StartAsync(addresses, addresses.ToDictionary(member => member.Node, member => directory.Sub(member.Node.Value)), stop, options, log, electionTimeout);
    }

    /// <summary>Those members of a hub that have a directory here; a majority of them, or there will be no leader.</summary>
    public static async Task<HubMembers> StartAsync(
        IReadOnlyList<HubMember> addresses, IReadOnlyDictionary<NodeId, string> directories, CancellationToken stop, SequencerOptions? options = null,
        RaftLogKind log = RaftLogKind.Database, TimeSpan? electionTimeout = null)
    {
        var hub = new HubMembers(options ?? new(), log, electionTimeout);
        hub._addresses.AddRange(addresses);
        foreach (var (node, path) in directories)
        {
            hub.Members.Add(new(node, path));
        }

        try
        {
            // Together: a new hub is formed when all are there.
            await Task.WhenAll(hub.Members.Select(member => hub.RestartAsync(member, stop)));
            await Eventually.TrueAsync(
                () => hub.Leader?.Store?.Progress.Cluster.IsNone == false, "a leader and a formed cluster", stop);
            return hub;
        }
        catch
        {
            await hub.DisposeAsync();
            throw;
        }
    }

    /// <param name="configured">What the member is told of the others; by default the truth.</param>
    public async Task RestartAsync(Member member, CancellationToken stop, IReadOnlyList<HubMember>? configured = null)
    {
        member.Directory = DataDirectory.Take(member.Path);
        member.Store = NodeStore.Open(member.Directory, new() { Node = member.Node });
        var raft = new RaftNodeOptions { Self = member.Node, Members = configured ?? _addresses, LogDirectory = member.Directory.RaftPath, Log = _log };
        if ((member.ElectionTimeout ?? _electionTimeout) is { } electionTimeout)
        {
            raft = raft with { ElectionTimeout = electionTimeout };
        }

        var random = new Random(member.Node.GetHashCode());
        member.Engine = await HubEngine.OpenAsync(
            member.Store, raft, new LivePeers(this, member.Node), _options with { SupportedFeatureLevel = member.FeatureLevel }, TimeProvider.System, () => (ulong)random.NextInt64(), NullLoggerFactory.Instance, stop);
    }

    public async Task StopAsync(Member member, CancellationToken stop)
    {
        if (member.Engine is { } engine)
        {
            await engine.StopAsync(stop);
            await engine.DisposeAsync();
        }

        member.Store?.Dispose();
        member.Directory?.Dispose();
        (member.Engine, member.Store, member.Directory) = (null, null, null);
    }

    /// <summary>Commits at the leader, trying again with the same bytes until the outcome is certain.</summary>
    public async Task<CommitOutcome[]> CommitAsync(ReadOnlyMemory<byte>[] commands, CancellationToken stop)
    {
        CommitOutcome[]? outcomes = null;
        await Eventually.TrueAsync(
            async () =>
            {
                if (Leader is not { } leader)
                {
                    return false;
                }

                outcomes = await leader.Engine!.Sequencer.CommitAsync(commands, stop);
                return outcomes.All(outcome => outcome.Kind is not (CommitKind.Unavailable or CommitKind.Unknown or CommitKind.Overloaded));
            },
            "a certain outcome", stop);
        return outcomes!;
    }

    /// <summary>Waits until all running members are at a revision, and compares their state and chain.</summary>
    public async Task WaitForEqualAsync(Revision revision, CancellationToken stop)
    {
        var running = Members.Where(member => member.Store is not null).ToList();
        await Eventually.TrueAsync(
            () => running.TrueForAll(member => member.Store!.Progress.Position.Revision >= revision), $"revision {revision} everywhere", stop);
        var hashes = running.Select(member =>
        {
            using var view = member.Store!.AcquireView();
            return StateHash.Compute(view, view, view.Position.Revision, stop);
        }).Distinct().ToList();
        if (hashes.Count != 1)
        {
            throw new InvalidOperationException($"Members differ: {string.Join(" / ", hashes)}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var member in Members)
        {
            await StopAsync(member, CancellationToken.None);
        }
    }

    /// <summary>The others, asked directly.</summary>
    private sealed class LivePeers(HubMembers hub, NodeId self) : IHubPeers
    {
        public async Task<HubWord?> AskAsync(CancellationToken cancellation) =>
            hub.Leader is { Engine: { } engine } && await engine.Sequencer.ReadBarrierAsync(cancellation) is not null
                ? new(engine.Agreed.Members.Any(member => member.Node == self), engine.Agreed.Invited.FirstOrDefault(member => member.Node == self)?.Endpoint)
                : null;

        public async Task<AgreedMembers> FillAsync(NodeStore store, CancellationToken cancellation)
        {
            // One leader for all of it: it serves what it has also where another is elected meanwhile.
            var leader = await hub.LeaderAsync(cancellation);
            var (node, source, engine) = (leader.Node, leader.Store!, leader.Engine!);
            var progress = source.Progress;
            var agreed = engine.Agreed;
            if (store.Progress.Cluster.IsNone)
            {
                using var sending = new SnapshotSource(node, source, engine.Raft.TermOf, new(), TimeProvider.System);
                using var snapshot = await new SnapshotCopy(Identity, store, NullLogger.Instance).ReceiveAsync(
                    sending, node, isOfUse: null, cancellation);
                store.Install(snapshot, joins: true);
                progress = source.Progress;
                agreed = engine.Agreed;
            }

            using var log = new LogSource(node, source, engine.Clock, new(), TimeProvider.System);
            await new LogCopy(Identity, store).CopyAsync(log, progress.Position.Revision, cancellation);
            HubCopy.Complete(store, progress);
            return agreed with { AsOf = agreed.AsOf > progress.AppliedIndex ? agreed.AsOf : progress.AppliedIndex };
        }

        public async Task<(IncomingSnapshot Snapshot, AgreedMembers Agreed)> ReceiveAsync(NodeStore store, LogIndex atLeast, CancellationToken cancellation)
        {
            var leader = await hub.LeaderAsync(cancellation);
            var engine = leader.Engine!;
            using var source = new SnapshotSource(leader.Node, leader.Store!, engine.Raft.TermOf, new(), TimeProvider.System);
            var snapshot = await new SnapshotCopy(Identity, store, NullLogger.Instance).ReceiveAsync(
                source, leader.Node, header => header.Progress.AppliedIndex >= atLeast && header.AppliedTerm != default, cancellation);
            var agreed = engine.Agreed;
            var applied = snapshot.Header!.Progress.AppliedIndex;
            return (snapshot, agreed with { AsOf = agreed.AsOf > applied ? agreed.AsOf : applied });
        }

        private ReplicaIdentity Identity => new(self, RegionName.Parse("hub"), "");

        public Task RequestMembershipAsync(CancellationToken cancellation)
        {
            hub.Leader?.Engine!.BeginAdd(self);
            return Task.CompletedTask;
        }
    }
}
