using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: what the hub once decided, every later build decides alike: the same log leads to the same state. Method: a log that was recorded
/// once, of every kind of command and outcome, applied to an empty store; its hashes and outcomes are in this file and never change. A
/// build that must decide otherwise does so above a feature level of its own.
/// </summary>
public sealed class RecordedLogTests : IDisposable
{
    private const int MaxEntryBytes = 1 << 20;
    private const string Expected =
        "242 entries, StateHashes { Position = 0/00000000000000030000000000000004/334, Chain = a682084724d820c5ffb8564ab44e2b5b, State = 7d3b3e4866e8fea10d7aad005c5c6cb1, Rows = 16 }"
        + ", floor 1700000133658, Committed 357, Unchanged 65, ConditionFailed 101, OperationIdReused 26, Expired 18, FromFuture 34, KeyspaceNotFound 102, KeyspaceExists 20";

    private readonly TempDirectory _directory = new();

    [Fact]
    public void The_recorded_log_leads_to_the_state_it_led_to_when_it_was_recorded()
    {
        var path = Path.Combine(Repository.PathOf("tests", "Sequencing.Tests", "Golden"), "recorded-raft-log.hex");
        if (!File.Exists(path) && Environment.GetEnvironmentVariable("QS_WRITE_GOLDEN") == "1")
        {
            File.WriteAllLines(path, Record().Select(Convert.ToHexStringLower));
        }

        using var directory = DataDirectory.Take(_directory.Sub("replay"));
        using var store = NodeStore.Open(directory, new() { Node = NodeId.Parse("hub-0") });
        var applier = new EntryApplier(store, Window);
        var kinds = new SortedDictionary<CommitKind, int>();
        var index = LogIndex.None;
        foreach (var line in File.ReadLines(path))
        {
            var entry = Convert.FromHexString(line);
            Assert.InRange(entry.Length, 1, MaxEntryBytes);
            index = index.Next;
            foreach (var outcome in applier.Apply(index, entry)!.Outcomes)
            {
                kinds[outcome.Kind] = kinds.GetValueOrDefault(outcome.Kind) + 1;
            }

            if (index.Value % 50 == 0)
            {
                // A member that restarts decides like one that does not.
                applier = new(store, Window);
            }
        }

        using var view = store.AcquireView();
        var hashes = StateHash.Compute(view, view, view.Position.Revision, TestContext.Current.CancellationToken);
        var actual = $"{index} entries, {hashes}, floor {store.Progress.OperationsFloor}, {string.Join(", ", kinds.Select(kind => $"{kind.Key} {kind.Value}"))}";
        Assert.True(actual == Expected, $"The log leads to another state now:\n{actual}\nand led to\n{Expected}");
    }

    /// <summary>Small, so that ids are forgotten by count and by age.</summary>
    private static readonly OperationWindow Window = new(40, TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(10));

    /// <summary>How the log was made. Not repeatable by a later build, and need not be: the file is what counts.</summary>
    private List<byte[]> Record()
    {
        var random = new Random(20261123);
        var entries = new List<byte[]>();
        using var hub = new HubStore(_directory.Sub("record"), Window, entries.Add);
        var sent = new List<ReadOnlyMemory<byte>>();
        for (var i = 0; i < 240; i++)
        {
            hub.Now = hub.Now.Add(TimeSpan.FromMilliseconds(random.Next(-200, 1_500)));
            hub.Commands.IssuedAt = hub.Now.Add(TimeSpan.FromSeconds(random.Next(20) switch { 0 => 30, 1 => -70, _ => 0 }));
            var commands = Enumerable.Range(0, random.Next(1, 6)).Select(_ => Command(hub, random, sent)).ToArray();
            sent.AddRange(commands);
            hub.Apply(commands);
        }

        return entries;
    }

    private static ReadOnlyMemory<byte> Command(HubStore hub, Random random, List<ReadOnlyMemory<byte>> sent)
    {
        var keyspace = new KeyspaceId(random.Next(4) == 0 ? (uint)random.Next(2, 9) : 1);
        var key = $"k{random.Next(12)}";
        var since = new Revision(random.NextInt64(hub.Store.Progress.Position.Revision.Value + 1));
        var name = $"space-{random.Next(4)}";
        var value = new byte[random.Next(40)];
        random.NextBytes(value);
        switch (random.Next(16))
        {
            case 0:
                return hub.Commands.Create(name, new() { ShardCount = random.Next(1, 9), SkipUnchanged = random.Next(2) == 0 });
            case 1:
                return hub.Commands.Update(name, new() { ShardCount = 4, SkipUnchanged = random.Next(2) == 0 });
            case 2 when random.Next(3) == 0:
                return hub.Commands.Drop(name);
            case 3 when sent.Count > 0:
                return sent[random.Next(Math.Max(0, sent.Count - 60), sent.Count)];
            case 4 when sent.Count > 0:
                return hub.Commands.Transaction(keyspace, [Mutation.Put(key, value)], id: CommandView.Parse(sent[^1].Span).OperationId);
            case 5:
                return hub.Commands.Delete(keyspace, key);
            case 6:
                return hub.Commands.Transaction(keyspace, [Mutation.Put(key, value)], [Condition.Absent(key)]);
            case 7:
                return hub.Commands.Transaction(keyspace, [Mutation.Put(key, value)], [Condition.RevisionIs(key, since)]);
            case 8:
                return hub.Commands.Transaction(keyspace, [Mutation.Put(key, value)], [Condition.UnchangedSince(key, since), Condition.PrefixUnchangedSince("k1", since)]);
            case 9:
                return hub.Commands.Transaction(keyspace, [Mutation.Put(key, "same"u8.ToArray())], options: CommandOptions.SkipUnchanged);
            case 10:
                return hub.Commands.Transaction(keyspace, [Mutation.Put(key, value, "meta"u8.ToArray()), Mutation.Delete($"{key}x"), Mutation.Put("k", value)]);
            case 11:
                var raise = new ByteWriter();
                CommandWriter.WriteRaiseFeatureLevel(raise, hub.Commands.NextId(), 1);
                return raise.ToArray();
            default:
                return hub.Commands.Put(keyspace, key, Convert.ToHexString(value));
        }
    }

    public void Dispose() => _directory.Dispose();
}
