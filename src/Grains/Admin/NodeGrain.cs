using Orleans.Concurrency;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Grains;

/// <summary>Status and comparison of the node it lives on.</summary>
[PlaceOnNode, Reentrant, GrainType("qs.node")]
public sealed class NodeGrain(NodeContext node, INodeMonitor monitor, PinnedViews pins, TimeProvider time) : Grain, INodeGrain
{
    private static readonly TimeSpan CatchUp = TimeSpan.FromSeconds(10);

    /// <inheritdoc/>
    public ValueTask<NodeStatus> Status() => new(monitor.Status);

    /// <inheritdoc/>
    public ValueTask<PinAnswer> Pin() => new(pins.Pin() is { } pin
        ? new PinAnswer(pin.Pin, pin.Progress.Cluster, pin.Progress.Position, null)
        : new(0, default, default, "Too many comparisons are under way at this node; try again in two minutes."));

    /// <inheritdoc/>
    public async Task<StateHashAnswer> StateHash(long pin, Revision at, string[]? keyspaces, bool keepPin, CancellationToken cancellation)
    {
        if (!Subscription.TryCreate(keyspaces, out var only, out var problem))
        {
            return Problem($"These are no patterns of keyspaces: {problem}.");
        }


        if (await node.Store.Waiters.WaitAsync(at, CatchUp, time, cancellation) != WaitResult.Reached)
        {
            return Problem($"The node is at revision {node.Store.Progress.Position.Revision} and did not reach {at} within {CatchUp.TotalSeconds} s.");
        }

        try
        {
            return await pins.HashAsync(pin, at, keyspaces is null ? null : only, keepPin, cancellation) is { } hashes
                ? new(hashes.Position, hashes.Chain, hashes.State, hashes.Rows, null)
                : Problem("The pin is gone; begin the comparison again.");
        }
        catch (Exception e) when (e is StorageException or ArgumentException or InvalidOperationException or MalformedDataException)
        {
            return Problem(e.Message);
        }
    }

    private StateHashAnswer Problem(string problem) => new(node.Store.Progress.Position, default, default, 0, problem);
}
