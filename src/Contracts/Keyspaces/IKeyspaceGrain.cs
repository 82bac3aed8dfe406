using Orleans.Concurrency;

namespace Quicksilver.Contracts;

/// <summary>What spans the shards of one keyspace (key: the keyspace id). Runs on every silo and holds no state.</summary>
[Alias("qs.IKeyspace")]
public interface IKeyspaceGrain : IGrainWithIntegerKey, IExternalContract
{
    /// <summary>One page of rows in key order, from one View.</summary>
    [Alias("Scan"), AlwaysInterleave]
    ValueTask<ScanAnswer> Scan(ScanRequest request, CancellationToken cancellation = default);

    /// <summary>
    /// Changes after a position, in their order; waits for the first at most as long as the request says. Each request says where it goes on, so
    /// any node can answer the next one, and a lost answer is asked for again.
    /// </summary>
    [Alias("Watch"), AlwaysInterleave]
    ValueTask<WatchAnswer> Watch(WatchRequest request, CancellationToken cancellation = default);
}
