using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.FailingReplica;
using Quicksilver.Model;
using Quicksilver.Replication;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

// HUB-DIRECTORY REPLICA-DIRECTORY KEYSPACES [POINT COUNT]: brings a replica level with a hub's store and prints both hashes; ends by SIGKILL where the
// point is passed for that many times.
if (args is [_, _, _, var point, var count])
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

if (!Subscription.TryCreate(args[2].Split(','), out var wanted, out var problem))
{
    Console.WriteLine(problem);
    return 2;
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
    new Random(1), time, NullLogger<Replicator>.Instance, wanted))
{
    replicator.Start();
    var start = time.GetTimestamp();
    while (store.Progress.Position != hub.Store.Progress.Position || !store.Progress.Subscription.Equals(wanted))
    {
        if (replicator.Status.State == ProgressState.Stopped || time.GetElapsedTime(start) > TimeSpan.FromSeconds(20))
        {
            Console.WriteLine($"not level: {replicator.Status}, it holds {store.Progress.Subscription}");
            return 1;
        }

        await Task.Delay(1);
    }
}

using var view = store.AcquireView();
var hashes = StateHash.Compute(view, view, view.Position.Revision, CancellationToken.None);
using var source = hub.Store.AcquireView();
var expected = StateHash.Compute(source, source, source.Position.Revision, CancellationToken.None, wanted);
Console.WriteLine(hashes == expected ? $"equal at {hashes.Position.Revision}, copies {store.Progress.FullCopies}" : $"different: {hashes} {expected}");
return hashes == expected ? 0 : 1;
