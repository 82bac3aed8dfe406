using Quicksilver.Model;

namespace Quicksilver.Replication;

/// <summary>
/// The change log of some node, as those who pull it see it: the local one (<see cref="LogSource"/>), or one behind a link.
/// Any thread may call. Exceptions mean that the call's fate is not known, which does no harm: open again.
/// </summary>
public interface ILogSource
{
    /// <summary>Opens a session after the child's position. An older session of the same child ends.</summary>
    ValueTask<OpenPullAnswer> OpenAsync(OpenPullRequest request, CancellationToken cancellation);

    /// <summary>How the source is. Cheap: also tells how long the way to it is.</summary>
    ValueTask<SourceDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>
    /// The next page. Several calls of a session may be open; they are answered in the order of their numbers, each with the
    /// records after those of the one before.
    /// </summary>
    ValueTask<LogPage> NextAsync(NextPageRequest request, CancellationToken cancellation);
}

/// <summary>A link to an upstream that is up.</summary>
/// <param name="Node">The node it leads to.</param>
/// <param name="Gateway">For people: whom it leads to.</param>
/// <param name="Lost">Cancelled when the link is known to be lost; calls in flight will not be answered then.</param>
public sealed record UpstreamConnection(ILogSource Source, ISnapshotSource Snapshots, NodeId Node, string Gateway, CancellationToken Lost);

/// <summary>Where a replica finds its source.</summary>
public interface IUpstream
{
    /// <summary>How many sources there are beside the one that is linked.</summary>
    int Others { get; }

    /// <summary>Waits for a link, as long as it takes.</summary>
    ValueTask<UpstreamConnection> ConnectAsync(CancellationToken cancellation);

    /// <summary>Gives up a link, where it is not lost already: its source is avoided for a while.</summary>
    void Leave(UpstreamConnection connection, SourceFault fault, string why);

    /// <summary>What the source of a link says of itself.</summary>
    /// <param name="age">How long ago it was level with the hub; null where it does not know.</param>
    void Heard(UpstreamConnection connection, TimeSpan? age, Revision revision);
}
