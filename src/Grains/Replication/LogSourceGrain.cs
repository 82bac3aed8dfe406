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
        return await source.NextAsync(request, cancellation);
    }
}
