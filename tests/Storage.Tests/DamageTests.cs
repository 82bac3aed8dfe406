using System.Text;
using Quicksilver.Model;
using Quicksilver.Storage.Native;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: damage on disk is refused, or costs the end of the log; it never becomes a wrong value. Method: copies of a real data
/// directory with one byte changed or a file cut, opened and read in full against what was written.
/// </summary>
public sealed class DamageTests : IDisposable
{
    private const int Puts = 300;
    private static readonly NodeId Node = NodeId.Parse("hub-0");

    private readonly TempDirectory _directory = new();
    private readonly List<byte[]> _records = [];

    /// <summary>The rows at each revision.</summary>
    private readonly List<Dictionary<string, string>> _states = [[], []];

    private int _copies;

    /// <summary>Writes a directory; tables only, log only, or both.</summary>
    private string Make(bool flushHalf, bool flushAll)
    {
        var path = _directory.Sub("good");
        using var hub = new HubStore(path);
        for (var i = 0; i < Puts; i++)
        {
            var key = $"key {i % 60}";
            var state = new Dictionary<string, string>(_states[^1]);
            if (i % 7 == 6)
            {
                hub.ApplyOne(hub.Commands.Delete(HubStore.Flags, key));
                state.Remove(key);
            }
            else
            {
                // Random text, so that compression does not make the files too small to damage.
                var value = $"{i} {Convert.ToHexString(Noise(i))}";
                hub.ApplyOne(hub.Commands.Put(HubStore.Flags, key, value));
                state[key] = value;
            }

            _states.Add(state);
            if (flushHalf && i == Puts / 2)
            {
                hub.Store.Flush();
            }
        }

        if (flushAll)
        {
            hub.Store.Flush();
        }

        _records.AddRange(hub.Records());
        return path;
    }

    private static byte[] Noise(int seed)
    {
        var bytes = new byte[40];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private string CopyOf(string path)
    {
        var copy = _directory.Sub($"copy{++_copies}");
        Directory.CreateDirectory(Path.Combine(copy, "db"));
        foreach (var file in Directory.GetFiles(Path.Combine(path, "db")))
        {
            File.Copy(file, Path.Combine(copy, "db", Path.GetFileName(file)));
        }

        return copy;
    }

    private static List<string> Files(string path, string extension) =>
        [.. Directory.GetFiles(Path.Combine(path, "db"), $"*{extension}").Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal)];

    /// <summary>Opens and reads everything. The revision that was found, or null where it was refused.</summary>
    private long? Read(string path)
    {
        try
        {
            using var directory = DataDirectory.Take(path);
            using var store = NodeStore.Open(directory, new() { Node = Node });
            using var view = store.AcquireView();
            var revision = view.Position.Revision;
            Assert.InRange(revision.Value, 0, _records.Count);
            if (revision == Revision.None)
            {
                return 0;
            }

            var expected = _states[(int)revision.Value];
            var rows = new Dictionary<string, string>();
            using (var cursor = view.OpenRows(HubStore.Flags))
            {
                for (var more = cursor.Seek(default); more; more = cursor.Next())
                {
                    rows.Add(Encoding.UTF8.GetString(cursor.Key), Encoding.UTF8.GetString(cursor.Row.Value));
                }
            }

            Assert.Equal(expected.OrderBy(row => row.Key, StringComparer.Ordinal), rows.OrderBy(row => row.Key, StringComparer.Ordinal));
            using var get = MultiGet.Rent();
            for (var i = 0; i < 60; i++)
            {
                var key = Encoding.UTF8.GetBytes($"key {i}");
                using var row = view.Get(HubStore.Flags, key);
                Assert.Equal(expected.GetValueOrDefault($"key {i}"), row.Found ? Encoding.UTF8.GetString(row.Row.Value) : null);
                get.Add(HubStore.Flags, key);
            }

            get.Execute(view);
            for (var i = 0; i < 60; i++)
            {
                Assert.Equal(expected.GetValueOrDefault($"key {i}"), get.TryGetRow(i, out var row) ? Encoding.UTF8.GetString(row.Value) : null);
            }

            var chain = view.FindChain(Revision.None)!.Value;
            var writer = new ByteWriter();
            for (var from = new Revision(1); from <= revision;)
            {
                from = ChangeLog.ReadPage(view, from, ref chain, 10_000, writer);
            }

            Assert.Equal(Pages.Pack(_records[..(int)revision.Value]).Span, writer.WrittenSpan);
            Assert.Equal(
                Enumerable.Range(2, (int)revision.Value - 1).Select(r => (long)r),
                ChangeLog.ReadKeyspaceRevisions(view, HubStore.Flags, new(1), int.MaxValue).Select(r => r.Value));
            Assert.Equal(revision.Value - 1, view.FindKeyspace(HubStore.Flags)!.Sequence.Value);
            return revision.Value;
        }
        catch (StorageException)
        {
            return null;
        }
    }

    private List<long?> Damage(string good, string extension, int positions, Action<FileStream, long> damage)
    {
        var found = new List<long?>();
        foreach (var file in Files(good, extension))
        {
            for (var i = 0; i < positions; i++)
            {
                var copy = CopyOf(good);
                using (var stream = new FileStream(Path.Combine(copy, "db", file), FileMode.Open, FileAccess.ReadWrite))
                {
                    damage(stream, Math.Min(stream.Length - 1, (stream.Length * ((2 * i) + 1)) / (2 * positions)));
                }

                found.Add(Read(copy));
                Directory.Delete(copy, recursive: true);
            }
        }

        return found;
    }

    private static void Flip(FileStream stream, long at)
    {
        stream.Position = at;
        var value = stream.ReadByte();
        stream.Position = at;
        stream.WriteByte((byte)(value ^ 0x10));
    }

    private static void Cut(FileStream stream, long at) => stream.SetLength(at);

    [Fact]
    public void An_undamaged_copy_is_read_in_full()
    {
        var good = Make(flushHalf: true, flushAll: false);
        Assert.NotEmpty(Files(good, ".sst"));
        Assert.NotEmpty(Files(good, ".log"));
        Assert.Equal(_records.Count, Read(CopyOf(good)));
    }

    [Fact]
    public void A_changed_byte_in_a_table_is_refused_when_it_is_read()
    {
        var good = Make(flushHalf: false, flushAll: true);
        Assert.True(Files(good, ".sst").Count >= 4);
        var found = Damage(good, ".sst", 8, Flip);
        Assert.Contains(null, found);

        // Nothing may be lost from tables: it is all there, or it is refused.
        Assert.All(found, revision => Assert.True(revision is null || revision == _records.Count, $"Found revision {revision}."));
        Assert.True(found.Count(revision => revision is null) > found.Count / 2);
    }

    [Fact]
    public void A_changed_byte_in_the_write_ahead_log_costs_at_most_what_came_after_it()
    {
        var good = Make(flushHalf: false, flushAll: false);
        var found = Damage(good, ".log", 40, Flip);
        Assert.Contains(found, revision => revision is > 0 && revision < _records.Count);
        var known = found.Where(revision => revision is not null).ToList();
        Assert.Equal(known.Order(), known);
    }

    [Fact]
    public void A_write_ahead_log_that_was_cut_off_costs_at_most_what_came_after()
    {
        var good = Make(flushHalf: false, flushAll: false);
        var found = Damage(good, ".log", 25, Cut);
        Assert.DoesNotContain(null, found);
        Assert.Equal(found.Order(), found);
        Assert.True(found.Distinct().Count() > 20);
    }

    [Fact]
    public void Damage_behind_a_flush_is_refused_or_costs_the_end()
    {
        var good = Make(flushHalf: true, flushAll: false);
        var logs = Damage(good, ".log", 20, Flip);
        Assert.All(logs, revision => Assert.True(revision is null or > Puts / 2));
        var tables = Damage(good, ".sst", 4, Flip);
        Assert.Contains(null, tables);
    }

    [Theory]
    [InlineData("a progress of a later format", StorageFault.Foreign)]
    [InlineData("a progress that is cut off", StorageFault.Corrupt)]
    [InlineData("a progress with another chain", StorageFault.Corrupt)]
    [InlineData("a progress ahead of the log", StorageFault.Corrupt)]
    [InlineData("a record that is gone", StorageFault.Corrupt)]
    [InlineData("the last record gone", StorageFault.Corrupt)]
    [InlineData("a record that was changed", StorageFault.Corrupt)]
    [InlineData("a record in the place of another", StorageFault.Corrupt)]
    [InlineData("an identity of a later format", StorageFault.Foreign)]
    [InlineData("an identity that is none", StorageFault.Corrupt)]
    public void State_and_log_that_do_not_agree_are_refused_at_open(string what, StorageFault fault)
    {
        var path = Make(flushHalf: false, flushAll: false);
        StoreProgress progress;
        using (var hub = new HubStore(path))
        {
            progress = hub.Store.Progress;
        }

        var database = Database.Open(Path.Combine(path, "db"), 8 << 20);
        var batch = new WriteBatchBuilder();
        var (meta, log) = (database.FamilyId(ColumnFamily.Meta), database.FamilyId(ColumnFamily.Log));
        byte[] Row(StoreProgress of)
        {
            var writer = new ByteWriter();
            of.Write(writer);
            return writer.ToArray();
        }

        byte[] RecordKey(long revision)
        {
            var key = new byte[StorageKeys.RevisionBytes];
            StorageKeys.WriteRevision(key, new(revision));
            return key;
        }

        switch (what)
        {
            case "a progress of a later format":
                batch.Put(meta, StorageKeys.Progress, [9, .. Row(progress)[1..]]);
                break;
            case "a progress that is cut off":
                batch.Put(meta, StorageKeys.Progress, Row(progress).AsSpan()[..^1]);
                break;
            case "a progress with another chain":
                batch.Put(meta, StorageKeys.Progress, Row(progress with { Chain = new(1, 1) }));
                break;
            case "a progress ahead of the log":
                batch.Put(meta, StorageKeys.Progress, Row(progress with { Position = progress.Position with { Revision = progress.Position.Revision.Next } }));
                break;
            case "a record that is gone":
                RecordKey(100).CopyTo(batch.Delete(log, StorageKeys.RevisionBytes));
                break;
            case "the last record gone":
                RecordKey(_records.Count).CopyTo(batch.Delete(log, StorageKeys.RevisionBytes));
                break;
            case "a record that was changed":
                var changed = _records[99].ToArray();
                changed[^40] ^= 1;
                batch.Put(log, RecordKey(100), changed);
                break;
            case "a record in the place of another":
                batch.Put(log, RecordKey(100), _records[100]);
                break;
            case "an identity of a later format":
                batch.Put(meta, StorageKeys.Identity, [9, .. Identity.Write(Node)[1..]]);
                break;
            case "an identity that is none":
                batch.Put(meta, StorageKeys.Identity, [1, 3, (byte)'?', (byte)'?', (byte)'?']);
                break;
        }

        database.Write(batch);
        database.ReleaseReference();
        using var directory = DataDirectory.Take(path);
        var e = Assert.Throws<StorageException>(() => NodeStore.Open(directory, new() { Node = Node }));
        Assert.Equal(fault, e.Fault);

        // And it let go of the database: another look finds the same.
        Assert.Equal(fault, Assert.Throws<StorageException>(() => NodeStore.Open(directory, new() { Node = Node })).Fault);
    }

    [Theory]
    [InlineData("state of a keyspace")]
    [InlineData("row of the catalog")]
    [InlineData("record")]
    [InlineData("row")]
    public void Damage_in_what_the_store_wrote_itself_is_said_to_be_damage(string what)
    {
        // Cut off in the middle, and all bytes set: once too short for its format, once against its rules.
        foreach (var damage in new Func<byte[], byte[]>[] { bytes => bytes[..(bytes.Length / 2)], bytes => [bytes[0], .. Enumerable.Repeat((byte)0xff, bytes.Length - 1)] })
        {
            using var hub = new HubStore(_directory.Sub($"{what}{++_copies}"));
            hub.ApplyOne(hub.Commands.Put(HubStore.Flags, "k", "v"));
            hub.ApplyOne(hub.Commands.Put(HubStore.Flags, "k2", "v"));
            var (family, key) = Place(what);
            using (var view = hub.Store.AcquireView())
            {
                using var pinned = Pinned.Get(hub.Store.Database, view.ReadOptions, family, key);
                var batch = new WriteBatchBuilder();
                batch.Put(hub.Store.Database.FamilyId(family), key, damage(pinned.Bytes.ToArray()));
                hub.Store.Database.Write(batch);
            }

            // A View as a reader gets it: the one that is there was made before the damage.
            hub.Store.Publish(hub.Store.Progress);
            using var damaged = hub.Store.AcquireView();
            Assert.Equal(StorageFault.Corrupt, Assert.Throws<StorageException>(() => Look(damaged, what)).Fault);
        }
    }

    private static (ColumnFamily Family, byte[] Key) Place(string what)
    {
        var key = new byte[32];
        switch (what)
        {
            case "state of a keyspace":
                StorageKeys.WriteKeyspaceState(key, HubStore.Flags);
                return (ColumnFamily.Meta, key[..5]);
            case "record":
                StorageKeys.WriteRevision(key, new(2));
                return (ColumnFamily.Log, key[..StorageKeys.RevisionBytes]);
            default:
                var row = what == "row" ? "k"u8 : "flags"u8;
                StorageKeys.WriteData(key, what == "row" ? HubStore.Flags : KeyspaceId.Catalog, row);
                return (ColumnFamily.Data, key[..(StorageKeys.KeyspaceBytes + row.Length)]);
        }
    }

    private static void Look(View view, string what)
    {
        switch (what)
        {
            case "state of a keyspace":
                view.FindKeyspace(HubStore.Flags);
                break;
            case "row of the catalog":
                view.FindKeyspace(KeyspaceName.Parse("flags"));
                break;
            case "record":
                view.FindChain(new(2));
                break;
            default:
                using (var row = view.Get(HubStore.Flags, "k"u8))
                {
                    _ = row.Row.Revision;
                }

                break;
        }
    }

    [Fact]
    public void A_condition_that_cannot_be_judged_because_the_log_lacks_a_record_stops_the_member()
    {
        using var hub = new HubStore(_directory.Sub("gap"));
        for (var i = 0; i < 10; i++)
        {
            hub.ApplyOne(hub.Commands.Put(HubStore.Flags, $"k{i}", "v"));
        }

        var batch = new WriteBatchBuilder();
        StorageKeys.WriteRevision(batch.Delete(hub.Store.Database.FamilyId(ColumnFamily.Log), StorageKeys.RevisionBytes), new(5));
        hub.Store.Database.Write(batch);
        hub.Store.Publish(hub.Store.Progress);
        foreach (var condition in new[] { Condition.PrefixUnchangedSince("x", new(2)), Condition.UnchangedSince("x", new(2)) })
        {
            var before = hub.Store.Progress;
            var e = Assert.Throws<StorageException>(() => hub.ApplyOne(hub.Commands.Put(HubStore.Flags, "y", "v", condition)));
            Assert.Equal(StorageFault.Corrupt, e.Fault);
            Assert.Equal(before, hub.Store.Progress);
        }

        // One that does not need what is lacking is judged.
        Assert.Equal(CommitKind.Committed, hub.ApplyOne(hub.Commands.Put(HubStore.Flags, "y", "v", Condition.PrefixUnchangedSince("x", new(5)))).Kind);
    }

    public void Dispose() => _directory.Dispose();
}
