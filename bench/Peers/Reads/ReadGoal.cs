using System.Globalization;

namespace Quicksilver.Peers.Reads;

/// <summary>What Quicksilver is to reach beside a peer; null where nothing was set.</summary>
/// <param name="MinRate">Its keys per second, by the peer's.</param>
/// <param name="MaxP50">Its median, by the peer's.</param>
internal sealed record ReadGoal(string What, int Callers, string Peer, double? MinRate = null, double? MaxP50 = null)
{
    public const string Get = "get, uniform";
    public const string ManyUniform = "get 64, uniform";
    public const string ManyZipf = "get 64, zipf";
    public const string GetZipf = "get, zipf";
    public const string GetZipfMixed = "get, zipf, 1 % writes";

    /// <summary>The 99th percentile of reads by Zipf's law with 1 % writes at the hub, by that without.</summary>
    public const double MaxMixedP99 = 1.5;

    private static readonly ReadGoal[] All =
    [
        new(Get, 1, "redis", MaxP50: 1.4), new(Get, 64, "redis", MinRate: 1.0), new(Get, 256, "redis", MinRate: 1.5),
        new(Get, 64, "etcd", MinRate: 20), new(Get, 64, "nats", MinRate: 2),
        new(ManyUniform, 1, "redis", MinRate: 0.75), new(ManyUniform, 16, "redis", MinRate: 0.75),
        new(ManyZipf, 1, "redis", MinRate: 1.5), new(ManyZipf, 16, "redis", MinRate: 1.5),
    ];

    public static ReadGoal? Find(string what, int callers, string peer) =>
        Array.Find(All, goal => (goal.What, goal.Callers, goal.Peer) == (what, callers, peer));

    public string RateText => MinRate is { } rate ? string.Create(CultureInfo.InvariantCulture, $"at least {rate}") : "";

    public string P50Text => MaxP50 is { } p50 ? string.Create(CultureInfo.InvariantCulture, $"at most {p50}") : "";
}
