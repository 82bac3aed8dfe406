using Quicksilver.Load;

namespace Quicksilver.Peers.Reads;

/// <summary>One measured cell of reads, of one peer in one round.</summary>
/// <param name="Keys">Of one call.</param>
/// <param name="Used">While it was measured, by all calls together.</param>
internal sealed record MeasuredRead(string Peer, string What, int Callers, int Keys, int Round, CellResult Cell, Usage Used)
{
    public double Calls => Cell.PerSecond * Cell.Seconds;

    public double KeysPerSecond => Keys * Cell.PerSecond;

    /// <summary>Microseconds.</summary>
    public double P50 => Cell.Latencies[0].P50;

    /// <summary>Microseconds.</summary>
    public double P99 => Cell.Latencies[0].P99;
}

/// <summary>Reads of one round without and with writes at the hub.</summary>
internal sealed record MixedReads(MeasuredRead Alone, MeasuredRead Mixed, CellResult Writes);
