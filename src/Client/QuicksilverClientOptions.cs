namespace Quicksilver.Client;

/// <summary>How an application reaches Quicksilver.</summary>
public sealed class QuicksilverClientOptions
{
    /// <summary>Gateways in order of preference, <c>host:port</c>. Default <c>127.0.0.1:30000</c>, the hub of the development cluster.</summary>
    public IList<string> Gateways { get; } = [];

    /// <summary>
    /// How long one operation may take, all its tries together. Default 10 s. A write that is not certain by then ends in an
    /// exception that says whether it may have happened.
    /// </summary>
    public TimeSpan Deadline { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>First pause between two tries; doubles up to half a second. Default 10 ms.</summary>
    public TimeSpan MinBackoff { get; set; } = TimeSpan.FromMilliseconds(10);

    /// <summary>The gateway of a client that names none.</summary>
    public const string DefaultGateway = "127.0.0.1:30000";

    internal GatewayLinkOptions ToLinkOptions() => new() { Gateways = Gateways.Count > 0 ? [.. Gateways] : [DefaultGateway] };
}
