using Orleans.Concurrency;

namespace Quicksilver.Contracts;

/// <summary>What spans the shards of one keyspace (key: the keyspace id). Runs on every silo and holds no state.</summary>
[Alias("qs.IKeyspace")]
public interface IKeyspaceGrain : IGrainWithIntegerKey, IExternalContract
{
    /// <summary>One page of rows in key order, from one View.</summary>
    [Alias("Scan"), AlwaysInterleave]
    ValueTask<ScanAnswer> Scan(ScanRequest request, CancellationToken cancellation = default);
}
