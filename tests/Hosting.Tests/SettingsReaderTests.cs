using System.Net;
using Microsoft.Extensions.Configuration;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Hosting.Tests;

/// <summary>
/// Goal: a node starts with what its configuration says, or says which setting is wrong and how to mend it. Method: good
/// configurations of each role, each changed in one setting.
/// </summary>
public sealed class SettingsReaderTests
{
    private static readonly (string, string?)[] Hub =
    [
        ("Role", "hub"), ("NodeId", "hub-0"), ("DataDirectory", "/data/hub-0"), ("Hub:Members:0", "hub-0=127.0.0.1:32000"),
    ];

    private static readonly (string, string?)[] HubOfThree =
    [
        ("Role", "hub"), ("NodeId", "hub-1"), ("DataDirectory", "/data/hub-1"), ("Membership:Directory", "/shared"), ("Hub:Members:0", "hub-0=127.0.0.1:32000"),
        ("Hub:Members:1", "hub-1=127.0.0.1:32001"), ("Hub:Members:2", "hub-2=127.0.0.1:32002"),
    ];

    private static readonly (string, string?)[] Replica =
    [
        ("Role", "replica"), ("NodeId", "eu-0"), ("Region", "eu"), ("DataDirectory", "/data/eu-0"), ("Upstreams:0", "127.0.0.1:30000"),
    ];

    private static ProcessSettings Read(string? environment, IEnumerable<(string Key, string? Value)> settings, params (string Key, string? Value)[] changes)
    {
        // Keys of a configuration have no case; a change takes the place of what was there.
        var all = new Dictionary<string, string?>(StringComparer.OrdinalIgnoreCase);
        foreach (var (key, value) in settings.Concat(changes))
        {
            all[$"Quicksilver:{key}"] = value;
        }

        foreach (var (key, _) in changes.Where(change => change.Value is null))
        {
            all.Remove($"Quicksilver:{key}");
        }

        return SettingsReader.Read(new ConfigurationBuilder().AddInMemoryCollection(all).Build(), environment);
    }

    private static NodeSettings Node(IEnumerable<(string Key, string? Value)> settings, params (string Key, string? Value)[] changes) =>
        Assert.Single(Read("Production", settings, changes).Nodes);

    private static void AssertRefused(string key, IEnumerable<(string Key, string? Value)> settings, params (string Key, string? Value)[] changes)
    {
        var e = Assert.Throws<ConfigurationException>(() => Read("Production", settings, changes));
        Assert.Equal($"Quicksilver:{key}", e.Key);
        Assert.StartsWith(e.Key, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_hub_of_one_needs_name_directory_and_its_endpoint()
    {
        var node = Node(Hub);
        Assert.Equal(
            (NodeRole.Hub, NodeId.Parse("hub-0"), RegionName.Parse("hub"), "/data/hub-0", IPAddress.Loopback, new NodePorts()),
            (node.Role, node.NodeId, node.Region, node.DataDirectory, node.Address, node.Ports));
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 32000), Assert.Single(node.HubMembers).Endpoint);
        Assert.Empty(node.Upstreams);
        Assert.Null(node.Membership);
        Assert.InRange(node.BlockCacheBytes, 64L << 20, 8L << 30);
        Assert.InRange(node.HotRows, 20_000, 2_000_000);
        Assert.Equal((NodeSettings.DefaultBlockCacheBytes, 65_536, 10_000), (node.BlockCacheBytes, node.MaxQueuedCommands, node.MaxWaiters));
        Assert.False(Read("Production", Hub).IsDevelopment);
    }

    [Fact]
    public void A_hub_of_three_names_all_members_as_a_list_or_as_one_text()
    {
        var listed = Node(HubOfThree);
        var text = Node(HubOfThree.Where(setting => !setting.Item1.StartsWith("Hub:", StringComparison.Ordinal)),
            ("Hub:Members", "hub-0=127.0.0.1:32000, hub-1=127.0.0.1:32001 ,hub-2=127.0.0.1:32002,"));
        Assert.Equal(listed.HubMembers, text.HubMembers);
        Assert.Equal(["hub-0", "hub-1", "hub-2"], listed.HubMembers.Select(member => member.Node.Value));
        Assert.Equal(MembershipStore.Directory("/shared"), listed.Membership);
    }

    [Fact]
    public void A_replica_names_its_region_and_its_upstreams()
    {
        var node = Node(Replica, ("Upstreams:1", "hub.example:30001"));
        Assert.Equal((NodeRole.Replica, RegionName.Parse("eu")), (node.Role, node.Region));
        Assert.Equal(["127.0.0.1:30000", "hub.example:30001"], node.Upstreams);
        Assert.Equal(node.Upstreams, Node(Replica, ("Upstreams:0", null), ("Upstreams", "127.0.0.1:30000, hub.example:30001")).Upstreams);
    }

    [Fact]
    public void Every_setting_is_taken()
    {
        var node = Node(
            Replica, ("Address", "::1"), ("Ports:Gateway", "1"), ("Ports:Silo", "65535"), ("Ports:Http", "81"), ("Membership:Directory", "/shared"),
            ("Limits:BlockCacheBytes", "8388608"), ("Limits:HotRows", "0"), ("Limits:MaxQueuedCommands", "1"), ("Limits:MaxWaiters", "2"), ("AllowInsecure", "false"),
            ("Replication:Relays", "2"), ("Replication:StaleSourceAfter", "00:01:00"), ("Replication:MaxLag", "00:00:05"), ("Replication:ReturnAfter", "00:00:07"), ("Replication:ServeWhenDiverged", "true"),
            ("Keyspaces", "route-*, flags"), ("Scrub:BytesPerSecond", "0"), ("Scrub:Every", "02:00:00"), ("Retention:MaxAge", "1.02:03:04"), ("Retention:MaxBytes", "1048576"), ("Retention:MaxHoldBytes", "0"), ("Retention:Period", "00:00:30"));
        Assert.Equal(
            (2, TimeSpan.FromMinutes(1), TimeSpan.FromSeconds(7), TimeSpan.FromSeconds(5)), (node.Relays, node.Sources.StaleAfter, node.Sources.ReturnAfter, node.MaxLag));
        Assert.Equal(
            (new TimeSpan(1, 2, 3, 4), 1L << 20, 0, TimeSpan.FromSeconds(30)),
            (node.Retention.MaxAge, node.Retention.MaxBytes, node.Retention.MaxHoldBytes, node.Retention.Period));
        Assert.Equal((0, TimeSpan.FromHours(2)), (node.Scrub.BytesPerSecond, node.Scrub.Every));
        Assert.Equal(["flags", "route-*"], node.Keyspaces.Patterns);
        Assert.Same(Subscription.All, Node(Replica).Keyspaces);
        Assert.Same(Subscription.All, Node(Replica, ("Keyspaces", "*")).Keyspaces);
        Assert.Same(Subscription.All, Node(Hub).Keyspaces);
        Assert.Equal((true, false), (node.ServeWhenDiverged, Node(Replica).ServeWhenDiverged));
        Assert.Equal((IPAddress.IPv6Loopback, new NodePorts(1, 65535, 81)), (node.Address, node.Ports));
        Assert.Equal((8L << 20, 0, 1, 2, "/shared", "[::1]:1"), (node.BlockCacheBytes, node.HotRows, node.MaxQueuedCommands, node.MaxWaiters, node.Membership!.Location, node.GatewayText));
    }

    [Theory]
    [InlineData("Redis", "localhost:6379,password=secret", true)]
    [InlineData("PostgreSql", "Host=localhost;Username=q;Password=secret;Database=q", true)]
    [InlineData("Redis", "localhost:6379,passwort=secret", false)]
    [InlineData("Redis", "", false)]
    [InlineData("PostgreSql", "Host=localhost;Passwort=secret", false)]
    [InlineData("PostgreSql", "secret", false)]
    public void A_membership_store_is_taken_or_refused_and_its_password_is_in_no_message(string kind, string text, bool isGood)
    {
        if (isGood)
        {
            var store = Node(Replica, ($"Membership:{kind}", text)).Membership!;
            Assert.Equal((kind, text, kind), (store.Kind.ToString(), store.Location, store.ToString()));
            return;
        }

        var e = Assert.Throws<ConfigurationException>(() => Node(Replica, ($"Membership:{kind}", text)));
        Assert.Contains($"Quicksilver:Membership:{kind}", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_cluster_has_one_membership_store() => AssertRefused(
        "Membership", Replica, ("Membership:Directory", "/shared"), ("Membership:Redis", "localhost:6379,password=secret"));

    [Fact]
    public void Keys_have_no_case_because_environment_variables_have_none()
    {
        Assert.Equal(Node(Hub).HubMembers, Node(Hub.Select(setting => (setting.Item1.ToUpperInvariant(), setting.Item2))).HubMembers);
        Assert.Equal(Node(Replica).Upstreams, Node(Replica.Select(setting => (setting.Item1.ToUpperInvariant(), setting.Item2))).Upstreams);
    }

    [Theory]
    [InlineData("Rol", "hub")]
    [InlineData("Ports:Raft", "1")]
    [InlineData("Ports", "1")]
    [InlineData("Hub", "x")]
    [InlineData("Hub:Members:0:Node", "hub-0")]
    [InlineData("Hub:Members:x", "hub-0=127.0.0.1:32000")]
    [InlineData("Development:Regions", "eu")]
    [InlineData("Limits:BlockCache", "1")]
    [InlineData("DataDirectory:0", "/x")]
    public void A_setting_that_does_not_exist_is_refused_by_name(string key, string value) => AssertRefused(key, Hub, (key, value));

    [Theory]
    [InlineData("Role", null)]
    [InlineData("Role", "")]
    [InlineData("Role", "leader")]
    [InlineData("NodeId", null)]
    [InlineData("NodeId", "")]
    [InlineData("NodeId", "Hub 0")]
    [InlineData("Region", "")]
    [InlineData("Region", "EU")]
    [InlineData("DataDirectory", null)]
    [InlineData("DataDirectory", " ")]
    [InlineData("Address", "localhost")]
    [InlineData("Address", "10.0.0.1")]
    [InlineData("Address", "0.0.0.0")]
    [InlineData("Address", "::")]
    [InlineData("Ports:Gateway", "0")]
    [InlineData("Ports:Gateway", "-1")]
    [InlineData("Ports:Gateway", "65536")]
    [InlineData("Ports:Silo", "x")]
    [InlineData("Ports:Http", "1.5")]
    [InlineData("Ports:Http", "")]
    [InlineData("Limits:HotRows", "-1")]
    [InlineData("Limits:HotRows", "10000001")]
    [InlineData("Limits:BlockCacheBytes", "8388607")]
    [InlineData("Limits:BlockCacheBytes", "-1")]
    [InlineData("Limits:BlockCacheBytes", "99999999999999999999")]
    [InlineData("Limits:MaxQueuedCommands", "0")]
    [InlineData("Limits:MaxQueuedCommands", "10000001")]
    [InlineData("Limits:MaxWaiters", "-5")]
    [InlineData("Keyspaces", "Flags")]
    [InlineData("Keyspaces", "flags,-x")]
    [InlineData("Replication:Relays", "0")]
    [InlineData("Replication:StaleSourceAfter", "00:00:00")]
    [InlineData("Replication:MaxLag", "never")]
    [InlineData("Scrub:BytesPerSecond", "-1")]
    [InlineData("Scrub:Every", "00:00:00")]
    [InlineData("Retention:MaxAge", "0")]
    [InlineData("Retention:MaxAge", "a week")]
    [InlineData("Retention:MaxBytes", "1048575")]
    [InlineData("Retention:MaxHoldBytes", "-1")]
    [InlineData("Retention:Period", "00:00:00.05")]
    public void A_value_out_of_range_is_refused_whatever_the_role(string key, string? value)
    {
        AssertRefused(key, Hub, (key, value));
        AssertRefused(key, Replica, (key, value));
    }

    [Theory]
    [InlineData("hub-0")]
    [InlineData("hub-0=127.0.0.1")]
    [InlineData("hub-0=127.0.0.1:0")]
    [InlineData("hub-0=localhost:32000")]
    [InlineData("hub-0=127.0.0.1:99999")]
    [InlineData("=127.0.0.1:32000")]
    [InlineData("Hub 0=127.0.0.1:32000")]
    [InlineData("hub-0=127.0.0.1:32000=x")]
    [InlineData("hub-1=127.0.0.1:32000")]
    [InlineData("")]
    public void A_hub_of_one_whose_member_is_not_itself_or_is_no_member_is_refused(string member) =>
        AssertRefused("Hub:Members", Hub, ("Hub:Members:0", member));

    [Fact]
    public void Members_are_one_or_three_and_each_named_once()
    {
        AssertRefused("Hub:Members", Hub, ("Hub:Members:0", null));
        AssertRefused("Hub:Members", HubOfThree, ("Hub:Members:2", null));
        AssertRefused("Hub:Members", HubOfThree, ("Hub:Members:3", "hub-3=127.0.0.1:32003"));
        AssertRefused("Hub:Members", HubOfThree, ("Hub:Members:2", "hub-0=127.0.0.1:32002"));
        AssertRefused("Hub:Members", HubOfThree, ("Hub:Members:2", "hub-2=127.0.0.1:32000"));
        AssertRefused("Hub:Members", HubOfThree, ("NodeId", "hub-9"));
        AssertRefused("Membership:Directory", HubOfThree, ("Membership:Directory", null));
    }

    [Fact]
    public void What_belongs_to_the_other_role_is_refused()
    {
        AssertRefused("Upstreams", Hub, ("Upstreams:0", "127.0.0.1:30000"));
        AssertRefused("Upstreams", Hub, ("Upstreams", "127.0.0.1:30000"));
        AssertRefused("Hub:Members", Replica, ("Hub:Members:0", "hub-0=127.0.0.1:32000"));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("127.0.0.1")]
    [InlineData("127.0.0.1:0")]
    [InlineData("http://hub:30000")]
    public void A_replica_without_a_good_upstream_is_refused(string? upstream) => AssertRefused("Upstreams", Replica, ("Upstreams:0", upstream));

    [Fact]
    public void An_address_beyond_this_machine_needs_a_word_that_the_network_is_trusted()
    {
        Assert.Equal(IPAddress.Parse("10.0.0.1"), Node(Hub, ("Address", "10.0.0.1"), ("AllowInsecure", "true")).Address);
        Assert.Equal(IPAddress.Parse("127.0.0.2"), Node(Hub, ("Address", "127.0.0.2")).Address);
        AssertRefused("Address", Hub, ("Address", "10.0.0.1"), ("AllowInsecure", "false"));
        AssertRefused("AllowInsecure", Hub, ("Address", "10.0.0.1"), ("AllowInsecure", "yes"));
        AssertRefused("Region", Replica, ("Region", null));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("Development")]
    [InlineData("development")]
    public void Without_configuration_a_development_process_is_a_hub_and_two_regions(string? environment)
    {
        var settings = Read(environment, []);
        Assert.True(settings.IsDevelopment);
        Assert.Equal(["hub-0", "eu-0", "us-0"], settings.Nodes.Select(node => node.NodeId.Value));
        Assert.Equal([NodeRole.Hub, NodeRole.Replica, NodeRole.Replica], settings.Nodes.Select(node => node.Role));
        Assert.Equal([new(30000, 31000, 8080), new(30001, 31001, 8081), new(30002, 31002, 8082)], settings.Nodes.Select(node => node.Ports));
        Assert.Equal(32000, settings.Nodes[0].HubMembers[0].Endpoint.Port);
        Assert.All(settings.Nodes.Skip(1), node => Assert.Equal(["127.0.0.1:30000"], node.Upstreams));
        Assert.All(settings.Nodes, node => Assert.Equal(Path.Combine(".quicksilver", node.NodeId.Value), node.DataDirectory));
        Assert.All(settings.Nodes, node => Assert.Equal(IPAddress.Loopback, node.Address));
        Assert.All(settings.Nodes, node => Assert.Equal(20_000, node.HotRows));
    }

    [Theory]
    [InlineData("Production")]
    [InlineData("Staging")]
    public void Without_configuration_no_other_environment_starts(string environment)
    {
        var e = Assert.Throws<ConfigurationException>(() => Read(environment, []));
        Assert.Equal("Quicksilver:Role", e.Key);
        Assert.Contains(environment, e.Message, StringComparison.Ordinal);
        Assert.Throws<ConfigurationException>(() => Read(environment, [("Development:DataDirectory", "/x")]));
    }

    [Fact]
    public void The_settings_of_development_move_its_directory_and_ports()
    {
        var settings = Read(
            "Development",
            [
                ("Development:DataDirectory", "/x"), ("Development:GatewayPort", "40000"), ("Development:HttpPort", "41000"), ("Development:SiloPort", "42000"),
                ("Development:RaftPort", "43000"),
            ]);
        Assert.Equal([new(40000, 42000, 41000), new(40001, 42001, 41001), new(40002, 42002, 41002)], settings.Nodes.Select(node => node.Ports));
        Assert.Equal(("/x/hub-0", 43000), (settings.Nodes[0].DataDirectory, settings.Nodes[0].HubMembers[0].Endpoint.Port));
        Assert.Equal(["127.0.0.1:40000"], settings.Nodes[1].Upstreams);
    }

    [Theory]
    [InlineData("Development:GatewayPort", "0")]
    [InlineData("Development:GatewayPort", "65535")]
    [InlineData("Development:SiloPort", "65534")]
    [InlineData("Development:HttpPort", "65536")]
    [InlineData("Development:RaftPort", "x")]
    public void A_port_of_development_that_leaves_no_room_for_its_regions_is_refused(string key, string value)
    {
        var e = Assert.Throws<ConfigurationException>(() => Read("Development", [(key, value)]));
        Assert.Equal($"Quicksilver:{key}", e.Key);
    }

    [Fact]
    public void A_node_with_one_setting_is_no_development_process() =>
        Assert.Throws<ConfigurationException>(() => Read("Development", [("NodeId", "hub-0")]));
}
