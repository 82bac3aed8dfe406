using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: a snapshot arrives as it was taken, or not at all, and what a node has stays whole until it is replaced in one step. Method: blocks
/// of a real hub's store, of any size; the receiver killed after each block; damage on the way and on the disk; copies of the directory
/// taken between the steps, as a crash would leave it.
/// </summary>
public sealed class SnapshotTests : IDisposable
{
    private const int Seed = 20261123;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly Random _random = new(Seed);

    public SnapshotTests()
    {
        _hub = new(_directory.Sub("hub"));
        _hub.ApplyOne(_hub.Commands.Create("dropped"));
        _hub.ApplyOne(_hub.Commands.Create("routes"));
        for (var i = 0; i < 300; i++)
        {
            var key = $"k{_random.Next(80)}";
            var keyspace = new KeyspaceId((uint)_random.Next(1, 4));
            _hub.ApplyOne(_random.Next(4) == 0 ? _hub.Commands.Delete(keyspace, key) : _hub.Commands.Put(keyspace, key, new('v', _random.Next(200))));
        }

        _hub.ApplyOne(_hub.Commands.Drop("dropped"));
    }

    private SnapshotHeader Header(View view) => new(NodeId.Parse("hub-0"), view.Progress, new(3), 1_000);

    private static NodeStore Open(DataDirectory directory, long fileBytes = 4_000) =>
        NodeStore.Open(directory, new() { Node = NodeId.Parse("eu-0"), SnapshotFileBytes = fileBytes });

    /// <summary>Feeds blocks until all are there, or as many as given.</summary>
    private void Feed(IncomingSnapshot incoming, View view, int blocks = int.MaxValue, int maxBytes = 2_000)
    {
        if (incoming.Header is null)
        {
            incoming.Begin(Header(view), 77);
        }

        for (var i = 0; i < blocks && !incoming.IsComplete; i++)
        {
            incoming.Add(SnapshotBlock.Read(view, incoming.Section, incoming.After.Span, _random.Next(1, maxBytes)).WrittenSpan);
        }
    }

    private void AssertIsCopy(NodeStore store, StateHashes expected)
    {
        using var view = store.AcquireView();
        Assert.Equal(expected, StateHash.Compute(view, view, view.Position.Revision, Stop));
        Assert.Equal(_hub.Store.Progress with { AppliedIndex = LogIndex.None, FullCopies = 1 }, store.Progress);
        using var source = _hub.Store.AcquireView();
        foreach (var keyspace in new uint[] { 0, 1, 2, 3 }.Select(id => new KeyspaceId(id)))
        {
            Assert.Equal(source.FindKeyspace(keyspace), view.FindKeyspace(keyspace));
            Assert.Equal(
                ChangeLog.ReadKeyspaceRevisions(source, keyspace, new(1), 10_000), ChangeLog.ReadKeyspaceRevisions(view, keyspace, new(1), 10_000));
        }

        var (ours, theirs) = (new ByteWriter(), new ByteWriter());
        var (chain, other) = (view.FindChain(Revision.None)!.Value, view.FindChain(Revision.None)!.Value);
        Assert.Equal(ChangeLog.ReadPage(source, new(1), ref chain, int.MaxValue, theirs), ChangeLog.ReadPage(view, new(1), ref other, int.MaxValue, ours));
        Assert.Equal(theirs.ToArray(), ours.ToArray());
    }

    [Fact]
    public void A_snapshot_in_blocks_of_any_size_is_the_state_and_the_log_of_its_source()
    {
        var expected = _hub.Hashes();
        foreach (var maxBytes in new[] { 1, 300, 5_000, 1_000_000 })
        {
            using var directory = DataDirectory.Take(_directory.Sub($"of-{maxBytes}"));
            using (var store = Open(directory))
            using (var source = _hub.Store.AcquireView())
            {
                // What is written meanwhile is not of it.
                using var before = store.AcquireView();
                using var incoming = store.OpenIncoming();
                Feed(incoming, source, maxBytes: maxBytes);
                store.Install(incoming);
                AssertIsCopy(store, expected);
                Assert.Equal(Revision.None, before.Position.Revision);
                using var row = before.Get(HubStore.Flags, "k1"u8);
                Assert.False(row.Found);
                Assert.False(Directory.Exists(directory.SnapshotPath));
            }

            using var again = Open(directory);
            AssertIsCopy(again, expected);
            Assert.Single(Directory.GetDirectories(directory.Path));
        }
    }

    [Fact]
    public void Rows_that_went_with_their_prefix_are_in_no_snapshot_and_go_again_by_the_log_behind_it()
    {
        _hub.ApplyOne(_hub.Commands.DeletePrefix(HubStore.Flags, "k1"));
        using var directory = DataDirectory.Take(_directory.Sub("prefix"));
        using var store = Open(directory);
        using (var source = _hub.Store.AcquireView())
        using (var incoming = store.OpenIncoming())
        {
            Feed(incoming, source);
            store.Install(incoming);
        }

        AssertIsCopy(store, _hub.Hashes());
        var copied = _hub.Store.Progress.Position.Revision;
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k1", "again"));
        _hub.ApplyOne(_hub.Commands.DeletePrefix(HubStore.Flags, "k"));
        var batch = new ApplyBatch(store);
        batch.Begin();
        foreach (var record in _hub.Records().Skip((int)copied.Value))
        {
            batch.AppendVerified(record);
        }

        batch.Commit();
        AssertIsCopy(store, _hub.Hashes());
    }

    [Fact]
    public void A_snapshot_that_cannot_be_put_in_place_leaves_neither_a_database_of_it_nor_harm()
    {
        using var directory = DataDirectory.Take(_directory.Sub("full"));
        using var store = Open(directory);
        using var source = _hub.Store.AcquireView();
        using (var incoming = store.OpenIncoming())
        {
            Feed(incoming, source);
            Assert.Throws<IOException>(() => store.Install(incoming, floor: null, beforeSwitch: () => throw new IOException("no room"), indexesExpiry: false));
        }

        Assert.Equal(["db", "snapshot"], Directory.GetDirectories(directory.Path).Select(Path.GetFileName).Order());
        Assert.Equal(Revision.None, store.Progress.Position.Revision);

        // What was received is still whole, and the next try needs none of it again.
        using var again = store.OpenIncoming();
        Assert.True(again.IsComplete);
        store.Install(again);
        AssertIsCopy(store, _hub.Hashes());
    }

    [Fact]
    public void What_was_wrong_is_kept_aside_when_a_snapshot_takes_its_place_also_where_nobody_got_to_move_it()
    {
        foreach (var isCrash in new[] { false, true })
        {
            var path = _directory.Sub($"wrong-{isCrash}");
            using (var directory = DataDirectory.Take(path))
            using (var store = Open(directory))
            {
                using var source = _hub.Store.AcquireView();
                using (var incoming = store.OpenIncoming())
                {
                    Feed(incoming, source);
                    store.Install(incoming);
                }

                _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "later", $"{isCrash}"));
                using var later = _hub.Store.AcquireView();
                using var second = store.OpenIncoming();
                Feed(second, later);
                using (isCrash ? store.AcquireView() : null)
                {
                    store.Install(second, DateTimeOffset.UnixEpoch);

                    // As a crash would leave it while a View still holds what was there.
                    if (isCrash)
                    {
                        FileTree.Copy(path, path + "-copy");
                    }
                }
            }

            using var again = DataDirectory.Take(isCrash ? path + "-copy" : path);
            Assert.Equal(["quarantined-19700101T000000000"], Directory.GetDirectories(again.Path, "quarantined-*").Select(Path.GetFileName));
            Assert.Equal(2, Directory.GetDirectories(again.Path).Length);
            Assert.NotEmpty(Directory.GetFiles(Directory.GetDirectories(again.Path, "quarantined-*")[0], "*.sst"));
            using var reopened = Open(again);
            Assert.Equal(_hub.Store.Progress.Position, reopened.Progress.Position);
        }
    }

    [Fact]
    public void A_snapshot_is_of_the_moment_it_was_taken_whatever_is_written_meanwhile()
    {
        var expected = _hub.Hashes();
        var progress = _hub.Store.Progress;
        using var directory = DataDirectory.Take(_directory.Sub("eu"));
        using var store = Open(directory);
        using var source = _hub.Store.AcquireView();
        using var incoming = store.OpenIncoming();
        while (!incoming.IsComplete)
        {
            Feed(incoming, source, blocks: 1);
            _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, $"k{_random.Next(80)}", "later"));
        }

        store.Install(incoming);
        using var view = store.AcquireView();
        Assert.Equal(expected, StateHash.Compute(view, view, view.Position.Revision, Stop));
        Assert.Equal(progress.Position, store.Progress.Position);
    }

    [Fact]
    public void A_receiver_that_is_killed_after_any_block_goes_on_after_the_last_whole_file()
    {
        var expected = _hub.Hashes();
        using var source = _hub.Store.AcquireView();
        var restarts = 0;
        var resumed = 0;
        var path = _directory.Sub("eu-0");
        for (var done = false; !done; restarts++)
        {
            // What a crash leaves: a copy, while the receiver still has the last one open.
            var next = _directory.Sub($"eu-{restarts + 1}");
            using var directory = DataDirectory.Take(path);
            using var store = Open(directory);
            Assert.True(store.Progress.Cluster.IsNone);
            using var incoming = store.OpenIncoming();
            resumed += incoming.Section != SnapshotSection.Rows || !incoming.After.IsEmpty ? 1 : 0;
            Assert.True(incoming.Header is null || incoming.Session == 77);
            Feed(incoming, source, blocks: 25);
            if (incoming.IsComplete)
            {
                store.Install(incoming);
                AssertIsCopy(store, expected);
                done = true;
            }

            FileTree.Copy(path, next);
            path = next;
        }

        Assert.InRange(resumed, 3, restarts);
    }

    [Fact]
    public void A_block_with_any_bit_flipped_or_any_byte_cut_off_is_refused_and_the_good_one_still_taken()
    {
        using var source = _hub.Store.AcquireView();
        using var directory = DataDirectory.Take(_directory.Sub("eu"));
        using var store = Open(directory);
        using var incoming = store.OpenIncoming();
        Feed(incoming, source, blocks: 2);
        var good = SnapshotBlock.Read(source, incoming.Section, incoming.After.Span, 400).ToArray();
        for (var bit = 0; bit < good.Length * 8; bit++)
        {
            var damaged = good.ToArray();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<MalformedDataException>(() => incoming.Add(damaged));
        }

        for (var length = 0; length < good.Length; length++)
        {
            Assert.Throws<MalformedDataException>(() => incoming.Add(good.AsSpan(0, length)));
        }

        incoming.Add(good);
        Assert.Throws<MalformedDataException>(() => incoming.Add(good));
        Feed(incoming, source);
        store.Install(incoming);
        AssertIsCopy(store, _hub.Hashes());
    }

    [Fact]
    public void A_block_whose_rows_are_out_of_order_or_of_another_part_is_refused_although_its_hash_fits()
    {
        using var directory = DataDirectory.Take(_directory.Sub("eu"));
        using var store = Open(directory);
        using var source = _hub.Store.AcquireView();
        using var incoming = store.OpenIncoming();
        incoming.Begin(Header(source), 1);

        static byte[] Block(byte section, byte[] after, params byte[][] keys)
        {
            var writer = new ByteWriter();
            writer.WriteByte(1);
            writer.WriteByte(section);
            writer.WriteBytes(after);
            writer.WriteByte(1);
            writer.WriteVarint(keys.Length);
            foreach (var key in keys)
            {
                writer.WriteBytes(key);
                writer.WriteBytes([1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
            }

            ChainHash.DigestOf(writer.WrittenSpan).Write(writer.Reserve(ChainHash.SizeBytes));
            return writer.ToArray();
        }

        Assert.Throws<MalformedDataException>(() => incoming.Add(Block(1, [], [0, 0, 0, 1, 2], [0, 0, 0, 1, 1])));
        Assert.Throws<MalformedDataException>(() => incoming.Add(Block(1, [], [0, 0, 0, 1, 2], [0, 0, 0, 1, 2])));
        Assert.Throws<MalformedDataException>(() => incoming.Add(Block(2, [], [0, 0, 0, 1, 2])));
        Assert.Throws<MalformedDataException>(() => incoming.Add(Block(1, [9], [0, 0, 0, 1, 2])));
        incoming.Add(Block(1, [], [0, 0, 0, 1, 1], [0, 0, 0, 1, 2]));

        // Among the states of keyspaces there is nothing else of that family: not the progress, and not the votes.
        Assert.Throws<MalformedDataException>(() => incoming.Add(Block(2, [], [(byte)'P'])));
    }

    [Fact]
    public void Damage_of_what_was_received_is_found_before_it_replaces_anything()
    {
        using var source = _hub.Store.AcquireView();
        var found = 0;
        for (var round = 0; round < 10; round++)
        {
            using var directory = DataDirectory.Take(_directory.Sub($"eu-{round}"));
            using var store = Open(directory);
            using (var whole = store.OpenIncoming())
            {
                Feed(whole, source);
            }

            var files = Directory.GetFiles(directory.SnapshotPath);
            var path = files[round % files.Length];
            var bytes = File.ReadAllBytes(path);
            bytes[_random.Next(bytes.Length)] ^= (byte)(1 << _random.Next(8));
            File.WriteAllBytes(path, bytes);

            using var incoming = store.OpenIncoming();
            if (incoming.IsComplete)
            {
                try
                {
                    store.Install(incoming);
                    AssertIsCopy(store, _hub.Hashes());
                    continue;
                }
                catch (StorageException)
                {
                    Assert.True(store.Progress.Cluster.IsNone);
                    incoming.Begin(Header(source), 78);
                }
            }

            found++;
            Feed(incoming, source);
            store.Install(incoming);
            AssertIsCopy(store, _hub.Hashes());
        }

        Assert.InRange(found, 5, 10);
    }

    [Fact]
    public void A_crash_before_the_step_leaves_the_old_state_and_the_whole_snapshot_and_one_after_it_the_new_state()
    {
        using var source = _hub.Store.AcquireView();
        var (before, after) = (_directory.Sub("before"), _directory.Sub("after"));
        using (var directory = DataDirectory.Take(_directory.Sub("eu")))
        using (var store = Open(directory))
        using (var incoming = store.OpenIncoming())
        {
            Feed(incoming, source);
            store.Install(incoming, floor: null, beforeSwitch: () => FileTree.Copy(directory.Path, before), indexesExpiry: false);
            FileTree.Copy(directory.Path, after);
        }

        Assert.Equal(["db", "db-2", "snapshot"], Directory.GetDirectories(before).Select(Path.GetFileName).Order());
        using (var directory = DataDirectory.Take(before))
        using (var store = Open(directory))
        {
            Assert.Equal(["db", "snapshot"], Directory.GetDirectories(before).Select(Path.GetFileName).Order());
            Assert.True(store.Progress.Cluster.IsNone);
            using var incoming = store.OpenIncoming();
            Assert.True(incoming.IsComplete);
            store.Install(incoming);
            AssertIsCopy(store, _hub.Hashes());
        }

        using (var directory = DataDirectory.Take(after))
        using (var store = Open(directory))
        {
            AssertIsCopy(store, _hub.Hashes());
            Assert.Equal(["db-2"], Directory.GetDirectories(after).Select(Path.GetFileName).Order());
        }
    }

    [Fact]
    public void An_older_snapshot_and_one_of_another_cluster_are_refused()
    {
        using var other = new HubStore(_directory.Sub("other"));
        using var source = _hub.Store.AcquireView();
        using (var incoming = other.Store.OpenIncoming())
        {
            incoming.Begin(Header(source) with { Progress = source.Progress with { Cluster = new(9, 9) } }, 1);
            Feed(incoming, source);
            Assert.Equal(StorageFault.Foreign, Assert.Throws<StorageException>(() => other.Store.Install(incoming)).Fault);
        }

        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "later", "v"));
        using var late = _hub.Store.OpenIncoming();
        Feed(late, source);
        Assert.Throws<ArgumentException>(() => _hub.Store.Install(late));
        Assert.Equal("v", _hub.Get("later"));
    }

    [Fact]
    public void A_state_file_that_is_damaged_costs_what_was_received_and_nothing_else()
    {
        using var source = _hub.Store.AcquireView();
        using var directory = DataDirectory.Take(_directory.Sub("eu"));
        using var store = Open(directory);
        using (var incoming = store.OpenIncoming())
        {
            Feed(incoming, source);
        }

        var path = Path.Combine(directory.SnapshotPath, "state");
        var state = File.ReadAllBytes(path);
        for (var length = 0; length < state.Length; length += 7)
        {
            File.WriteAllBytes(path, state[..length]);
            using var incoming = store.OpenIncoming();
            Assert.Null(incoming.Header);
            Assert.False(incoming.IsComplete);
        }
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
