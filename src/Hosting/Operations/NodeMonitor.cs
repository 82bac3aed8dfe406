using Quicksilver.Contracts;
using Quicksilver.Grains;
using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Sequencing;

namespace Quicksilver.Hosting;

/// <summary>Puts together what the parts of a node say of themselves.</summary>
/// <param name="source">Null where nobody can pull from the node.</param>
internal sealed class NodeMonitor(
    NodeContext node, LogSource? source, HubEngine? hub, Replicator? replicator, UpstreamLink? link, ReplicaLogClock? replicaClock, string dataDirectory,
    TimeSpan maxLag, bool servesWhenDiverged, Scrubber scrubber, TimeProvider time) : INodeMonitor
{
    private static readonly string s_version = typeof(NodeMonitor).Assembly.GetName().Version?.ToString(3) ?? "unknown";

    private readonly long _started = time.GetTimestamp();

    public NodeStatus Status
    {
        get
        {
            var progress = node.Store.Progress;
            var leadership = hub?.Sequencer.Leadership;
            return new(
                node.Node, node.Role, node.Region, node.Gateway, progress.Cluster, progress.Position, progress.Chain,
                RaftRoleOf(leadership), leadership?.Term ?? default, LagRevisions, Lag, State, [.. node.Upstreams],
                [.. (source?.Children ?? []).Select(child => new ChildStatus(child.Node, child.Region, child.Gateway, child.Applied))],
                progress.FullCopies, s_version, time.GetElapsedTime(_started), FreeBytes, hub?.Sequencer.QueuedCommands ?? 0, node.Store.Waiters.Inside,
                [.. hub?.Agreed.Members.Select(member => member.Node.Value) ?? []], replicator?.Path ?? [], progress.Oldest,
                progress.Subscription.Patterns?.ToArray());
        }
    }

    /// <summary>Free on the disk of the data directory.</summary>
    public long? FreeBytes
    {
        get
        {
            try
            {
                return new DriveInfo(dataDirectory).AvailableFreeSpace;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
            {
                // Not told, which the status says as well.
                return null;
            }
        }
    }

    public long? LagRevisions => node.Role == NodeRole.Hub ? 0 : replicaClock?.LagRevisions;

    public TimeSpan? Lag => node.Clock.Age;

    /// <summary>What the node is doing, for people.</summary>
    public string State
    {
        get
        {
            if (node.Store.Failure is { } failure)
            {
                return $"storage failed: {failure.Message}";
            }

            if (scrubber.Damage is { } damage)
            {
                return replicator is null ? $"damaged, repair it: {damage.Message}" : $"damaged, taking a copy: {damage.Message}";
            }

            if (replicator is not null)
            {
                var status = replicator.Status;
                return status.State switch
                {
                    ProgressState.Stopped => $"stopped ({status.StopReason}): {status.Trouble}",
                    ProgressState.Pulling => "pulling",
                    ProgressState.Bootstrapping => "bootstrapping",
                    ProgressState.Disconnected => $"disconnected: {link!.Trouble}",
                    _ => status.Trouble is { } trouble ? $"retrying: {trouble}" : "connecting",
                };
            }

            return hub!.Sequencer.Leadership switch
            {
                { IsLeader: true } => "leading",
                { Leader: not null } => "following",
                _ => "no leader",
            };
        }
    }

    /// <summary>Why nothing is read from this node, or null: what it has contradicts all its sources, and one of them is right.</summary>
    public string? Withheld => !servesWhenDiverged && replicator?.Status is { State: ProgressState.Stopped, StopReason: StopReason.Diverged }
        ? "this node's state contradicts that of its sources. Find out which is right; Quicksilver:Replication:ServeWhenDiverged lets it be read all the same"
        : null;

    /// <summary>Why the node should get no traffic, or null. Never depends on whether the hub can be reached.</summary>
    public string? NotReady
    {
        get
        {
            if (node.Store.Failure is { } failure)
            {
                return failure.Message;
            }

            if (Withheld is { } withheld)
            {
                return withheld;
            }

            if (scrubber.Damage is { } damage)
            {
                return damage.Message;
            }

            // Records that are known and not here: the age says for how long. A node that is cut off knows of none.
            if (node.Role == NodeRole.Replica && LagRevisions is > 0 && !(Lag <= maxLag))
            {
                return Lag is { } lag ? $"the node lags {lag.TotalSeconds:0} s behind its source" : "the node has not caught up with its source yet";
            }

            // A replica that is level with a hub that has nothing yet has all there is.
            return node.Store.Progress.Cluster.IsNone && (node.Role == NodeRole.Hub || node.Clock.Age is null) ? "the node has no data yet" : null;
        }
    }

    private static RaftRole RaftRoleOf(Leadership? leadership) => leadership switch
    {
        null => RaftRole.None,
        { IsLeader: true } => RaftRole.Leader,
        { Leader: not null } => RaftRole.Follower,
        _ => RaftRole.Candidate,
    };
}
