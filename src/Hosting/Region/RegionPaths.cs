using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Grains;
using Quicksilver.Model;

namespace Quicksilver.Hosting;

/// <summary>The way of commands and of reads that only the hub can answer, from a region: over the link.</summary>
internal sealed class RegionPaths(NodeContext node, UpstreamLink upstream) : ICommitPath, IHubReads
{
    /// <inheritdoc/>
    public async ValueTask<CommitManyAnswer> CommitAsync(IReadOnlyList<ReadOnlyMemory<byte>> commands, CancellationToken cancellation)
    {
        CommitOutcome outcome;
        try
        {
            if (upstream.Merger is { } merger)
            {
                var merged = await merger.CommitAsync(commands, cancellation);

                // The gateway for writes is one for this node, not for its clients, who may not reach it.
                return new([.. merged.Outcomes], merged.Context with { WriteGateway = null });
            }

            // Known to be down before anything was sent.
            outcome = CommitOutcome.Unavailable;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            outcome = OrleansErrors.OutcomeOf(e) == WriteOutcome.NotCommitted ? CommitOutcome.Unavailable : CommitOutcome.Unknown;
        }

        var outcomes = new CommitOutcome[commands.Count];
        Array.Fill(outcomes, outcome);
        return new(outcomes, node.Answer(node.Store.Progress));
    }

    /// <inheritdoc/>
    public ValueTask<Revision?> ReadBarrierAsync(CancellationToken cancellation) => new((Revision?)null);

    /// <inheritdoc/>
    public async ValueTask<TAnswer?> ForwardAsync<TAnswer>(
        Func<IGrainFactory, CancellationToken, ValueTask<TAnswer>> call, CancellationToken cancellation)
        where TAnswer : class
    {
        if (upstream.Session is not { } session)
        {
            return null;
        }

        try
        {
            using var bound = CancellationTokenSource.CreateLinkedTokenSource(session.Lost, cancellation);
            return await call(session.Grains, bound.Token).AsTask().WaitAsync(bound.Token);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // The caller says what that means for its read; nothing is lost by not knowing why.
            return null;
        }
    }
}
