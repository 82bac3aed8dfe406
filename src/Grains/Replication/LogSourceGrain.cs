using System.Diagnostics;
using Orleans.Concurrency;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Grains;

/// <summary>The change log of this node for its children.</summary>
[PlaceOnNode, Reentrant, GrainType("qs.logsource")]
public sealed class LogSourceGrain(NodeContext node, LogSource source) : Grain, ILogSourceGrain
{
    /// <inheritdoc/>
    public ValueTask<OpenPullAnswer> Open(OpenPullRequest request) => source.OpenAsync(request, CancellationToken.None);

    /// <inheritdoc/>
    public ValueTask<SourceDescription> Describe() => new(source.Describe());

    /// <inheritdoc/>
    public async ValueTask<LogPage> Next(NextPageRequest request, CancellationToken cancellation)
    {
        using var span = node.Serve(Traces.ServePage);
        var page = await source.NextAsync(request, cancellation);
        if (span is not null && page.Records.Length == 0)
        {
            // As at the replica: a poll that found nothing is of no interest.
            span.ActivityTraceFlags &= ~ActivityTraceFlags.Recorded;
        }

        return page;
    }
}
