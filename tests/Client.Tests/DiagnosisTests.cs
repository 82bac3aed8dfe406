using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>Goal: what is wrong is said, and nothing where all is in order. Method: a table of clusters.</summary>
public sealed class DiagnosisTests
{
    private static readonly string[] s_members = ["hub-0", "hub-1", "hub-2"];

    private static NodeStatus Hub(int i, RaftRole role = RaftRole.Follower) => new(
        NodeId.Parse($"hub-{i}"), NodeRole.Hub, RegionName.Parse("hub"), $"127.0.0.1:{i}", new(1, 1), new(LogId.Main, new(1, 1), new(5)), default, role, new(1), 0,
        TimeSpan.Zero, role == RaftRole.Leader ? "leading" : "following", [], [], 0, "0.1.0", TimeSpan.FromHours(1), 100L << 30, 0, 0, s_members, [], new(1));

    private static NodeStatus Replica(string name) => Hub(0) with
    {
        Node = NodeId.Parse(name), Role = NodeRole.Replica, RaftRole = RaftRole.None, State = "pulling", Members = [], Lag = TimeSpan.FromSeconds(1),
    };

    private static readonly NodeStatus[] s_healthy = [Hub(0, RaftRole.Leader), Hub(1), Hub(2), Replica("eu-0"), Replica("us-0")];

    private static IReadOnlyList<string> Problems(params IEnumerable<NodeStatus> nodes) => new Inspection([.. nodes], []).Problems;

    [Fact]
    public void A_cluster_in_order_has_no_problems() => Assert.Empty(Problems(s_healthy));

    [Fact]
    public void Each_thing_that_is_wrong_is_said_once()
    {
        Assert.StartsWith("No node of the hub answers", Assert.Single(Problems(s_healthy[3..])), StringComparison.Ordinal);
        Assert.StartsWith("hub-2 votes in the hub and does not answer", Assert.Single(Problems(s_healthy.Where(node => node.Node.Value != "hub-2"))), StringComparison.Ordinal);
        Assert.StartsWith("The hub has no leader", Assert.Single(Problems([Hub(0), .. s_healthy[1..]])), StringComparison.Ordinal);
        var two = s_members[..2];
        Assert.Equal(
            ["hub-2 is a hub node without a vote.", "The hub has two members and needs both: a repair was begun. Start the third, or see 'qs hub list'."],
            Problems(s_healthy.Select(node => node.Role == NodeRole.Hub ? node with { Members = two } : node)));
        foreach (var (changed, said) in new (Func<NodeStatus, NodeStatus>, string)[]
        {
            (node => node with { State = "stopped (Diverged): why" }, "eu-0 is stopped (Diverged): why"),
            (node => node with { State = "storage failed: why" }, "eu-0 is storage failed: why"),
            (node => node with { State = "disconnected: why" }, "eu-0 does not pull (disconnected: why)"),
            (node => node with { State = "retrying: why" }, "eu-0 does not pull (retrying: why)"),
            (node => node with { Lag = TimeSpan.FromSeconds(70), LagRevisions = 7 }, "eu-0 is behind: level 70 s ago, 7 revisions"),
            (node => node with { FreeBytes = 100L << 20 }, "eu-0 has 100 MiB of disk left."),
            (node => node with { Uptime = TimeSpan.FromSeconds(12) }, "eu-0 started 12 s ago."),
            (node => node with { Cluster = new(2, 2) }, "eu-0 and hub-0 belong to different clusters."),
        })
        {
            var problems = Problems(s_healthy.Select(node => node.Node.Value == "eu-0" ? changed(node) : node));
            Assert.Contains(problems, problem => problem.StartsWith(said, StringComparison.Ordinal));
        }
    }
}
