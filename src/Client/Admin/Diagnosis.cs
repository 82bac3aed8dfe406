using System.Globalization;
using Quicksilver.Contracts;

namespace Quicksilver.Client;

/// <summary>Says what is wrong with a cluster, from what its nodes say of themselves.</summary>
internal static class Diagnosis
{
    /// <summary>A replica that was level longer ago than this is behind. An idle one is level about every 3 s.</summary>
    private static readonly TimeSpan MaxLag = TimeSpan.FromSeconds(10);

    /// <summary>A node that started less than this ago while others are older was restarted, perhaps by nobody that anyone knows of.</summary>
    private static readonly TimeSpan Recent = TimeSpan.FromMinutes(1);

    private const long LowDisk = 2L << 30;

    public static IReadOnlyList<string> Of(Inspection inspection)
    {
        var problems = new List<string>();
        var hubs = inspection.Nodes.Where(node => node.Role == NodeRole.Hub).ToList();
        var leaders = hubs.Where(node => node.RaftRole == RaftRole.Leader).OrderByDescending(node => node.Term).ToList();
        if (hubs.Count == 0)
        {
            problems.Add("No node of the hub answers: nothing can be written. Regions serve what they have.");
        }
        else if (leaders.Count == 0)
        {
            problems.Add("The hub has no leader: nothing can be written. Regions serve what they have.");
        }

        if (leaders.Count > 1)
        {
            problems.Add($"{string.Join(" and ", leaders.Select(node => node.Node))} say that they lead. For a moment that is an election; only the one with the later term can commit.");
        }

        foreach (var node in hubs.Where(node => leaders.Count > 0 && node.RaftRole == RaftRole.Candidate))
        {
            problems.Add($"{node.Node} knows no leader while {leaders[0].Node} leads: it may be cut off.");
        }

        // The leader knows best; where there is none, anybody.
        var members = (leaders.FirstOrDefault() ?? hubs.FirstOrDefault())?.Members ?? [];
        foreach (var member in members.Where(member => !hubs.Exists(node => node.Node.Value == member)))
        {
            problems.Add($"{member} votes in the hub and does not answer. With {members.Length} members the hub works while {(members.Length / 2) + 1} do.");
        }

        foreach (var node in hubs.Where(node => members.Length > 0 && !members.Contains(node.Node.Value)))
        {
            problems.Add($"{node.Node} is a hub node without a vote.");
        }

        if (members.Length == 2)
        {
            problems.Add("The hub has two members and needs both: a repair was begun. Start the third, or see 'qs hub list'.");
        }

        // Within each kind by node.
        return [.. problems, .. inspection.Nodes.SelectMany(node => Of(node, inspection)).OrderBy(problem => problem.Rank).Select(problem => problem.Text)];
    }

    /// <summary>What is wrong with one node, with its urgency: 0 comes first.</summary>
    private static IEnumerable<(int Rank, string Text)> Of(NodeStatus node, Inspection inspection)
    {
        if (node.State.StartsWith("stopped", StringComparison.Ordinal) || node.State.StartsWith("storage failed", StringComparison.Ordinal))
        {
            yield return (0, $"{node.Node} is {node.State}");
        }
        else if (node.State.StartsWith("disconnected", StringComparison.Ordinal) || node.State.StartsWith("retrying", StringComparison.Ordinal))
        {
            yield return (2, $"{node.Node} does not pull ({node.State}). It serves what it has.");
        }
        else if (node.Role == NodeRole.Replica && node.Lag > MaxLag)
        {
            yield return (3, $"{node.Node} is behind: level {node.Lag.Value.TotalSeconds.ToString("0", CultureInfo.InvariantCulture)} s ago, {node.LagRevisions} revisions less than its source.");
        }
        else if (node is { Role: NodeRole.Replica, Lag: null })
        {
            yield return (3, $"{node.Node} pulls and was not level with its source yet.");
        }

        if (node.FreeBytes < LowDisk)
        {
            yield return (1, $"{node.Node} has {node.FreeBytes / (1 << 20)} MiB of disk left.");
        }

        if (node.Uptime < Recent && inspection.Nodes.Any(other => other.Uptime > 10 * Recent))
        {
            yield return (4, $"{node.Node} started {node.Uptime.TotalSeconds.ToString("0", CultureInfo.InvariantCulture)} s ago.");
        }

        if (inspection.Nodes.FirstOrDefault(other => other.Cluster != node.Cluster && !other.Cluster.IsNone) is { } foreigner && !node.Cluster.IsNone
            && string.CompareOrdinal(node.Node.Value, foreigner.Node.Value) < 0)
        {
            yield return (0, $"{node.Node} and {foreigner.Node} belong to different clusters.");
        }
    }
}
