using Orleans.Concurrency;
using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>
/// The change log of one node for those who pull it (key: the node id; the grain lives on that node). Hub and replica serve
/// the same interface.
/// </summary>
[Alias("qs.ILogSource")]
public interface ILogSourceGrain : IGrainWithStringKey, IExternalContract
{
    /// <summary>Opens a session with a cursor after the child's position. An older session of the same child ends.</summary>
    [Alias("Open"), AlwaysInterleave]
    ValueTask<OpenPullAnswer> Open(OpenPullRequest request);

    /// <summary>How this source is. Cheap.</summary>
    [Alias("Describe"), AlwaysInterleave]
    ValueTask<SourceDescription> Describe();

    /// <summary>The next page of a session, as a long poll.</summary>
    [Alias("Next"), AlwaysInterleave, ResponseTimeout("00:00:06")]
    ValueTask<LogPage> Next(NextPageRequest request, CancellationToken cancellation = default);
}
