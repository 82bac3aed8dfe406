namespace Quicksilver.Peers.Reads;

/// <summary>What this process and the servers had used of the machine up to a moment, or between two of them.</summary>
/// <param name="Client">Processor time of this process, the driver included.</param>
/// <param name="Servers">Processor time of all servers.</param>
/// <param name="AllocatedBytes">By this process.</param>
internal readonly record struct Usage(TimeSpan Client, TimeSpan Servers, long AllocatedBytes)
{
    public static Usage Now(IReadOnlyList<int> servers) => new(
        Environment.CpuUsage.TotalTime, servers.Aggregate(TimeSpan.Zero, (sum, server) => sum + Sizes.ProcessorTime(server)), GC.GetTotalAllocatedBytes(precise: true));

    public Usage Since(Usage before) => new(Client - before.Client, Servers - before.Servers, AllocatedBytes - before.AllocatedBytes);
}
