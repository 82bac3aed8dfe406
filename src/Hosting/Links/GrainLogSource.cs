using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Replication;

namespace Quicksilver.Hosting;

/// <summary>The log of the node behind the gateway of a link, through its grain.</summary>
internal sealed class GrainLogSource(LinkSession session) : ILogSource
{
    private readonly ILogSourceGrain _grain = session.Grains.GetGrain<ILogSourceGrain>(session.Hello.Node.Value);

    public async ValueTask<OpenPullAnswer> OpenAsync(OpenPullRequest request, CancellationToken cancellation) =>
        await _grain.Open(request).AsTask().WaitAsync(cancellation);

    public async ValueTask<SourceDescription> DescribeAsync(CancellationToken cancellation) =>
        await _grain.Describe().AsTask().WaitAsync(cancellation);

    // Orleans lets calls in flight hang when a gateway dies: the token ends the wait here. It is not sent to the source,
    // whose long poll ends by itself; a cancellation on its way held up the source's own stop for seconds.
    public async ValueTask<LogPage> NextAsync(NextPageRequest request, CancellationToken cancellation)
    {
        CarriedTrace.SetCurrent();
        return await _grain.Next(request, CancellationToken.None).AsTask().WaitAsync(cancellation);
    }
}
