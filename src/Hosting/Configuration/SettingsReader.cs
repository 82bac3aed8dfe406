using System.Globalization;
using System.Net;
using Microsoft.Extensions.Configuration;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Hosting.Membership;
using Quicksilver.Model;
using Quicksilver.Sequencing;

namespace Quicksilver.Hosting;

/// <summary>What the process is to run.</summary>
/// <param name="Nodes">One node, or all nodes of a development cluster.</param>
public sealed record ProcessSettings(bool IsDevelopment, IReadOnlyList<NodeSettings> Nodes);

/// <summary>
/// Reads the section <c>Quicksilver</c> (JSON, environment, command line). Every key must be known and every value valid, or
/// nothing starts: a setting that is silently ignored is found out at night.
/// </summary>
public static class SettingsReader
{
    public const string SectionName = "Quicksilver";

    private static readonly HashSet<string> NodeKeys = new(StringComparer.OrdinalIgnoreCase)
    {
        "Role", "NodeId", "Region", "DataDirectory", "Address", "AllowInsecure", "Ports:Gateway", "Ports:Silo", "Ports:Http",
        "Hub:Members", "Hub:RaftLog", "Upstreams", "Membership:Directory", "Membership:Redis", "Membership:PostgreSql", "Limits:BlockCacheBytes", "Limits:HotRows", "Limits:MaxQueuedCommands", "Limits:MaxWaiters",
        "Keyspaces", "Replication:Relays", "Replication:StaleSourceAfter", "Replication:ReturnAfter", "Replication:MaxLag", "Replication:ServeWhenDiverged",
        "Scrub:BytesPerSecond", "Scrub:Every", "Retention:MaxAge", "Retention:MaxBytes", "Retention:MaxHoldBytes", "Retention:Period",
    };

    private static readonly HashSet<string> ListKeys = new(StringComparer.OrdinalIgnoreCase) { "Hub:Members", "Upstreams", "Keyspaces" };

    /// <summary>The regions of the development cluster take the ports after the hub's.</summary>
    private const int FirstPortMax = 65_533;

    private static readonly string[] DevelopmentRegions = ["eu", "us"];

    private static readonly HashSet<string> DevelopmentKeys = new(StringComparer.OrdinalIgnoreCase)
    {
        "Development:DataDirectory", "Development:GatewayPort", "Development:HttpPort", "Development:SiloPort", "Development:RaftPort",
    };

    /// <summary>Every setting that there is, below the section; docs/operations.md has a row for each.</summary>
    internal static IEnumerable<string> Keys => NodeKeys.Concat(DevelopmentKeys);

    /// <summary>
    /// Reads the settings. Without any, the development cluster, unless <paramref name="environment"/> says otherwise. Throws
    /// <see cref="ConfigurationException"/>.
    /// </summary>
    public static ProcessSettings Read(IConfiguration configuration, string? environment)
    {
        var section = configuration.GetSection(SectionName);
        var keys = Leaves(section).ToList();
        foreach (var (key, value) in keys)
        {
            if (!IsKnown(key))
            {
                throw new ConfigurationException($"{SectionName}:{key}", value, "this setting does not exist. Correct its name or remove it; docs/operations.md lists all.");
            }
        }

        var isDevelopment = keys.TrueForAll(key => DevelopmentKeys.Contains(key.Key));
        if (!isDevelopment && keys.Find(key => DevelopmentKeys.Contains(key.Key)) is { Key: { } mixed, Value: var mixedValue })
        {
            throw new ConfigurationException($"{SectionName}:{mixed}", mixedValue, "it belongs to the development cluster, and other settings describe a node. Remove one or the other.");
        }

        if (isDevelopment)
        {
            if (!string.IsNullOrEmpty(environment) && !environment.Equals("Development", StringComparison.OrdinalIgnoreCase))
            {
                throw new ConfigurationException($"{SectionName}:Role", null, $"the environment is {environment}, where a node does not start without configuration. Set Role to 'hub' or 'replica', with NodeId, Region and DataDirectory.");
            }

            return new(true, Development(section));
        }

        return new(false, [Node(section)]);
    }

    private static bool IsKnown(string key) => NodeKeys.Contains(key) || DevelopmentKeys.Contains(key)
        || ListKeys.Contains(WithoutIndex(key));

    private static string WithoutIndex(string key)
    {
        var colon = key.LastIndexOf(':');
        return colon > 0 && int.TryParse(key.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out _) ? key[..colon] : key;
    }

    private static IEnumerable<(string Key, string? Value)> Leaves(IConfigurationSection section, string prefix = "")
    {
        foreach (var child in section.GetChildren())
        {
            var key = prefix.Length == 0 ? child.Key : $"{prefix}:{child.Key}";
            if (child.Value is not null)
            {
                yield return (key, child.Value);
            }

            foreach (var leaf in Leaves(child, key))
            {
                yield return leaf;
            }
        }
    }

    private static NodeSettings Node(IConfigurationSection section)
    {
        var role = section["Role"] switch
        {
            "hub" => NodeRole.Hub,
            "replica" => NodeRole.Replica,
            var other => throw new ConfigurationException($"{SectionName}:Role", other, "use 'hub' or 'replica'."),
        };
        if (!NodeId.TryParse(section["NodeId"], out var node))
        {
            throw new ConfigurationException($"{SectionName}:NodeId", section["NodeId"], "use a stable name such as 'eu-0': 1 to 63 of a-z, 0-9, '.', '_', '-', starting with a letter or digit.");
        }

        var regionText = section["Region"] ?? (role == NodeRole.Hub ? "hub" : null);
        if (!RegionName.TryParse(regionText, out var region))
        {
            throw new ConfigurationException($"{SectionName}:Region", regionText, "use the name of the place this node serves, such as 'eu'.");
        }

        if (string.IsNullOrWhiteSpace(section["DataDirectory"]))
        {
            throw new ConfigurationException($"{SectionName}:DataDirectory", section["DataDirectory"], "give the node a directory of its own on a local disk.");
        }

        if (role == NodeRole.Replica && region.Value == "hub")
        {
            throw new ConfigurationException($"{SectionName}:Region", regionText, "it is the name of the hub's own region. Give the replica's region another name.");
        }

        var address = Address(section);
        var ports = Distinct(
            new NodePorts(Port(section, "Ports:Gateway", 30000), Port(section, "Ports:Silo", 11111), Port(section, "Ports:Http", 8080)));
        var settings = new NodeSettings
        {
            Role = role,
            NodeId = node,
            Region = region,
            DataDirectory = section["DataDirectory"]!,
            Address = address,
            Ports = ports,
            HubMembers = role == NodeRole.Hub ? Members(section, node) : NotAllowed<HubMember>(section, "Hub:Members", "only hub nodes have members. Remove it."),
            RaftLog = role == NodeRole.Hub ? RaftLog(section) : NotAllowed<RaftLogKind>(section, "Hub:RaftLog", "only hub nodes have a Raft log. Remove it.").FirstOrDefault(),
            Upstreams = role == NodeRole.Replica ? Upstreams(section) : NotAllowed<string>(section, "Upstreams", "the hub pulls from nobody. Remove it."),
            Membership = Membership(section),
            Keyspaces = role == NodeRole.Replica ? Keyspaces(section) : NotAllowed<Subscription>(section, "Keyspaces", "the hub holds all keyspaces. Remove it.").FirstOrDefault(Subscription.All),
            Relays = (int)Number(section, "Replication:Relays", 1, 1, 64),
            Sources = new()
            {
                StaleAfter = Duration(section, "Replication:StaleSourceAfter", TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(1), TimeSpan.FromDays(1)),
                ReturnAfter = Duration(section, "Replication:ReturnAfter", TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(1), TimeSpan.FromDays(1)),
            },
            MaxLag = Duration(section, "Replication:MaxLag", TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(1), TimeSpan.FromDays(365)),
            ServeWhenDiverged = Flag(section, "Replication:ServeWhenDiverged"),
            Scrub = new()
            {
                BytesPerSecond = Number(section, "Scrub:BytesPerSecond", 4L << 20, 0, 1L << 40),
                Every = Duration(section, "Scrub:Every", TimeSpan.FromDays(1), TimeSpan.FromMilliseconds(100), TimeSpan.FromDays(365)),
            },
            Retention = new()
            {
                MaxAge = Duration(section, "Retention:MaxAge", TimeSpan.FromDays(7), TimeSpan.FromSeconds(1), TimeSpan.FromDays(3650)),
                MaxBytes = Number(section, "Retention:MaxBytes", 10L << 30, 1 << 20, 1L << 50),
                MaxHoldBytes = Number(section, "Retention:MaxHoldBytes", 2L << 30, 0, 1L << 50),
                Period = Duration(section, "Retention:Period", TimeSpan.FromSeconds(10), TimeSpan.FromMilliseconds(100), TimeSpan.FromHours(1)),
            },
            BlockCacheBytes = Number(section, "Limits:BlockCacheBytes", NodeSettings.DefaultBlockCacheBytes, 8L << 20, 1L << 40),
            HotRows = (int)Number(section, "Limits:HotRows", NodeSettings.DefaultHotRows, 0, 10_000_000),
            MaxQueuedCommands = (int)Number(section, "Limits:MaxQueuedCommands", 65_536, 1, 10_000_000),
            MaxWaiters = (int)Number(section, "Limits:MaxWaiters", 10_000, 1, 10_000_000),
        };
        if (settings.HubMembers.FirstOrDefault(member => member.Node == node) is { } self && !IPAddress.IsLoopback(self.Endpoint.Address) && !Flag(section, "AllowInsecure"))
        {
            throw new ConfigurationException($"{SectionName}:Hub:Members", $"{self.Node}={self.Endpoint}", "Raft connections are not encrypted, so only loopback is served. Use 127.0.0.1, or set AllowInsecure to true where the network is trusted.");
        }

        if (settings.HubMembers.Count > 1 && settings.Membership is null)
        {
            throw new ConfigurationException($"{SectionName}:Membership:Directory", null, "the silos of a cluster of several nodes must share a membership table. Name a directory that all of them can write, or set Membership:Redis or Membership:PostgreSql.");
        }

        return settings;
    }

    private static IPAddress Address(IConfigurationSection section)
    {
        var text = section["Address"] ?? "127.0.0.1";
        if (!IPAddress.TryParse(text, out var address))
        {
            throw new ConfigurationException($"{SectionName}:Address", text, "use an IP address of this machine.");
        }

        if (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any))
        {
            throw new ConfigurationException($"{SectionName}:Address", text, "other nodes are told this address, so it must be one of this machine and not 'any'.");
        }

        var allowInsecure = Flag(section, "AllowInsecure");
        if (!IPAddress.IsLoopback(address) && !allowInsecure)
        {
            throw new ConfigurationException($"{SectionName}:Address", text, "connections are not encrypted, so only loopback is served. Use 127.0.0.1, or set AllowInsecure to true where the network is trusted.");
        }

        return address;
    }

    private static List<HubMember> Members(IConfigurationSection section, NodeId self)
    {
        var texts = List(section, "Hub:Members");
        var members = new List<HubMember>();
        foreach (var text in texts)
        {
            var parts = text.Split('=');
            if (parts.Length != 2 || !NodeId.TryParse(parts[0].Trim(), out var node) || !IPEndPoint.TryParse(parts[1].Trim(), out var endpoint) || endpoint.Port == 0
                || endpoint.Address.Equals(IPAddress.Any) || endpoint.Address.Equals(IPAddress.IPv6Any))
            {
                throw new ConfigurationException($"{SectionName}:Hub:Members", text, "write each member as NODE=IP:RAFTPORT, for example hub-0=10.0.0.1:32000.");
            }

            if (members.Exists(member => member.Node == node || member.Endpoint.Equals(endpoint)))
            {
                throw new ConfigurationException($"{SectionName}:Hub:Members", text, "a member or its endpoint is named twice. Name each once.");
            }

            members.Add(new(node, endpoint));
        }

        if (members.Count is not (1 or 3))
        {
            throw new ConfigurationException($"{SectionName}:Hub:Members", string.Join(", ", texts), "a hub has one member or three.");
        }

        return members.Exists(member => member.Node == self)
            ? members
            : throw new ConfigurationException($"{SectionName}:Hub:Members", string.Join(", ", texts), $"this node ('{self}') is not among them. Add it.");
    }

    private static List<string> Upstreams(IConfigurationSection section)
    {
        var upstreams = List(section, "Upstreams");
        if (upstreams.Count == 0)
        {
            throw new ConfigurationException($"{SectionName}:Upstreams", null, "name at least one gateway to pull from, as HOST:PORT.");
        }

        foreach (var upstream in upstreams)
        {
            if (!GatewayAddress.TryParse(upstream, out _))
            {
                throw new ConfigurationException($"{SectionName}:Upstreams", upstream, "write each gateway as HOST:PORT.");
            }
        }

        return upstreams;
    }

    private static MembershipStore? Membership(IConfigurationSection section)
    {
        var given = Enum.GetValues<MembershipKind>().Where(kind => section[$"Membership:{kind}"] is not null).ToList();
        if (given.Count == 0)
        {
            return null;
        }

        if (given.Count > 1)
        {
            throw new ConfigurationException($"{SectionName}:Membership", string.Join(", ", given), "a cluster has one membership table. Set one of them.");
        }

        // What may have a password in it is not repeated.
        var store = new MembershipStore(given[0], section[$"Membership:{given[0]}"]!);
        if (string.IsNullOrWhiteSpace(store.Location))
        {
            throw new ConfigurationException(MembershipStores.SettingOf(store), store.Location, "say where it is, or remove the setting.");
        }

        MembershipStores.Check(store);
        return store;
    }

    private static Subscription Keyspaces(IConfigurationSection section)
    {
        var patterns = List(section, "Keyspaces");
        return patterns.Count == 0 ? Subscription.All
            : Subscription.TryCreate(patterns, out var subscription, out var problem) ? subscription
            : throw new ConfigurationException($"{SectionName}:Keyspaces", string.Join(", ", patterns), $"{problem}.");
    }

    private static T[] NotAllowed<T>(IConfigurationSection section, string key, string fix) =>
        List(section, key) is { Count: > 0 } list ? throw new ConfigurationException($"{SectionName}:{key}", string.Join(", ", list), fix) : [];

    /// <summary>A list: one value with commas, or numbered values.</summary>
    private static List<string> List(IConfigurationSection section, string key)
    {
        var list = section.GetSection(key);
        if (list.Value is not null && list.GetChildren().Any())
        {
            throw new ConfigurationException($"{SectionName}:{key}", list.Value, "it is given both as one value and as numbered values. Use one form.");
        }

        return list.Value is { } text
            ? [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)]
            : [.. list.GetChildren().Select(child => child.Value ?? "")];
    }

    private static RaftLogKind RaftLog(IConfigurationSection section) => section["Hub:RaftLog"]?.ToUpperInvariant() switch
    {
        null or "DATABASE" => RaftLogKind.Database,
        "FILES" => RaftLogKind.Files,
        _ => throw new ConfigurationException($"{SectionName}:Hub:RaftLog", section["Hub:RaftLog"], "say 'database' or 'files', or remove it."),
    };

    private static bool Flag(IConfigurationSection section, string key) => section[key] switch
    {
        null => false,
        var text when bool.TryParse(text, out var value) => value,
        var text => throw new ConfigurationException($"{SectionName}:{key}", text, "use true or false."),
    };

    private static NodePorts Distinct(NodePorts ports) =>
        ports.Gateway != ports.Silo && ports.Gateway != ports.Http && ports.Silo != ports.Http
            ? ports
            : throw new ConfigurationException($"{SectionName}:Ports", $"Gateway {ports.Gateway}, Silo {ports.Silo}, Http {ports.Http}", "each needs a port of its own.");

    private static int Port(IConfigurationSection section, string key, int fallback, int max = 65_535) => (int)Number(section, key, fallback, 1, max);

    private static TimeSpan Duration(IConfigurationSection section, string key, TimeSpan fallback, TimeSpan min, TimeSpan max) =>
        section[key] is not { } text ? fallback
        : TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out var value) && value >= min && value <= max ? value
        : throw new ConfigurationException($"{SectionName}:{key}", text, $"use a time from {min:c} to {max:c}, written as [days.]hours:minutes:seconds.");

    private static long Number(IConfigurationSection section, string key, long fallback, long min, long max)
    {
        var text = section[key];
        if (text is null)
        {
            return fallback;
        }

        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= min && value <= max
            ? value
            : throw new ConfigurationException($"{SectionName}:{key}", text, $"use a whole number from {min} to {max}.");
    }

    /// <summary>What each of three nodes has that share a process with its memory.</summary>
    private const int DevelopmentHotRows = 20_000;

    /// <summary>A hub of one and the regions eu and us, all in this process.</summary>
    private static List<NodeSettings> Development(IConfigurationSection section)
    {
        var data = section["Development:DataDirectory"] ?? ".quicksilver";
        var gateway = Port(section, "Development:GatewayPort", 30000, FirstPortMax);
        var http = Port(section, "Development:HttpPort", 8080, FirstPortMax);
        var silo = Port(section, "Development:SiloPort", 31000, FirstPortMax);
        var raft = Port(section, "Development:RaftPort", 32000);
        var hub = new NodeSettings
        {
            Role = NodeRole.Hub,
            NodeId = NodeId.Parse("hub-0"),
            Region = RegionName.Parse("hub"),
            DataDirectory = Path.Combine(data, "hub-0"),
            Ports = new(gateway, silo, http),
            HubMembers = [new(NodeId.Parse("hub-0"), new(IPAddress.Loopback, raft))],
            HotRows = DevelopmentHotRows,
        };
        return
        [
            hub,
            .. DevelopmentRegions.Select((region, i) => new NodeSettings
            {
                Role = NodeRole.Replica,
                NodeId = NodeId.Parse($"{region}-0"),
                Region = RegionName.Parse(region),
                DataDirectory = Path.Combine(data, $"{region}-0"),
                Ports = new(gateway + 1 + i, silo + 1 + i, http + 1 + i),
                Upstreams = [hub.GatewayText],
                HotRows = DevelopmentHotRows,
            }),
        ];
    }
}
