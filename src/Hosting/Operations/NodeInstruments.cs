using System.Diagnostics.Metrics;
using Quicksilver.Grains;
using Quicksilver.Replication;
using Quicksilver.Sequencing;

namespace Quicksilver.Hosting;

/// <summary>
/// The meter <c>Quicksilver</c> of one node. Every instrument carries the tag <c>node</c>, because a development process has
/// several nodes.
/// </summary>
internal sealed class NodeInstruments : IDisposable
{
    public const string MeterName = "Quicksilver";

    private readonly Meter _meter;

    public NodeInstruments(NodeContext node, NodeMonitor monitor, HubEngine? hub, Replicator? replicator, UpstreamLink? link, LogSource? source, Scrubber scrubber)
    {
        _meter = new(new MeterOptions(MeterName) { Tags = [new("node", node.Node.Value), new("region", node.Region.Value)] });
        _meter.CreateObservableGauge("quicksilver.revision", () => node.Store.Progress.Position.Revision.Value, description: "Revision of the current View.");
        _meter.CreateObservableGauge("quicksilver.log.oldest", () => node.Store.Progress.Oldest.Value, description: "First revision that is still in the change log.");
        _meter.CreateObservableGauge("quicksilver.full_copies", () => node.Store.Progress.FullCopies, description: "How often the data directory was filled by a full copy.");
        _meter.CreateObservableGauge("quicksilver.reads.waiting", () => node.Store.Waiters.Inside, description: "Reads that wait for a revision.");
        _meter.CreateObservableGauge("quicksilver.polls.waiting", () => node.Store.Polls.Inside, description: "Long polls of children that wait for the next revision.");
        _meter.CreateObservableCounter("quicksilver.reads.refused", () => node.Store.Waiters.Refused, description: "Reads that were not let wait because the room was full.");
        _meter.CreateObservableCounter("quicksilver.polls.refused", () => node.Store.Polls.Refused, description: "Long polls that were not let wait because the room was full.");
        _meter.CreateObservableGauge("quicksilver.disk.free", () => Measure(monitor.FreeBytes), unit: "By", description: "Free on the disk of the data directory.");
        _meter.CreateObservableGauge(
            "quicksilver.storage.tables", () => node.Store.TableBytes.Select(tables => new Measurement<long>(tables.Bytes, new KeyValuePair<string, object?>("family", tables.Family))),
            unit: "By", description: "Tables on disk.");
        _meter.CreateObservableGauge("quicksilver.lag.revisions", () => Measure(monitor.LagRevisions, Source(replicator)), description: "Revisions the source has that this node does not, by source.");
        _meter.CreateObservableGauge("quicksilver.lag", () => Measure(monitor.Lag?.TotalSeconds, Source(replicator)), unit: "s", description: "How long ago this node was known to be level with the hub, by source.");
        _meter.CreateObservableCounter("quicksilver.scrub.bytes", () => scrubber.Bytes, unit: "By", description: "Rows and records that were looked at for damage.");
        _meter.CreateObservableCounter("quicksilver.scrub.passes", () => scrubber.Passes, description: "How often everything was looked through, and nothing was damaged.");
        _meter.CreateObservableGauge("quicksilver.scrub.damaged", () => scrubber.Damage is null ? 0 : 1, description: "1 where damage was found and not mended yet.");
        if (source is not null)
        {
            _meter.CreateObservableGauge("quicksilver.children", () => source.Children.Count, description: "Nodes with an open pull session here.");
            _meter.CreateObservableCounter("quicksilver.pages.records", () => source.Bytes.Raw, unit: "By", description: "Records in pages that were sent, before compression.");
            _meter.CreateObservableCounter("quicksilver.pages.sent", () => source.Bytes.Sent, unit: "By", description: "Records in pages that were sent, as they were sent.");
        }

        if (hub is not null)
        {
            _meter.CreateObservableGauge("quicksilver.sequencer.queue", () => hub.Sequencer.QueuedCommands, description: "Commands that wait for their Raft entry.");
            _meter.CreateObservableCounter("quicksilver.sequencer.refused", () => hub.Sequencer.RefusedCommands, description: "Commands refused because the queue was full.");
            _meter.CreateObservableGauge("quicksilver.raft.entries", () => hub.Raft.LogEntries, description: "Entries of the Raft log.");
            _meter.CreateObservableGauge("quicksilver.raft.members", () => hub.Agreed.Members.Count, description: "Voting members.");
            _meter.CreateObservableGauge("quicksilver.operations.remembered", () => hub.Applier.RememberedOperations, description: "Operation ids in memory.");
            _meter.CreateObservableGauge("quicksilver.raft.leader", () => hub.Sequencer.Leadership.IsLeader ? 1 : 0, description: "1 where this node leads the hub.");
            _meter.CreateObservableGauge("quicksilver.raft.term", () => hub.Sequencer.Leadership.Term.Value, description: "Raft term as this node knows it.");
        }

        if (link is not null)
        {
            _meter.CreateObservableGauge("quicksilver.upstream.connected", () => link.Session is null ? 0 : 1, description: "1 where the link to an upstream is up.");
        }

        if (replicator is not null)
        {
            _meter.CreateObservableGauge("quicksilver.replication.state", () => (int)replicator.Status.State, description: "0 disconnected, 1 waiting, 2 probing, 3 pulling, 4 stopped, 5 bootstrapping.");
            _meter.CreateObservableCounter("quicksilver.replication.sessions", () => replicator.Status.Sessions, description: "Pull sessions opened.");
            _meter.CreateObservableCounter("quicksilver.replication.pages", () => replicator.Status.AppliedPages, description: "Pages applied.");
            _meter.CreateObservableCounter("quicksilver.replication.bytes", () => replicator.Status.ReceivedBytes, unit: "By", description: "Records in pages that were applied, as they were received.");
            _meter.CreateObservableCounter("quicksilver.replication.records", () => replicator.Status.AppliedRecords, description: "Records applied.");
            _meter.CreateObservableCounter("quicksilver.replication.bootstraps", () => replicator.Status.Bootstraps, description: "Copies of a source's state put in place.");
            _meter.CreateObservableCounter("quicksilver.replication.refused", () => replicator.Status.RefusedPages, description: "Pages that did not pass the checks.");
        }
    }

    /// <summary>A gauge whose value may be unknown shows nothing then, instead of a number that means something else.</summary>
    private static IEnumerable<Measurement<T>> Measure<T>(T? value, params KeyValuePair<string, object?>[] tags)
        where T : struct
    {
        if (value is { } known)
        {
            yield return new(known, tags);
        }
    }

    /// <summary>Whom a replica pulls from; a hub node nobody.</summary>
    private static KeyValuePair<string, object?>[] Source(Replicator? replicator) =>
        replicator is null ? [] : [new("source", replicator.Path is [var source, ..] ? source.Value : "none")];

    /// <summary>True for instruments of the node of this exporter.</summary>
    public static bool BelongsTo(Instrument instrument, string node) =>
        instrument.Meter.Tags is { } tags && tags.Any(tag => tag.Key == "node" && Equals(tag.Value, node));

    public void Dispose() => _meter.Dispose();
}
