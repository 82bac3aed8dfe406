using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: a Raft log that opens has everything that was durable, and one that does not is refused. Method: entries and votes on a real
/// disk; the files as they are at one moment are copied, as a crash leaves them, harmed, and opened.
/// </summary>
public sealed class RaftLogStoreTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private int _copies;

    private sealed class Opened(DataDirectory data, NodeStore store, RaftLogStore log) : IDisposable
    {
        public NodeStore Store { get; } = store;

        public RaftLogStore Log { get; } = log;

        public void Dispose()
        {
            Log.Dispose();
            Store.Dispose();
            data.Dispose();
        }
    }

    private static Opened Open(string path)
    {
        var data = DataDirectory.Take(path);
        NodeStore? store = null;
        try
        {
            store = NodeStore.Open(data, new() { Node = NodeId.Parse("hub-0") });
            return new(data, store, RaftLogStore.Open(store, data.RaftPath));
        }
        catch
        {
            store?.Dispose();
            data.Dispose();
            throw;
        }
    }

    private static RaftLogEntry Entry(long index, long term) => new(new(index), new(term), 1, false, new byte[100]);

    private static RaftFloor At(long index, long term) => new(new(index), new(term));

    private static void Append(RaftLogStore log, long first, long last, long term, RaftFloor before, bool sync = true, long? replacedTo = null)
    {
        log.Append(
            [.. Enumerable.Range(0, (int)(last - first + 1)).Select(i => Entry(first + i, term))], before, replacedTo is { } end ? new LogIndex(end) : null);
        if (sync)
        {
            log.Sync(At(last, term));
        }
    }

    /// <summary>What a crash at this moment would leave.</summary>
    private string Crash(string path)
    {
        var copy = _directory.Sub($"crash-{_copies++}");
        FileTree.Copy(path, copy);
        return copy;
    }

    [Fact]
    public void Nothing_of_the_log_goes_by_its_age()
    {
        var path = _directory.Sub("age");
        using (Open(path))
        {
        }

        var options = File.ReadAllText(Directory.GetFiles(Path.Combine(path, "db"), "OPTIONS-*").Order().Last());
        string Of(string family, string option) => options[options.IndexOf($"[CFOptions \"{family}\"]", StringComparison.Ordinal)..]
            .Split('\n').Select(line => line.Trim()).First(line => line.StartsWith(option + "=", StringComparison.Ordinal)).Split('=')[1];
        Assert.Equal(("kCompactionStyleFIFO", "0"), (Of("raft", "compaction_style"), Of("raft", "ttl")));
        Assert.Equal(("0", "0"), (Of("log", "periodic_compaction_seconds"), Of("keyspaceLog", "periodic_compaction_seconds")));
    }

    [Fact]
    public async Task A_log_that_is_cut_again_and_again_takes_no_more_room_and_has_all_that_was_not_cut()
    {
        const int Entries = 900;
        const int Kept = 128;
        const int EntryBytes = 1 << 20;
        var path = _directory.Sub("long");
        var payload = new byte[EntryBytes];
        using (var opened = Open(path))
        {
            var batch = new ApplyBatch(opened.Store);
            for (var index = 1; index <= Entries; index++)
            {
                payload[0] = (byte)index;
                opened.Log.Append([new(new(index), new(1), 1, false, payload)], At(index - 1, index == 1 ? 0 : 1), replacedTo: null);
                if (index % (Kept / 2) == 0)
                {
                    opened.Log.Sync(At(index, 1));
                    batch.Begin();
                    batch.Commit(new(index), new(1));
                    opened.Store.SaveRaftFloor(At(Math.Max(1, index - Kept), 1));
                }
            }

            // Files go in the background, behind whatever the one thread for it is at: on a busy disk the entries may be faster.
            long Tables() => new DirectoryInfo(Path.Combine(path, "db")).GetFiles("*.sst").Sum(file => file.Exists ? file.Length : 0);
            await Eventually.TrueAsync(
                () => Tables() is > 0 and <= RaftLogStore.MaxTableBytes + (64L << 20), "table files within the bound", TestContext.Current.CancellationToken, TimeSpan.FromMinutes(2));
        }

        using var again = Open(path);
        var floor = again.Store.ReadRaftFloor()!.Value.Index.Value;
        var all = again.Log.ReadAll().Select(entry => (entry.Index.Value, entry.Payload.Span[0])).ToList();
        Assert.Equal(Enumerable.Range((int)floor + 1, Entries - (int)floor).Select(index => ((long)index, (byte)index)), all);
    }

    private static string WriteAheadLog(string path) =>
        Directory.GetFiles(Path.Combine(path, "db"), "*.log").MaxBy(file => new FileInfo(file).Length)!;

    private static void CutOff(string file, int bytes)
    {
        using var stream = new FileStream(file, FileMode.Open);
        stream.SetLength(stream.Length - bytes);
    }

    [Fact]
    public void Entries_and_votes_are_there_after_a_crash()
    {
        var path = _directory.Sub("hub");
        using var opened = Open(path);
        Append(opened.Log, 1, 5, 1, default);
        opened.Log.SaveVotes(new(new(7), "x"u8.ToArray()));
        Append(opened.Log, 4, 4, 7, At(3, 1), replacedTo: 5);
        using var again = Open(Crash(path));
        Assert.Equal([1, 1, 1, 7], again.Log.ReadAll().Select(entry => entry.Term.Value));
        Assert.Equal(7, again.Log.Votes.Term.Value);
        Assert.Equal("x"u8, again.Log.Votes.Candidate!.Value.Span);
    }

    [Fact]
    public void A_last_write_that_was_torn_is_cut_off_where_nobody_was_told_of_it()
    {
        var path = _directory.Sub("hub");
        using var opened = Open(path);
        Append(opened.Log, 1, 3, 1, default);
        Append(opened.Log, 4, 4, 1, At(3, 1), sync: false);
        var crashed = Crash(path);
        CutOff(WriteAheadLog(crashed), 20);
        using var again = Open(crashed);
        Assert.Equal(3, again.Log.ReadAll().Count());
    }

    [Fact]
    public void A_log_that_lost_what_was_durable_is_refused()
    {
        var path = _directory.Sub("hub");
        using var opened = Open(path);
        Append(opened.Log, 1, 3, 1, default);
        Append(opened.Log, 4, 4, 1, At(3, 1));
        var crashed = Crash(path);
        CutOff(WriteAheadLog(crashed), 20);
        Assert.Equal(StorageFault.Corrupt, Assert.Throws<StorageException>(() => Open(crashed)).Fault);
    }

    [Fact]
    public void A_member_that_lost_its_last_vote_is_refused()
    {
        var path = _directory.Sub("hub");
        using var opened = Open(path);
        opened.Log.SaveVotes(new(new(1), null));
        opened.Log.SaveVotes(new(new(1), "x"u8.ToArray()));
        var crashed = Crash(path);
        CutOff(WriteAheadLog(crashed), 20);
        Assert.Equal(StorageFault.Corrupt, Assert.Throws<StorageException>(() => Open(crashed)).Fault);
    }

    [Fact]
    public void A_suffix_that_is_replaced_by_less_may_end_before_what_was_durable_at_any_moment_of_a_crash()
    {
        var path = _directory.Sub("hub");
        using var opened = Open(path);
        Append(opened.Log, 1, 9, 1, default);
        Append(opened.Log, 4, 4, 2, At(3, 1), sync: false, replacedTo: 9);
        using (var again = Open(Crash(path)))
        {
            Assert.Equal([1, 1, 1, 2], again.Log.ReadAll().Select(entry => entry.Term.Value));
        }

        // The write itself may be lost as well: the mark was lowered before it.
        var crashed = Crash(path);
        CutOff(WriteAheadLog(crashed), 20);
        using var old = Open(crashed);
        Assert.Equal(9, old.Log.ReadAll().Count());
    }

    [Fact]
    public void What_is_cut_is_gone_and_the_rest_is_there()
    {
        var path = _directory.Sub("hub");
        using var opened = Open(path);
        var batch = new ApplyBatch(opened.Store);
        batch.Begin();
        batch.Commit(new(5), new(1));
        Append(opened.Log, 1, 9, 1, default);
        opened.Store.SaveRaftFloor(At(5, 1));
        opened.Log.CutOff(At(8, 1), new(9));
        using var again = Open(Crash(path));
        Assert.Equal([6, 7, 8], again.Log.ReadAll().Select(entry => entry.Index.Value));
        Assert.Equal(StorageFault.Corrupt, Assert.Throws<StorageException>(() => again.Log.Read(new(5))).Fault);
    }

    [Fact]
    public void Without_its_mark_a_log_is_refused_again_and_again()
    {
        var path = _directory.Sub("hub");
        using (var opened = Open(path))
        {
            Append(opened.Log, 1, 3, 1, default);
        }

        File.Delete(Path.Combine(path, "raft", "mark"));
        Assert.Throws<StorageException>(() => Open(path));
        Assert.Throws<StorageException>(() => Open(path));
    }

    public void Dispose() => _directory.Dispose();
}
