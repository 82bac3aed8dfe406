using System.Text;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: a View is one state, whoever writes meanwhile. Method: one thread that applies thousands of transactions, each with
/// one value for all keys; readers on other threads that must see all keys of one View equal.
/// </summary>
public sealed class ViewTests : IDisposable
{
    private const int Keys = 12;

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;

    public ViewTests() => _hub = new(_directory.Sub("hub"));

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private void PutAll(long value) => _hub.ApplyOne(_hub.Commands.Transaction(
        HubStore.Flags, [.. Enumerable.Range(0, Keys).Select(key => Mutation.Put($"key {key}", Encoding.UTF8.GetBytes($"{value}")))]));

    [Fact]
    public void A_view_has_the_keyspaces_of_its_revision()
    {
        using var before = _hub.Store.AcquireView();
        _hub.ApplyOne(_hub.Commands.Drop("flags"));
        using var after = _hub.Store.AcquireView();
        foreach (var (view, isThere) in new[] { (before, true), (after, false) })
        {
            Assert.Equal((isThere, isThere), (view.HasKeyspace(HubStore.Flags), view.FindKeyspace(HubStore.Flags) is not null));
        }
    }

    [Fact]
    public async Task Readers_see_all_keys_of_one_transaction_or_none_while_thousands_are_applied()
    {
        PutAll(0);
        using var done = new CancellationTokenSource();
        var looks = new int[3];
        var readers = Enumerable.Range(0, looks.Length).Select(kind => Task.Factory.StartNew(
            () => Watch(kind, looks, done.Token), Stop, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToList();

        // As long as it takes for every reader to have looked often while rows change under it.
        var counted = new int[looks.Length];
        var movedAt = Enumerable.Repeat(TimeProvider.System.GetTimestamp(), looks.Length).ToArray();
        for (var i = 1; i <= 2_000 || looks.Min() < 100; i++)
        {
            for (var kind = 0; kind < looks.Length; kind++)
            {
                var count = Volatile.Read(ref looks[kind]);
                movedAt[kind] = count == counted[kind] ? movedAt[kind] : TimeProvider.System.GetTimestamp();
                counted[kind] = count;
                Assert.True(TimeProvider.System.GetElapsedTime(movedAt[kind]) < Eventually.Deadline, $"Reader {kind} looked {count} times, and then not once in {Eventually.Deadline}.");
            }

            PutAll(i);
            if (i % 1_000 == 0)
            {
                _hub.Store.Flush();
            }

            if (readers.Exists(reader => reader.IsFaulted))
            {
                break;
            }
        }

        await done.CancelAsync();
        await Task.WhenAll(readers);
    }

    private void Watch(int kind, int[] looks, CancellationToken done)
    {
        var last = 0L;
        while (!done.IsCancellationRequested)
        {
            using var view = _hub.Store.AcquireView();
            var seen = kind switch { 0 => OneByOne(view), 1 => Together(view), _ => Walked(view) };
            Assert.Equal(Keys, seen.Count);
            Assert.Single(seen.Distinct());

            // The rows are of the View's own revision, and time does not go back.
            Assert.Equal(view.Position.Revision, seen[0].Revision);
            Assert.True(seen[0].Revision.Value >= last);
            Assert.Equal($"{seen[0].Revision.Value - 2}", seen[0].Value);
            last = seen[0].Revision.Value;
            Interlocked.Increment(ref looks[kind]);
        }
    }

    private static List<(Revision Revision, string Value)> OneByOne(View view)
    {
        var seen = new List<(Revision, string)>();
        for (var key = 0; key < Keys; key++)
        {
            using var row = view.Get(HubStore.Flags, Encoding.UTF8.GetBytes($"key {key}"));
            seen.Add((row.Row.Revision, Encoding.UTF8.GetString(row.Row.Value)));
        }

        return seen;
    }

    private static List<(Revision Revision, string Value)> Together(View view)
    {
        using var get = MultiGet.Rent();
        for (var key = 0; key < Keys; key++)
        {
            get.Add(HubStore.Flags, Encoding.UTF8.GetBytes($"key {key}"));
        }

        get.Execute(view);
        var seen = new List<(Revision, string)>();
        for (var key = 0; key < Keys; key++)
        {
            Assert.True(get.TryGetRow(key, out var row));
            seen.Add((row.Revision, Encoding.UTF8.GetString(row.Value)));
        }

        return seen;
    }

    private static List<(Revision Revision, string Value)> Walked(View view)
    {
        var seen = new List<(Revision, string)>();
        using var rows = view.OpenRows(HubStore.Flags);
        for (var more = rows.Seek(default); more; more = rows.Next())
        {
            seen.Add((rows.Row.Revision, Encoding.UTF8.GetString(rows.Row.Value)));
        }

        return seen;
    }

    [Fact]
    public void A_view_outlives_its_store_for_as_long_as_it_is_held()
    {
        PutAll(1);
        var view = _hub.Store.AcquireView();
        _hub.Dispose();
        Assert.Equal(Keys, Walked(view).Count);
        view.Dispose();

        // Only now the database is closed and may be opened again.
        Assert.Throws<ObjectDisposedException>(() => _hub.Store.AcquireView());
        _hub.Reopen();
        Assert.Equal("1", _hub.Get("key 0"));
    }

    [Fact]
    public void A_log_cursor_ends_with_its_view_while_the_log_grows()
    {
        PutAll(1);
        using var view = _hub.Store.AcquireView();
        PutAll(2);
        PutAll(3);
        using var log = view.OpenLog();
        var revisions = new List<long>();
        for (var more = log.Seek(new(1)); more; more = log.Next())
        {
            revisions.Add(log.Revision.Value);
        }

        Assert.Equal([1L, 2L], revisions);
        Assert.Null(view.FindChain(new(3)));
        Assert.Equal(2, ChangeLog.ReadKeyspaceRevisions(view, HubStore.Flags, new(1), 10)[^1].Value);
    }

    [Fact]
    public void Keys_at_the_limit_and_of_any_bytes_are_read_back_in_order()
    {
        var keys = new List<byte[]> { new byte[Limits.MaxKeyBytes], Enumerable.Repeat((byte)0xff, Limits.MaxKeyBytes).ToArray(), new byte[] { 0 }, new byte[] { 0, 0 }, new byte[] { 0xff }, new byte[] { 1 } };
        foreach (var key in keys)
        {
            _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.Put(Key.From(key), key)]));
        }

        using var view = _hub.Store.AcquireView();
        var seen = new List<byte[]>();
        using (var rows = view.OpenRows(HubStore.Flags))
        {
            for (var more = rows.Seek(default); more; more = rows.Next())
            {
                Assert.Equal(rows.Key, rows.Row.Value);
                seen.Add(rows.Key.ToArray());
            }

            Assert.True(rows.Seek(keys[1]));
            Assert.False(rows.Next());
        }

        Assert.Equal(keys.OrderBy(key => Key.From(key)), seen);
        Assert.Throws<ArgumentException>(() => { view.Get(HubStore.Flags, new byte[Limits.MaxKeyBytes + 1]); });
    }

    [Fact]
    public void Rows_are_walked_backwards_from_any_key_and_from_the_end_of_any_prefix()
    {
        byte[][] keys = [[0x60], [0x61], [0x61, 0x00], [0x61, 0xff], [0x61, 0xff, 0xff], [0x62], [0xff], [0xff, 0xff]];
        _hub.ApplyOne(_hub.Commands.Create("next"));
        _hub.ApplyOne(_hub.Commands.Put(new(2), "a", "of the next keyspace"));
        _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [.. keys.Select(key => Mutation.Put(Key.From(key), default))]));
        using var view = _hub.Store.AcquireView();
        static List<string> Walk(bool found, ref RowCursor cursor)
        {
            var walked = new List<string>();
            for (var more = found; more; more = cursor.Previous())
            {
                walked.Add(Convert.ToHexStringLower(cursor.Key));
            }

            return walked;
        }

        var rows = view.OpenRows(HubStore.Flags);
        try
        {
            var reversed = keys.Select(Convert.ToHexStringLower).Reverse().ToList();
            Assert.Equal(reversed, Walk(rows.SeekLast([]), ref rows));
            Assert.Equal(reversed, Walk(rows.SeekLast([0xff]), ref rows));
            Assert.Equal(reversed.Skip(2), Walk(rows.SeekLast([0x62]), ref rows));
            Assert.Equal(reversed.Skip(3), Walk(rows.SeekLast([0x61]), ref rows));
            Assert.Equal(reversed.Skip(3), Walk(rows.SeekLast([0x61, 0xff]), ref rows));
            Assert.Equal(reversed.Skip(3), Walk(rows.SeekBefore([0x62]), ref rows));
            Assert.Equal(reversed.Skip(2), Walk(rows.SeekBefore([0x62, 0x00]), ref rows));
            Assert.Empty(Walk(rows.SeekBefore([0x60]), ref rows));
            Assert.Empty(Walk(rows.SeekLast([0x10]), ref rows));
        }
        finally
        {
            rows.Dispose();
        }
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
