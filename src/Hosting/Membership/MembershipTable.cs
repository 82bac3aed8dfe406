using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json.Serialization;
using Orleans.Runtime;

namespace Quicksilver.Hosting.Membership;

/// <summary>The membership table as it is on disk.</summary>
internal sealed class MembershipTable
{
    public int Format { get; set; }
    public string ClusterId { get; set; } = "";
    public int Version { get; set; }
    public string VersionETag { get; set; } = "";
    public List<MembershipRow> Rows { get; set; } = [];

    public TableVersion ToVersion() => new(Version, VersionETag);

    public MembershipRow? Find(SiloAddress silo)
    {
        var key = silo.ToParsableString();
        return Rows.Find(row => row.Silo == key);
    }

    public void Advance(TableVersion next)
    {
        Debug.Assert(next.Version > Version, "Orleans passes the next version.");
        Version = next.Version;
        VersionETag = MembershipTime.NewETag();
    }
}

/// <summary>One silo in the table.</summary>
internal sealed class MembershipRow
{
    public string Silo { get; set; } = "";
    public string ETag { get; set; } = "";
    public string SiloName { get; set; } = "";
    public SiloStatus Status { get; set; }
    public int ProxyPort { get; set; }
    public string HostName { get; set; } = "";
    public string? RoleName { get; set; }
    public int UpdateZone { get; set; }
    public int FaultZone { get; set; }
    public DateTime StartTime { get; set; }
    public DateTime IAmAliveTime { get; set; }
    public List<Suspicion> Suspicions { get; set; } = [];

    [JsonIgnore]
    public DateTime LastUpdate => Suspicions.Select(static s => s.Time).Append(StartTime).Append(IAmAliveTime).Max();

    public static MembershipRow From(MembershipEntry entry) => new()
    {
        Silo = entry.SiloAddress.ToParsableString(),
        ETag = MembershipTime.NewETag(),
        SiloName = entry.SiloName,
        Status = entry.Status,
        ProxyPort = entry.ProxyPort,
        HostName = entry.HostName,
        RoleName = entry.RoleName,
        UpdateZone = entry.UpdateZone,
        FaultZone = entry.FaultZone,
        StartTime = MembershipTime.AsUtc(entry.StartTime),
        IAmAliveTime = MembershipTime.AsUtc(entry.IAmAliveTime),
        Suspicions = [.. (entry.SuspectTimes ?? []).Select(static s => new Suspicion(s.Item1.ToParsableString(), MembershipTime.AsUtc(s.Item2)))],
    };

    public MembershipEntry ToEntry() => new()
    {
        SiloAddress = SiloAddress.FromParsableString(Silo),
        SiloName = SiloName,
        Status = Status,
        ProxyPort = ProxyPort,
        HostName = HostName,
        RoleName = RoleName,
        UpdateZone = UpdateZone,
        FaultZone = FaultZone,
        StartTime = StartTime,
        IAmAliveTime = IAmAliveTime,
        SuspectTimes = [.. Suspicions.Select(static s => Tuple.Create(SiloAddress.FromParsableString(s.By), s.Time))],
    };
}

/// <summary>Who suspected a silo, and when.</summary>
internal sealed record Suspicion(string By, DateTime Time);

/// <summary>Small helpers of the table.</summary>
internal static class MembershipTime
{
    public static string NewETag() => RandomNumberGenerator.GetHexString(32, lowercase: true);

    // Orleans' times are UTC, but not all of them say so.
    public static DateTime AsUtc(DateTime time) =>
        time.Kind == DateTimeKind.Local ? time.ToUniversalTime() : DateTime.SpecifyKind(time, DateTimeKind.Utc);
}

[JsonSourceGenerationOptions(
    WriteIndented = true, UseStringEnumConverter = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(MembershipTable))]
internal sealed partial class MembershipJson : JsonSerializerContext;
