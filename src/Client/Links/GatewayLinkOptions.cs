namespace Quicksilver.Client;

/// <summary>How a link to a cluster behaves. Each time is more than zero and at most a day.</summary>
public sealed record GatewayLinkOptions
{
    /// <summary>Gateways in order of preference, <c>host:port</c>. At least one.</summary>
    public required IReadOnlyList<string> Gateways { get; init; }

    /// <summary>Time between heartbeats. Default 1 s.</summary>
    public TimeSpan HeartbeatPeriod { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A heartbeat without an answer for this long is missed. Default 2 s.</summary>
    public TimeSpan HeartbeatTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Missed heartbeats in a row after which the link is lost. Default 2: a silent cut is noticed in about 6 s.</summary>
    public int MissesBeforeLost { get; init; } = 2;

    /// <summary>How long a gateway may take to say who it is. Default 2 s.</summary>
    public TimeSpan ProbeTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>A gateway that has not answered for this long is asked once more beside. Default 500 ms.</summary>
    public TimeSpan ProbeAgainPeriod { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>
    /// How much longer a gateway may take to say who it is than one that comes behind it in the order of preference. Default 500 ms: longer than any
    /// way in this world, with one question lost.
    /// </summary>
    public TimeSpan PreferenceGrace { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a gateway that said who it is may take until calls can be made. Default 5 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Pause between two rounds over the gateways when none answers. Default 250 ms.</summary>
    public TimeSpan RetryPeriod { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Time-out of calls that do not name their own. Default 5 s.</summary>
    public TimeSpan ResponseTimeout { get; init; } = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan MaxTime = TimeSpan.FromDays(1);

    /// <summary>What is wrong with these options, or null.</summary>
    internal string? Problem()
    {
        if (Gateways is not { Count: > 0 })
        {
            return "no gateway is given";
        }

        foreach (var gateway in Gateways)
        {
            if (!GatewayAddress.TryParse(gateway, out _))
            {
                return $"'{gateway}' is not HOST:PORT";
            }
        }

        foreach (var (setting, value) in new[]
        {
            (nameof(HeartbeatPeriod), HeartbeatPeriod), (nameof(HeartbeatTimeout), HeartbeatTimeout), (nameof(ProbeTimeout), ProbeTimeout),
            (nameof(ProbeAgainPeriod), ProbeAgainPeriod), (nameof(RetryPeriod), RetryPeriod), (nameof(ResponseTimeout), ResponseTimeout),
            (nameof(PreferenceGrace), PreferenceGrace), (nameof(ConnectTimeout), ConnectTimeout),
        })
        {
            if (value <= TimeSpan.Zero || value > MaxTime)
            {
                return $"{setting} is {value}; it must be more than zero and at most {MaxTime.TotalDays:0} day";
            }
        }

        return MissesBeforeLost > 0 ? null : $"MissesBeforeLost is {MissesBeforeLost}; it must be at least 1";
    }
}

/// <summary>A host and a port.</summary>
public readonly record struct GatewayAddress(string Host, int Port)
{
    /// <summary>As <see cref="TryParse"/>; throws <see cref="FormatException"/>.</summary>
    public static GatewayAddress Parse(string text) =>
        TryParse(text, out var address) ? address : throw new FormatException($"'{text}' is not HOST:PORT.");

    /// <summary>Reads <c>host:port</c>; an IPv6 address stands in brackets.</summary>
    public static bool TryParse(string? text, out GatewayAddress address)
    {
        address = default;
        var colon = text?.LastIndexOf(':') ?? -1;
        if (colon <= 0 || !int.TryParse(text.AsSpan(colon + 1), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var port) || port is < 1 or > 65535)
        {
            return false;
        }

        var host = text![..colon];
        var bracketed = host.Length > 2 && host[0] == '[' && host[^1] == ']';
        host = bracketed ? host[1..^1] : host;

        // Without brackets nobody can tell where an IPv6 address ends and its port begins.
        if (bracketed ? host[0] == '[' || Uri.CheckHostName(host) != UriHostNameType.IPv6 : Uri.CheckHostName(host) is not (UriHostNameType.Dns or UriHostNameType.IPv4))
        {
            return false;
        }

        address = new(host, port);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
