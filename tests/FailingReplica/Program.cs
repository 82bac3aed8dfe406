using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.FailingReplica;
using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

// HUB-DIRECTORY REPLICA-DIRECTORY [POINT COUNT]: brings a replica level with a hub's store and prints both hashes; ends by SIGKILL where the
// point is passed for that many times.
if (args is [_, _, var point, var count])
{
    var left = int.Parse(count, CultureInfo.InvariantCulture);
    FailPoint.Handler = name =>
    {
        if (name == point && Interlocked.Decrement(ref left) == 0)
        {
            using var self = Process.GetCurrentProcess();
            self.Kill();
            self.WaitForExit();
        }
    };
}

var eu = NodeId.Parse("eu-0");
using var hub = new HubStore(args[0]);
using var directory = DataDirectory.Take(args[1]);
using var store = NodeStore.Open(directory, new() { Node = eu, SnapshotFileBytes = 4_000 });
Console.WriteLine($"from {store.Progress.Position.Revision}");
var time = TimeProvider.System;
using var log = new LogSource(NodeId.Parse("hub-0"), hub.Store, new HubLogClock(hub.Store, () => true, time), new(), time);
using var snapshots = new SnapshotSource(NodeId.Parse("hub-0"), hub.Store, null, new() { MaxBlockBytes = 3_000 }, time);
await using (var replicator = new Replicator(
    new(eu, RegionName.Parse("eu"), "eu:1"), store, new DirectUpstream(log, snapshots), new ReplicaLogClock(store, time),
    new() { PageBytes = 2_000, MaxWait = TimeSpan.FromMilliseconds(20), MinBackoff = TimeSpan.FromMilliseconds(1), MaxRecordsToBegin = 100, CompressFrom = TimeSpan.Zero },
    new Random(1), time, NullLogger<Replicator>.Instance))
{
    replicator.Start();
    while (store.Progress.Position != hub.Store.Progress.Position)
    {
        if (replicator.Status.State == ProgressState.Stopped)
        {
            Console.WriteLine($"stopped: {replicator.Status.Trouble}");
            return 1;
        }

        await Task.Delay(1);
    }
}

using var view = store.AcquireView();
var hashes = StateHash.Compute(view, view, view.Position.Revision, CancellationToken.None);
Console.WriteLine(hashes == hub.Hashes() ? $"equal at {hashes.Position.Revision}, copies {store.Progress.FullCopies}" : $"different: {hashes} {hub.Hashes()}");
return hashes == hub.Hashes() ? 0 : 1;
