using Quicksilver.Model;

namespace Quicksilver.Replication.Tests;

/// <summary>Goal: as many nodes of a region as are to pull from outside, and the rest from them, whoever runs. Method: the order by hand.</summary>
public sealed class RegionOrderTests
{
    private static readonly string[] Upstreams = ["hub-a", "hub-b"];

    private static string Of(string self, string running, int relays = 1, bool isEmpty = false) => string.Join(' ', RegionOrder.Of(
        NodeId.Parse(self), running.Split(' ', StringSplitOptions.RemoveEmptyEntries).Reverse().Select(name => new Neighbour(NodeId.Parse(name), $"at-{name}")),
        Upstreams, relays, isEmpty));

    [Fact]
    public void A_node_alone_pulls_from_outside()
    {
        Assert.Equal("hub-a hub-b", Of("eu-3", ""));
        Assert.Equal("hub-a hub-b", Of("eu-3", "eu-3", isEmpty: true));
    }

    [Fact]
    public void The_first_by_name_is_the_relay_and_the_others_pull_from_it()
    {
        Assert.Equal("hub-a hub-b at-eu-1 at-eu-2", Of("eu-0", "eu-1 eu-2"));
        Assert.Equal("at-eu-0 hub-a hub-b at-eu-2", Of("eu-1", "eu-0 eu-2"));
        Assert.Equal("at-eu-0 hub-a hub-b at-eu-1", Of("eu-2", "eu-0 eu-1"));

        // The relay is gone, and the next one takes over.
        Assert.Equal("hub-a hub-b at-eu-2", Of("eu-1", "eu-2"));
        Assert.Equal("at-eu-1 hub-a hub-b", Of("eu-2", "eu-1"));
    }

    [Fact]
    public void Two_relays_are_shared_among_the_others()
    {
        Assert.Equal("hub-a hub-b at-eu-0 at-eu-2 at-eu-3", Of("eu-1", "eu-0 eu-2 eu-3", relays: 2));
        Assert.Equal("at-eu-0 at-eu-1 hub-a hub-b at-eu-3", Of("eu-2", "eu-0 eu-1 eu-3", relays: 2));
        Assert.Equal("at-eu-1 at-eu-0 hub-a hub-b at-eu-2", Of("eu-3", "eu-0 eu-1 eu-2", relays: 2));
        Assert.Equal("hub-a hub-b", Of("eu-0", "", relays: 2));
    }

    [Fact]
    public void A_newcomer_takes_its_copy_from_a_neighbour_also_where_it_will_be_the_relay() =>
        Assert.Equal("at-eu-1 at-eu-2 hub-a hub-b", Of("eu-0", "eu-1 eu-2", isEmpty: true));
}
