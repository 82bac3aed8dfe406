using Quicksilver.Model;
using Quicksilver.Storage.Native;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: a log that was cut says so, and everything that is left of it is whole: chains, sequences, the View of whoever began before, the
/// room on the disk. Method: a hub's store with several keyspaces, cut at random places, reopened, pinned meanwhile.
/// </summary>
public sealed class RetentionTests : IDisposable
{
    private const int Seed = 20261125;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly Random _random = new(Seed);

    public RetentionTests()
    {
        _hub = new(_directory.Sub("hub"));
        _hub.ApplyOne(_hub.Commands.Create("routes"));
        _hub.ApplyOne(_hub.Commands.Create("quiet"));
        Write(300);
    }

    private void Write(int count, int bytes = 200)
    {
        for (var i = 0; i < count; i++)
        {
            _hub.Now = _hub.Now.Add(TimeSpan.FromSeconds(1));
            _hub.Commands.IssuedAt = _hub.Now;
            Assert.Equal(CommitKind.Committed, _hub.ApplyOne(_hub.Commands.Put(new((uint)_random.Next(1, 3)), $"k{_random.Next(80)}", new('v', _random.Next(bytes)))).Kind);
        }
    }

    private NodeStore Store => _hub.Store;

    private static List<Revision> Revisions(View view, KeyspaceId keyspace, KeyspaceSequence from) => ChangeLog.ReadKeyspaceRevisions(view, keyspace, from, 100_000);

    /// <summary>What is left of the log is dense and fits the chains, of the whole and of each keyspace, from the cut on.</summary>
    private static void AssertWhole(NodeStore store)
    {
        using var view = store.AcquireView();
        var (oldest, last) = (view.Progress.Oldest, view.Position.Revision);
        var chain = view.FindChain(new(oldest.Value - 1));
        Assert.Equal(view.Progress.OldestChain, chain);
        Assert.Null(oldest.Value > 1 ? view.FindChain(new(oldest.Value - 2)) : null);
        using (var before = view.OpenLog())
        {
            Assert.False(before.SeekForPrevious(new(oldest.Value - 1)));
            Assert.Equal(oldest <= last, before.Seek(new(1)));
        }

        var (checkedChain, records) = (chain!.Value, new ByteWriter());
        if (oldest <= last)
        {
            Assert.Equal(last.Next, ChangeLog.ReadPage(view, oldest, ref checkedChain, int.MaxValue, records));
        }

        Assert.Equal(view.Progress.Chain, checkedChain);
        var keyspaces = new Dictionary<KeyspaceId, KeyspaceCut>();
        var reader = new ByteReader(records.WrittenSpan);
        while (reader.Remaining > 0)
        {
            var record = RecordView.Parse(reader.ReadBytes(RecordFormat.MaxBytes, "a record"));
            var id = record.Header.Keyspace;
            var cut = keyspaces.TryGetValue(id, out var known) ? known : view.FindCut(id) ?? FirstOf(view, id);
            Assert.Equal(cut.Sequence.Next, record.Header.Sequence);
            Assert.Equal(cut.Chain.Append(record.ComputeDigest()), record.KeyspaceChain);
            keyspaces[id] = new(record.Header.Sequence, record.KeyspaceChain);
            Assert.Equal(record.Header.Revision, Revisions(view, id, record.Header.Sequence)[0]);
        }

        for (uint id = 0; id < 4; id++)
        {
            if (view.FindKeyspace(new KeyspaceId(id)) is { } state)
            {
                var end = keyspaces.TryGetValue(state.Id, out var walked) ? walked : view.FindCut(state.Id) ?? FirstOf(view, state.Id);
                Assert.Equal(new KeyspaceCut(state.Sequence, state.Chain), end);
                var first = view.FindCut(state.Id)?.Sequence.Next ?? new(1);
                Assert.Equal(state.Sequence.Value - first.Value + 1, Revisions(view, state.Id, first).Count);
            }
        }
    }

    private static KeyspaceCut FirstOf(View view, KeyspaceId id)
    {
        if (id == KeyspaceId.Catalog)
        {
            return new(KeyspaceSequence.None, StoreProgress.FirstChain(view.Progress.Cluster, view.Position.History));
        }

        var seed = new byte[4];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(seed, id.Value);
        return new(KeyspaceSequence.None, ChainHash.DigestOf(seed));
    }

    [Fact]
    public void A_log_cut_anywhere_again_and_again_is_whole_from_the_cut_on_and_the_state_is_as_it_was()
    {
        AssertWhole(Store);
        var hashes = _hub.Hashes();
        while (Store.Progress.Oldest <= Store.Progress.Position.Revision)
        {
            var oldest = new Revision(Math.Min(Store.Progress.Oldest.Value + _random.Next(1, 60), Store.Progress.Position.Revision.Value + 1));
            Store.CutLog(oldest, Stop);
            Assert.Equal(oldest, Store.Progress.Oldest);
            AssertWhole(Store);
            if (_random.Next(3) == 0)
            {
                _hub.Reopen();
                AssertWhole(Store);
            }
        }

        Assert.Equal(hashes, _hub.Hashes());
        Write(20);
        AssertWhole(Store);
        _hub.Reopen();
        AssertWhole(Store);
        Store.CutLog(new(3), Stop);
        Assert.True(Store.Progress.Oldest > new Revision(3));
        Assert.Throws<ArgumentOutOfRangeException>(() => Store.CutLog(new(Store.Progress.Position.Revision.Value + 2), Stop));
    }

    [Fact]
    public void A_batch_that_was_begun_before_the_cut_does_not_undo_it()
    {
        var batch = new ApplyBatch(Store);
        batch.Begin();
        Store.CutLog(new(100), Stop);
        batch.Append(HubStore.Flags, _hub.Now, _hub.Commands.NextId(), default, default, ForgedLog.Puts(("late", [1])));
        Assert.Equal(new(100), batch.Commit(_hub.Index, _hub.Now).Oldest);
        AssertWhole(Store);
        _hub.Reopen();
        Assert.Equal(new(100), Store.Progress.Oldest);
        AssertWhole(Store);
    }

    [Fact]
    public void What_was_known_of_the_log_of_a_dropped_keyspace_goes_with_it()
    {
        var last = Store.Progress.Position.Revision;
        Store.CutLog(last, Stop);
        using (var view = Store.AcquireView())
        {
            Assert.NotNull(view.FindCut(new(2)));
        }

        _hub.ApplyOne(_hub.Commands.Drop("routes"));
        _hub.ApplyOne(_hub.Commands.Create("routes"));
        Store.CutLog(Store.Progress.Position.Revision.Next, Stop);
        using (var view = Store.AcquireView())
        {
            // Not again either, by the records that were cut after the drop.
            Assert.Null(view.FindCut(new(2)));
            Assert.NotNull(view.FindCut(KeyspaceId.Catalog));
        }

        AssertWhole(Store);
    }

    [Fact]
    public void A_snapshot_of_a_node_with_a_cut_log_carries_the_cut_and_continues_both_chains()
    {
        Store.CutLog(new(250), Stop);
        using var directory = DataDirectory.Take(_directory.Sub("eu"));
        using var store = NodeStore.Open(directory, new() { Node = NodeId.Parse("eu-0") });
        using (var view = Store.AcquireView())
        {
            // Cut further while it is sent: the pinned View has it all the same.
            var incoming = store.OpenIncoming();
            incoming.Begin(new(NodeId.Parse("hub-0"), view.Progress, new(3), 1_000), 7);
            while (!incoming.IsComplete)
            {
                incoming.Add(SnapshotBlock.Read(view, incoming.Section, incoming.After.Span, 3_000).WrittenSpan);
                Store.CutLog(new(Math.Min(Store.Progress.Oldest.Value + 5, Store.Progress.Position.Revision.Value)), Stop);
                Store.ReclaimLog();
            }

            store.Install(incoming);
            Assert.Equal(view.Progress.Oldest, store.Progress.Oldest);
            Assert.Equal(view.Progress.OldestChain, store.Progress.OldestChain);
        }

        AssertWhole(store);
    }

    /// <summary>Rows that do not compress, in several table files.</summary>
    private static void Fill(HubStore hub, Random random)
    {
        for (var i = 0; i < 12; i++)
        {
            for (var j = 0; j < 40; j++)
            {
                var value = string.Concat(Enumerable.Range(0, 1_000).Select(_ => (char)random.Next(33, 126)));
                hub.ApplyOne(hub.Commands.Put(HubStore.Flags, $"k{random.Next(80)}", value));
            }

            hub.Store.Flush();
        }
    }

    private static long LogTables(NodeStore store) => store.TableBytes.First(tables => tables.Family == "Log").Bytes;

    [Fact]
    public async Task A_cut_log_is_whole_after_the_power_failed_right_after_its_files_were_deleted()
    {
        Assert.SkipWhen(LoopDisk.Missing is not null, $"No power was cut: this needs {LoopDisk.Missing}.");
        var mounted = _directory.Sub("disk");
        await using var disk = await LoopDisk.CreateAsync(_directory.Sub("disk.ext4"), mounted, 1_024, Stop);
        var path = Path.Combine(mounted, "hub");
        Revision cut;
        using (var hub = new HubStore(path))
        {
            Fill(hub, _random);
            hub.Store.Sync();
            var before = LogTables(hub.Store);
            cut = hub.Store.Progress.Position.Revision;
            hub.Store.CutLog(cut, Stop);
            hub.Store.ReclaimLog();
            Assert.True(LogTables(hub.Store) < before / 2, "Files went.");
            disk.CutPower();
        }

        await disk.ReturnAsync(Stop);
        using (var again = new HubStore(path))
        {
            Assert.Equal(cut, again.Store.Progress.Oldest);
            AssertWhole(again.Store);
        }
    }

    [Fact]
    public void The_room_of_a_cut_log_comes_back_when_nobody_sees_it_any_more()
    {
        Fill(_hub, _random);

        long Bytes() => LogTables(Store);

        var before = Bytes();
        using (var view = Store.AcquireView())
        {
            Assert.InRange(NodeStore.LogBytes(view, new(1)), before / 2, before * 2);
        }

        using (var pinned = Store.AcquireView())
        {
            Store.CutLog(Store.Progress.Position.Revision, Stop);
            Store.ReclaimLog();
            Assert.Equal(before, Bytes());
            var (chain, records) = (pinned.FindChain(Revision.None)!.Value, new ByteWriter());
            Assert.Equal(pinned.Position.Revision.Next, ChangeLog.ReadPage(pinned, new(1), ref chain, int.MaxValue, records));
        }

        Store.ReclaimLog();
        Assert.InRange(Bytes(), 0, before / 2);
        using (var view = Store.AcquireView())
        {
            Assert.InRange(NodeStore.LogBytes(view, view.Progress.Oldest), 0, before / 5);
        }

        AssertWhole(Store);
    }

    [Fact]
    public void A_hash_over_records_that_were_cut_is_refused_and_not_wrong()
    {
        using var pinned = Store.AcquireView();
        Write(30);
        Store.CutLog(new(pinned.Position.Revision.Value + 5), Stop);
        using var log = Store.AcquireView();
        Assert.Throws<InvalidOperationException>(() => StateHash.Compute(pinned, log, log.Position.Revision, Stop));
    }

    [Fact]
    public void A_log_with_a_hole_is_not_sent_as_a_snapshot()
    {
        var batch = new WriteBatchBuilder();
        var key = new byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(key, new(1));
        key.CopyTo(batch.Delete(Store.Database.FamilyId(ColumnFamily.Log), key.Length));
        Store.Database.Write(batch);
        Write(1);
        using var view = Store.AcquireView();
        Assert.Equal(StorageFault.Corrupt, Assert.Throws<StorageException>(() => { SnapshotBlock.Read(view, SnapshotSection.Records, [], 1_000); }).Fault);
    }

    [Fact]
    public void The_first_revision_since_a_log_time_is_found_by_halving()
    {
        using var view = Store.AcquireView();
        var times = new List<(Revision Revision, LogTime Time)>();
        using (var cursor = view.OpenLog())
        {
            for (var more = cursor.Seek(new(1)); more; more = cursor.Next())
            {
                times.Add((cursor.Revision, RecordView.Parse(cursor.Record).Header.LogTime));
            }
        }

        for (var i = 0; i < 100; i++)
        {
            var time = times[_random.Next(times.Count)].Time.Add(TimeSpan.FromMilliseconds(_random.Next(-1_500, 1_500)));
            var expected = times.Where(pair => pair.Time >= time).Select(pair => pair.Revision).FirstOrDefault(view.Position.Revision.Next);
            Assert.Equal(expected, ChangeLog.FirstSince(view, time));
        }
    }

    [Fact]
    public void A_damaged_record_is_not_cut_away_as_if_it_had_been_good()
    {
        var damaged = _hub.Records()[119];
        damaged[^40] ^= 1;
        var batch = new WriteBatchBuilder();
        var key = new byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(key, new(120));
        batch.Put(Store.Database.FamilyId(ColumnFamily.Log), key, damaged);
        Store.Database.Write(batch);
        Write(1);
        Assert.Equal(StorageFault.Corrupt, Assert.Throws<StorageException>(() => Store.CutLog(new(200), Stop)).Fault);
        Assert.Equal(new(1), Store.Progress.Oldest);
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
