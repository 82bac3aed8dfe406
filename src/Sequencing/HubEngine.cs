using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// Everything that makes a node a hub member, put together: applier, Raft, sequencer, and the first command of a new cluster.
/// </summary>
public sealed partial class HubEngine : IHubMembership, IAsyncDisposable
{
    /// <summary>A member that has known no leader for this long asks whether it is still a member.</summary>
    private static readonly TimeSpan LeaderlessLimit = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan WatchPeriod = TimeSpan.FromSeconds(1);

    private readonly NodeStore _store;
    private readonly RaftNodeOptions _options;
    private readonly MemberStorage _members;
    private readonly IHubPeers? _peers;
    private readonly TimeProvider _time;
    private readonly Func<ulong> _random;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource<Exception> _fault = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _joined = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _isMember;
    private Task _forming = Task.CompletedTask;
    private Task _watching = Task.CompletedTask;

    private HubEngine(
        NodeStore store, RaftNodeOptions raft, MemberStorage members, IHubPeers? peers, SequencerOptions options, TimeProvider time,
        Func<ulong> random, ILoggerFactory loggers)
    {
        _store = store;
        _options = raft;
        _members = members;
        _peers = peers;
        _time = time;
        _random = random;
        _logger = loggers.CreateLogger<HubEngine>();
        Applier = new(store, options.OperationWindow, options.SupportedFeatureLevel);

        // Nothing is applied before Raft is started, so the sequencer is there when the first entry is.
        Raft = new(raft, members, store, Applier, options.RaftLog, applied => Sequencer!.OnApplied(applied), time, loggers);
        Clock = new(store, () => Raft.Leadership.IsLeader, time);
        Sequencer = new(Raft, store, Clock, options, random(), time, loggers.CreateLogger<Sequencer>());
        Applier.SpanOf = Sequencer.SpanOf;
        Expiry = new(store, Sequencer, Clock, random, time, loggers.CreateLogger<ExpirySweeper>());
        _isMember = members.Contains(raft.Self);
        members.MembersChanged += OnMembersChanged;
    }

    public EntryApplier Applier { get; }

    public RaftNode Raft { get; }

    public HubLogClock Clock { get; }

    public Sequencer Sequencer { get; }

    public ExpirySweeper Expiry { get; }

    /// <summary>Completes with the first failure after which this member must stop.</summary>
    public Task<Exception> Fault => _fault.Task;

    /// <summary>
    /// Makes a node a working hub member: forms a new hub with the others, goes on with one it belongs to, or joins one that was
    /// formed without it. Waits for the others, or for an invitation, where it must. Throws <see cref="FormationRefusedException"/> where the node has
    /// nothing and the hub counts it as a member; <see cref="MemberRemovedException"/> where its data belongs to a membership that
    /// has ended: set it aside and come again; <see cref="NeedsRepairException"/>; <see cref="StorageException"/>.
    /// </summary>
    /// <param name="peers">The rest of the hub; null where there is none to ask.</param>
    /// <param name="random">A good source of randomness: cluster uuid, history and proposal ids come from it.</param>
    public static async Task<HubEngine> OpenAsync(
        NodeStore store, RaftNodeOptions raft, IHubPeers? peers, SequencerOptions options, TimeProvider time, Func<ulong> random,
        ILoggerFactory loggers, CancellationToken cancellation)
    {
        if (raft.Members.Count > HubSize.Max)
        {
            throw new ArgumentException($"The hub has {raft.Members.Count} members; it may have at most {HubSize.Max}.", nameof(raft));
        }

        var members = new MemberStorage(raft.LogDirectory, raft.Self, raft.Members);
        var formation = new Formation(raft.Self, raft.Members, members, time, loggers.CreateLogger<Formation>());
        var standing = await formation.JudgeAsync(store.Progress, cancellation).ConfigureAwait(false);
        if (standing != MemberStanding.Member)
        {
            var word = peers is null ? null : await peers.AskAsync(cancellation).ConfigureAwait(false);
            word = word?.IsOf(store.Progress.Cluster) == true ? word : null;
            switch (standing)
            {
                case MemberStanding.Forgetful when word is { IsMember: false }:
                    throw new MemberRemovedException($"'{raft.Self}' is not a member of its hub any more, or never became one again.");
                case MemberStanding.Forgetful:
                    throw NeedsRepairException.VotesLost(raft.Self, store.Progress.AppliedIndex);
                case MemberStanding.Newcomer when word is not { IsMember: false }:
                    throw new FormationRefusedException(
                        $"This node has no data, but its hub was formed already. A member that lost its disk must not vote again under its name. "
                        + (word is null ? "The hub cannot be asked now whether it may join anew. " : "")
                        + $"Run 'qs hub repair {raft.Self}' against another node of the hub ('qs hub add' for one that never was a member), and start this one again.");
            }

            await new Invitation(raft.Members.First(member => member.Node == raft.Self), peers!, time, loggers.CreateLogger<Invitation>())
                .WaitAsync(word!, cancellation).ConfigureAwait(false);

            // The log that comes next may tell of members that are none any more: what was agreed on since must be known first.
            var agreed = await peers!.FillAsync(store, cancellation).ConfigureAwait(false);
            if (agreed.Members.Any(member => member.Node == raft.Self))
            {
                throw new NeedsRepairException($"'{raft.Self}' was copied from a node that still counts it as a member. Start it again.");
            }

            members.Adopt(agreed);
        }
        else if (BehindMark.Read(raft.LogDirectory) is { } atLeast)
        {
            await CatchUpAsync(store, raft, members, peers, atLeast, cancellation).ConfigureAwait(false);
        }

        var engine = new HubEngine(store, raft, members, peers, options, time, random, loggers);
        try
        {
            await engine.StartAsync(joins: standing == MemberStanding.Newcomer, cancellation).ConfigureAwait(false);
            return engine;
        }
        catch
        {
            await engine.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// A member that is behind what the others still have of the log takes the state of one of them, before it takes part. It keeps what it
    /// promised: everything that it acknowledged and lacks now is committed, and in that state.
    /// </summary>
    private static async Task CatchUpAsync(
        NodeStore store, RaftNodeOptions raft, MemberStorage members, IHubPeers? peers, LogIndex atLeast, CancellationToken cancellation)
    {
        if (store.Progress.AppliedIndex < atLeast && peers is not null)
        {
            var (snapshot, agreed) = await peers.ReceiveAsync(store, atLeast, cancellation).ConfigureAwait(false);
            using (snapshot)
            {
                if (!agreed.Members.Any(member => member.Node == raft.Self))
                {
                    throw new MemberRemovedException($"'{raft.Self}' was taken out of the hub while it was away.");
                }

                // Members first: those that are newer than the state do no harm, and older ones would stay.
                members.AdoptNewer(agreed);
                RaftLogStore.Install(store, raft.LogDirectory, snapshot);
            }
        }

        BehindMark.Delete(raft.LogDirectory);
    }

    private async Task StartAsync(bool joins, CancellationToken cancellation)
    {
        WarnOfOtherMembers();
        Sequencer.Start();
        await Raft.StartAsync(cancellation).ConfigureAwait(false);
        _forming = FormAsync();
        _ = ReportAsync(Sequencer.Loop);
        Expiry.Start();
        _ = ReportAsync(Expiry.Loop);
        _ = ReportAsync(_forming);
        _ = ReportFaultAsync();
        if (joins)
        {
            await JoinAsync(cancellation).ConfigureAwait(false);
        }

        _watching = WatchAsync();
        _ = ReportAsync(_watching);
    }

    private void WarnOfOtherMembers()
    {
        if (_members.Members is { } agreed && _members.Contains(_options.Self) && !agreed.ToHashSet().SetEquals(_options.Members))
        {
            LogOtherMembers(Describe(_options.Members), Describe(agreed));
        }
    }

    private static string Describe(IEnumerable<HubMember> members) => string.Join(", ", members.Select(member => $"{member.Node}={member.Endpoint}"));

    /// <summary>Asks to be made a member until it is one. Throws what would end a member.</summary>
    private async Task JoinAsync(CancellationToken cancellation)
    {
        LogJoining(_options.Self, _store.Progress.Position.Revision.Value, _store.Progress.AppliedIndex.Value);
        while (!_joined.Task.IsCompleted)
        {
            await _peers!.RequestMembershipAsync(cancellation).ConfigureAwait(false);
            using var pause = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            await Task.WhenAny(_joined.Task, Fault, Task.Delay(WatchPeriod, _time, pause.Token)).ConfigureAwait(false);
            await pause.CancelAsync().ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
            if (Fault.IsCompletedSuccessfully)
            {
                throw await Fault.ConfigureAwait(false);
            }
        }

        LogJoined(_options.Self);
    }

    private void OnMembersChanged()
    {
        LogMembers(Describe(Agreed.Members), Agreed.AsOf.Value);
        if (_members.Contains(_options.Self))
        {
            _isMember = true;
            _joined.TrySetResult();
        }
        else if (_isMember)
        {
            _fault.TrySetResult(Removed());
        }
    }

    private MemberRemovedException Removed() =>
        new($"'{_options.Self}' was taken out of the hub. Started again, it sets its data aside, and joins anew where it is invited.");

    /// <summary>
    /// A member that is removed need not hear of it: nobody talks to it any more. So one that has long known no leader asks.
    /// </summary>
    private async Task WatchAsync()
    {
        if (_peers is null)
        {
            return;
        }

        using var timer = new PeriodicTimer(WatchPeriod, _time);
        var heard = _time.GetTimestamp();
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false))
            {
                if (Raft.Leadership.Leader is not null)
                {
                    heard = _time.GetTimestamp();
                }
                else if (_time.GetElapsedTime(heard) > LeaderlessLimit && await _peers.AskAsync(_stop.Token).ConfigureAwait(false) is { IsMember: false } word && word.IsOf(_store.Progress.Cluster))
                {
                    _members.Forget();
                    _fault.TrySetResult(Removed());
                    return;
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in order.
        }
    }

    /// <summary>A loop that ends by an exception is a fault of this member; nobody else would notice.</summary>
    private async Task ReportAsync(Task loop)
    {
        await loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (loop.Exception is { } e)
        {
            _fault.TrySetResult(e.InnerException ?? e);
        }
    }

    private async Task ReportFaultAsync()
    {
        var fault = await Raft.Fault.ConfigureAwait(false);
        try
        {
            if (fault is NeedsRepairException { Behind: { } atLeast } && _options.Log == RaftLogKind.Database)
            {
                BehindMark.Write(_options.LogDirectory, atLeast);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It finds out again at its next start.
            LogNoMark(e.Message);
        }

        _fault.TrySetResult(fault);
    }

    /// <summary>
    /// Gives a new cluster its uuid, once: whoever leads proposes it until the state has one. Of several proposals the first
    /// in the log counts.
    /// </summary>
    private async Task FormAsync()
    {
        try
        {
            while (_store.Progress.Cluster.IsNone)
            {
                if (Raft.Leadership.IsLeader)
                {
                    var command = new ByteWriter();
                    CommandWriter.WriteFormCluster(
                        command, new(LogTime.None, _random(), _random()), new(_random(), _random()), new(_random(), _random()));
                    await Sequencer.CommitAsync([command.ToArray()], _stop.Token).ConfigureAwait(false);
                }

                await Task.Delay(TimeSpan.FromMilliseconds(20), _time, _stop.Token).ConfigureAwait(false);
            }

            LogFormed(_store.Progress.Cluster);
        }
        catch (OperationCanceledException)
        {
            // Stopped before there was a leader.
        }
    }

    /// <summary>Stops taking commands, completes what was taken, hands the leadership over and leaves.</summary>
    public async Task StopAsync(CancellationToken cancellation)
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _forming.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _watching.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await EndChangesAsync().ConfigureAwait(false);
        await Expiry.StopAsync().ConfigureAwait(false);
        await Sequencer.StopAsync().WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Raft.ResignAsync(cancellation).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _forming.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _watching.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await EndChangesAsync().ConfigureAwait(false);
        _members.MembersChanged -= OnMembersChanged;
        await Expiry.DisposeAsync().ConfigureAwait(false);
        await Sequencer.DisposeAsync().ConfigureAwait(false);
        await Raft.DisposeAsync().ConfigureAwait(false);
        _changing.Dispose();
        _stop.Dispose();
    }

    [LoggerMessage(1, LogLevel.Information, "This hub is cluster {Cluster}.")]
    private partial void LogFormed(ClusterUuid cluster);

    [LoggerMessage(2, LogLevel.Warning, "Quicksilver:Hub:Members says {Configured}; the hub has agreed on {Agreed}. What it agreed on counts.")]
    private partial void LogOtherMembers(string configured, string agreed);

    [LoggerMessage(3, LogLevel.Information, "'{Node}' has a copy of the hub's state (revision {Revision}, Raft entry {Index}) and asks to become a member.")]
    private partial void LogJoining(NodeId node, long revision, long index);

    [LoggerMessage(4, LogLevel.Information, "'{Node}' is a member of the hub.")]
    private partial void LogJoined(NodeId node);

    [LoggerMessage(5, LogLevel.Information, "The hub's members are {Members} (Raft entry {AsOf}).")]
    private partial void LogMembers(string members, long asOf);

    [LoggerMessage(13, LogLevel.Warning, "Cannot note that this member is behind: {Why}")]
    private partial void LogNoMark(string why);
}
