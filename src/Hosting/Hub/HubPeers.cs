using System.Net;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Hosting.Membership;
using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Sequencing;
using Quicksilver.Storage;

namespace Quicksilver.Hosting;

/// <summary>
/// The other nodes of the hub, for a node whose own silo does not run yet: finds their gateways in the membership table and asks
/// over a link, as a client would.
/// </summary>
internal sealed partial class HubPeers(
    NodeSettings settings, DataDirectory directory, MembershipStore membership, TimeProvider time, ILoggerFactory loggers) : IHubPeers, IAsyncDisposable
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <summary>
    /// A copy is done when the last part was no longer than this: what the hub did meanwhile must still be in its Raft log when this
    /// node asks for it.
    /// </summary>
    private const long SmallDistance = 5_000;

    private const int MaxParts = 20;
    private const int MaxTries = 30;

    /// <summary>What is asked again and again is not complained of each time.</summary>
    private static readonly TimeSpan ComplainPeriod = TimeSpan.FromSeconds(10);

    private readonly ILogger _logger = loggers.CreateLogger<HubPeers>();
    private readonly MembershipReader _table = new(membership, settings.Region);
    private (string? Why, long At) _complained;

    private ReplicaIdentity Identity => new(settings.NodeId, settings.Region, settings.GatewayText);

    /// <inheritdoc/>
    public async Task<HubWord?> AskAsync(CancellationToken cancellation)
    {
        try
        {
            return await AskAsync(session => MembersAsync(session, cancellation), cancellation) is { } answer
                ? new(
                    answer.Members.Any(member => member.Node == settings.NodeId),
                    answer.Invited?.FirstOrDefault(member => member.Node == settings.NodeId) is { } invited ? IPEndPoint.Parse(invited.Endpoint) : null,
                    answer.Cluster)
                : null;
        }
        catch (Exception e) when (e is not OutOfMemoryException && !cancellation.IsCancellationRequested)
        {
            // Nothing that says anything about the membership.
            Complain(e.Message);
            return null;
        }
    }

    private async Task<HubMembersAnswer?> MembersAsync(LinkSession session, CancellationToken cancellation)
    {
        var answer = await session.Grains.GetGrain<IHubGrain>(0).Members().WaitAsync(CallTimeout, time, cancellation);
        if (answer.Status == HubAnswerStatus.Ok)
        {
            return answer;
        }

        Complain(answer.Problem ?? "no reason given");
        return null;
    }

    /// <inheritdoc/>
    public async Task<AgreedMembers> FillAsync(NodeStore store, CancellationToken cancellation)
    {
        await File.WriteAllTextAsync(directory.JoiningMark, "This directory is being filled from another member of the hub.\n", cancellation);
        return await RepeatAsync(store, (session, stop) => FillAsync(session, store, stop), cancellation);
    }

    /// <inheritdoc/>
    public async Task<(IncomingSnapshot Snapshot, AgreedMembers Agreed)> ReceiveAsync(NodeStore store, LogIndex atLeast, CancellationToken cancellation)
    {
        var received = await RepeatAsync(store, (session, stop) => ReceiveAsync(session, store, atLeast, stop), cancellation);
        return (received.Snapshot, received.Agreed);
    }

    private async Task<Received?> ReceiveAsync(LinkSession session, NodeStore store, LogIndex atLeast, CancellationToken cancellation)
    {
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, session.Lost);
        var snapshot = await new SnapshotCopy(Identity, store, _logger).ReceiveAsync(
            new GrainSnapshotSource(session), session.Hello.Node, header => header.Progress.AppliedIndex >= atLeast && header.AppliedTerm != default, bound.Token);
        try
        {
            // Asked for after the snapshot was taken: they miss no change up to it.
            var source = await session.Grains.GetGrain<IHubGrain>(0).Progress().AsTask().WaitAsync(CallTimeout, time, bound.Token);
            return new(snapshot, Agreed(source));
        }
        catch
        {
            snapshot.Dispose();
            throw;
        }
    }

    /// <summary>What was copied stays over failures, and the next try goes on from there.</summary>
    private async Task<TAnswer> RepeatAsync<TAnswer>(
        NodeStore store, Func<LinkSession, CancellationToken, Task<TAnswer?>> copy, CancellationToken cancellation)
        where TAnswer : class
    {
        for (var tries = 1; ; tries++)
        {
            string why;
            try
            {
                // A snapshot that was begun can be ended only where it was begun.
                NodeId? begunAt;
                using (var begun = store.OpenIncoming())
                {
                    begunAt = begun.Header?.Source;
                }

                if (await AskAsync(session => copy(session, cancellation), cancellation, tries % 2 == 1 ? begunAt : null) is { } answer)
                {
                    return answer;
                }

                why = "the nodes that answer are behind the leader, or have not heard yet that this node is no member";
            }
            catch (Exception e) when (e is not (OutOfMemoryException or StorageException) && !cancellation.IsCancellationRequested)
            {
                why = e.Message;
            }

            Complain(why);
            if (tries == MaxTries)
            {
                throw new NeedsRepairException($"No other member of the hub could be copied: {why}. Start this node again when the hub is in order.");
            }

            await Task.Delay(Pause, time, cancellation);
        }
    }

    /// <summary>Null where the node behind the link is not fresh enough.</summary>
    private async Task<AgreedMembers?> FillAsync(LinkSession session, NodeStore store, CancellationToken cancellation)
    {
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, session.Lost);
        if (await MembersAsync(session, bound.Token) is not { } leader)
        {
            return null;
        }

        if (store.Progress.Cluster.IsNone)
        {
            // Installed as that of no Raft entry: what the leader says of the members may be newer. The log says the rest.
            using var snapshot = await new SnapshotCopy(Identity, store, _logger).ReceiveAsync(
                new GrainSnapshotSource(session), session.Hello.Node, isOfUse: null, bound.Token);
            store.Install(snapshot, joins: true);
        }

        var hub = session.Grains.GetGrain<IHubGrain>(0);
        var copy = new LogCopy(Identity, store);
        for (var part = 1; ; part++)
        {
            var source = await hub.Progress().AsTask().WaitAsync(CallTimeout, time, bound.Token);

            // A node that lags does not know all that the leader said, and perhaps not that this one lost its vote.
            if (source.AppliedIndex < leader.AppliedIndex || source.Members.Any(member => member.Node == settings.NodeId))
            {
                return null;
            }

            var distance = source.Position.Revision.Value - store.Progress.Position.Revision.Value;
            LogCopying(session.Hello.Node, source.Position.Revision.Value, distance);
            await copy.CopyAsync(new GrainLogSource(session), source.Position.Revision, bound.Token);
            if (distance <= SmallDistance || part == MaxParts)
            {
                HubCopy.Complete(store, new()
                {
                    Cluster = source.Cluster, Position = source.Position, Chain = source.Chain, AppliedIndex = source.AppliedIndex,
                    LogTime = source.LogTime, FeatureLevel = source.FeatureLevel, NextKeyspace = source.NextKeyspace, OperationsFloor = source.OperationsFloor,
                });
                return Agreed(source);
            }
        }
    }

    private static AgreedMembers Agreed(HubProgress source) =>
        new([.. source.Members.Select(member => new HubMember(member.Node, IPEndPoint.Parse(member.Endpoint)))], source.MembersAsOf)
        {
            Invited = [.. source.Invited?.Select(member => new HubMember(member.Node, IPEndPoint.Parse(member.Endpoint))) ?? []],
        };

    /// <summary>What a member that is behind gets.</summary>
    private sealed record Received(IncomingSnapshot Snapshot, AgreedMembers Agreed);

    /// <inheritdoc/>
    public async Task RequestMembershipAsync(CancellationToken cancellation)
    {
        try
        {
            var answer = await AskAsync(
                session => session.Grains.GetGrain<IHubGrain>(0).Join(settings.NodeId).WaitAsync(CallTimeout, time, cancellation), cancellation);
            if (answer.Problem is { } problem)
            {
                Complain(problem);
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException && !cancellation.IsCancellationRequested)
        {
            // It is asked again.
            Complain(e.Message);
        }
    }

    private void Complain(string why)
    {
        if (_complained.Why != why || time.GetElapsedTime(_complained.At) > ComplainPeriod)
        {
            _complained = (why, time.GetTimestamp());
            LogNoAnswer(why);
        }
    }

    /// <summary>Each question has a link of its own: they are few, and which gateways there are changes.</summary>
    private async Task<TAnswer> AskAsync<TAnswer>(Func<LinkSession, Task<TAnswer>> ask, CancellationToken cancellation, NodeId? only = null)
    {
        var gateways = await FindGatewaysAsync(only);
        if (gateways.Count == 0)
        {
            throw new QuicksilverException(QuicksilverErrorCode.Unavailable, "No other node of the hub is in the membership table.");
        }

        await using var link = new GatewayLink(new() { Gateways = gateways }, time, loggers);
        link.Start();
        return await ask(await link.ConnectAsync(ConnectTimeout, cancellation));
    }

    private async Task<IReadOnlyList<string>> FindGatewaysAsync(NodeId? only)
    {
        var rows = await _table.ReadAsync();
        return
        [
            .. from row in rows.Members
               let entry = row.Item1
               where entry.Status == SiloStatus.Active && entry.SiloName != settings.NodeId.Value && entry.ProxyPort > 0
                   && (only is null || entry.SiloName == only.Value.Value)
               orderby entry.IAmAliveTime descending
               select new IPEndPoint(entry.SiloAddress.Endpoint.Address, entry.ProxyPort).ToString(),
        ];
    }

    public ValueTask DisposeAsync() => _table.DisposeAsync();

    [LoggerMessage(1, LogLevel.Information, "Copying the log of {Source} up to revision {Revision} ({Distance} revisions).")]
    private partial void LogCopying(NodeId source, long revision, long distance);

    [LoggerMessage(2, LogLevel.Warning, "The rest of the hub gave no answer: {Why}")]
    private partial void LogNoAnswer(string why);
}
