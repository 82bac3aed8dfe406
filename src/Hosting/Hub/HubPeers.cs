using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
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
internal sealed partial class HubPeers(NodeSettings settings, string membershipDirectory, TimeProvider time, ILoggerFactory loggers) : IHubPeers, IAsyncDisposable
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    /// <summary>
    /// A copy is done when the last part was no longer than this: what the hub did meanwhile must still be in its Raft log when this
    /// node asks for it.
    /// </summary>
    private const long SmallDistance = 5_000;

    private const int MaxCopies = 20;

    private readonly ILogger _logger = loggers.CreateLogger<HubPeers>();
    private GatewayLink? _link;

    /// <inheritdoc/>
    public async Task<bool?> IsMemberAsync(CancellationToken cancellation)
    {
        try
        {
            var session = await ConnectAsync(cancellation);
            var answer = await session.Grains.GetGrain<IHubGrain>(0).Members().WaitAsync(ConnectTimeout, time, cancellation);
            if (answer.Status == HubAnswerStatus.Ok)
            {
                return answer.Members.Any(member => member.Node == settings.NodeId);
            }

            LogNoAnswer(answer.Problem ?? "no reason given");
            return null;
        }
        catch (Exception e) when (e is not OutOfMemoryException && !cancellation.IsCancellationRequested)
        {
            // Nothing that says anything about the membership.
            LogNoAnswer(e.Message);
            await CloseAsync();
            return null;
        }
    }

    /// <inheritdoc/>
    public async Task<AgreedMembers> FillAsync(NodeStore store, CancellationToken cancellation)
    {
        var session = await ConnectAsync(cancellation);
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, session.Lost);
        var hub = session.Grains.GetGrain<IHubGrain>(0);
        var copy = new LogCopy(new(settings.NodeId, settings.Region, settings.GatewayText), store);
        for (var copies = 1; ; copies++)
        {
            var source = await hub.Progress().AsTask().WaitAsync(ConnectTimeout, time, bound.Token);
            var distance = source.Position.Revision.Value - store.Progress.Position.Revision.Value;
            LogCopying(session.Hello.Node, source.Position.Revision.Value, distance);
            await copy.CopyAsync(new GrainLogSource(session), source.Position.Revision, bound.Token);
            if (distance <= SmallDistance || copies == MaxCopies)
            {
                HubCopy.Complete(store, new()
                {
                    Cluster = source.Cluster, Position = source.Position, Chain = source.Chain, Oldest = source.Oldest, AppliedIndex = source.AppliedIndex,
                    LogTime = source.LogTime, FeatureLevel = source.FeatureLevel, NextKeyspace = source.NextKeyspace, OperationsFloor = source.OperationsFloor,
                });
                return new([.. source.Members.Select(member => new HubMember(member.Node, System.Net.IPEndPoint.Parse(member.Endpoint)))], source.MembersAsOf);
            }
        }
    }

    /// <inheritdoc/>
    public async Task RequestMembershipAsync(CancellationToken cancellation)
    {
        try
        {
            var session = await ConnectAsync(cancellation);
            var answer = await session.Grains.GetGrain<IHubGrain>(0).Join(settings.NodeId).WaitAsync(ConnectTimeout, time, cancellation);
            if (answer.Problem is { } problem)
            {
                LogNoAnswer(problem);
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException && !cancellation.IsCancellationRequested)
        {
            // It is asked again.
            LogNoAnswer(e.Message);
            await CloseAsync();
        }
    }

    private async Task<LinkSession> ConnectAsync(CancellationToken cancellation)
    {
        if (_link is null)
        {
            var gateways = await FindGatewaysAsync();
            if (gateways.Count == 0)
            {
                throw new QuicksilverException(QuicksilverErrorCode.Unavailable, "No other node of the hub is in the membership table.");
            }

            _link = new(new() { Gateways = gateways }, time, loggers);
            _link.Start();
        }

        return await _link.ConnectAsync(ConnectTimeout, cancellation);
    }

    private async Task<IReadOnlyList<string>> FindGatewaysAsync()
    {
        using var table = new FileMembershipTable(
            Options.Create(new FileMembershipOptions { Directory = membershipDirectory }),
            Options.Create(new ClusterOptions { ClusterId = settings.Region.Value, ServiceId = NodeHost.ServiceId }), time);
        var rows = await table.ReadAll();
        return
        [
            .. from row in rows.Members
               let entry = row.Item1
               where entry.Status == SiloStatus.Active && entry.SiloName != settings.NodeId.Value && entry.ProxyPort > 0
               orderby entry.IAmAliveTime descending
               select new System.Net.IPEndPoint(entry.SiloAddress.Endpoint.Address, entry.ProxyPort).ToString(),
        ];
    }

    private async Task CloseAsync()
    {
        if (_link is { } link)
        {
            _link = null;
            await link.DisposeAsync();
        }
    }

    public async ValueTask DisposeAsync() => await CloseAsync();

    [LoggerMessage(1, LogLevel.Information, "Copying the log of {Source} up to revision {Revision} ({Distance} revisions).")]
    private partial void LogCopying(NodeId source, long revision, long distance);

    [LoggerMessage(2, LogLevel.Warning, "The rest of the hub gave no answer: {Why}")]
    private partial void LogNoAnswer(string why);
}
