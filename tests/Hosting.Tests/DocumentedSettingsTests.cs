using System.Globalization;
using System.Text;
using Microsoft.Extensions.Configuration;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Hosting.Tests;

/// <summary>
/// Goal: what docs/operations.md says of the configuration is what a node takes. Method: its examples are read as a node reads them; its tables have
/// every setting that there is, and the defaults that count.
/// </summary>
public sealed class DocumentedSettingsTests
{
    private static readonly Document Page = Document.Read("docs/operations.md");

    private static readonly Dictionary<string, string?> Hub = new()
    {
        ["Role"] = "hub", ["NodeId"] = "hub-0", ["DataDirectory"] = "/data/hub-0", ["Hub:Members"] = "hub-0=127.0.0.1:32000",
    };

    private static readonly Dictionary<string, string?> Replica = new()
    {
        ["Role"] = "replica", ["NodeId"] = "eu-0", ["Region"] = "eu", ["DataDirectory"] = "/data/eu-0", ["Upstreams"] = "127.0.0.1:30000",
    };

    /// <summary>Key and default of every row of the two tables of settings.</summary>
    private static IEnumerable<(string Key, string Default)> Rows() =>
        from table in Page.Tables()
        where table is { Heading: "Configuration", Header: ["key", "default", ..] }
        from row in table.Rows
        select (row[0].Trim('`'), row[1]);

    private static NodeSettings Read(IConfiguration configuration) => Assert.Single(SettingsReader.Read(configuration, "Production").Nodes);

    private static NodeSettings Read(Dictionary<string, string?> settings) => Read(
        new ConfigurationBuilder().AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create($"Quicksilver:{setting.Key}", setting.Value))).Build());

    [Fact]
    public void The_example_of_a_hub_node_is_taken_from_its_file()
    {
        var file = Assert.Single(Page.Blocks(), block => block.Language == "json");
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', file.Lines)));
        var node = Read(new ConfigurationBuilder().AddJsonStream(stream).Build());
        Assert.Equal((NodeRole.Hub, NodeId.Parse("hub-0"), 3), (node.Role, node.NodeId, node.HubMembers.Count));
    }

    [Fact]
    public void The_example_of_a_replica_is_taken_from_environment_and_command_line()
    {
        var words = Assert.Single(Page.Blocks().SelectMany(block => block.Commands()), command => command.StartsWith("Quicksilver__", StringComparison.Ordinal)).Split(' ');
        var environment = words.TakeWhile(word => word != "dotnet").Select(word => word.Replace("__", ":", StringComparison.Ordinal).Split('=', 2))
            .Select(pair => KeyValuePair.Create(pair[0], (string?)pair[1]));
        string[] args = [.. words.SkipWhile(word => word != "--").Skip(1)];
        var node = Read(new ConfigurationBuilder().AddInMemoryCollection(environment).AddCommandLine(args).Build());
        Assert.Equal(
            (NodeRole.Replica, NodeId.Parse("eu-0"), RegionName.Parse("eu"), 2, new NodePorts(30_001, 11_112, 8_081)),
            (node.Role, node.NodeId, node.Region, node.Upstreams.Count, node.Ports));
    }

    [Fact]
    public void Every_setting_is_in_a_table_and_no_other() => Assert.Equal(SettingsReader.Keys.Order(), Rows().Select(row => row.Key).Order());

    [Fact]
    public void A_setting_with_its_documented_default_is_as_one_that_is_not_set()
    {
        var compared = 0;
        foreach (var (key, said) in Rows().Where(row => !row.Key.StartsWith("Development:", StringComparison.Ordinal)))
        {
            // A number may be followed by what it is in other units; what is no value is told in words.
            var value = said.Trim('`').Split(" (")[0].Replace(",", "", StringComparison.Ordinal);
            if (value is "all" or "none" or "by the machine" || said.Contains("required", StringComparison.Ordinal))
            {
                continue;
            }

            compared++;
            var settings = key.StartsWith("Hub:", StringComparison.Ordinal) ? Hub : Replica;
            Assert.Equal((key, Text(Read(settings))), (key, Text(Read(new Dictionary<string, string?>(settings) { [key] = value }))));
        }

        Assert.True(compared > 15, $"{compared} settings with a default");
    }

    /// <summary>All of a node's settings as text: lists by what they are, everything else by its value.</summary>
    private static string Text(NodeSettings settings) => string.Create(CultureInfo.InvariantCulture, $"{settings}");
}
