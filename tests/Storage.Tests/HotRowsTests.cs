using System.Text;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: what is kept in memory of rows is what the database has, at every View, also at old ones. Method: random changes and reads at many Views,
/// each compared with the database, in turn and by threads beside each other; the order of a slow reader and a change, step by step.
/// </summary>
public sealed class HotRowsTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    /// <summary>The value of a key by way of the memory, and whether it came from there.</summary>
    private static (string? Value, bool IsHot) Read(View view, KeyspaceId keyspace, string key)
    {
        using var get = MultiGet.Rent();
        get.Add(keyspace, Encoding.UTF8.GetBytes(key));
        get.Execute(view);
        return (get.TryGetRow(0, out var row) ? $"{row.Revision} {Encoding.UTF8.GetString(row.Value)}" : null, get.Hot == 1);
    }

    private static string? ReadDatabase(View view, KeyspaceId keyspace, string key)
    {
        using var row = view.Get(keyspace, Encoding.UTF8.GetBytes(key));
        return row.Found ? $"{row.Row.Revision} {Encoding.UTF8.GetString(row.Row.Value)}" : null;
    }

    [Theory]
    [InlineData(1, 20_000)]
    [InlineData(2, 20_000)]
    [InlineData(3, 16)]
    public void Every_read_at_every_view_is_what_the_database_has_there(int seed, int capacity)
    {
        var random = new Random(seed);
        using var hub = new HubStore(_directory.Sub("hub"), hotRows: capacity);
        var views = new List<View> { hub.Store.AcquireView() };
        var (hot, other) = (0, HubStore.Flags);
        try
        {
            for (var i = 0; i < 5_000; i++)
            {
                var key = $"k{random.Next(40)}";
                switch (random.Next(100))
                {
                    case 0:
                        hub.ApplyOne(hub.Commands.Create("other"));
                        using (var view = hub.Store.AcquireView())
                        {
                            other = view.FindKeyspace(KeyspaceName.Parse("other"))!.Id;
                        }

                        break;
                    case 1:
                        hub.ApplyOne(hub.Commands.Drop("other"));
                        break;
                    case 2:
                        hub.ApplyOne(hub.Commands.Delete(HubStore.Flags, key));
                        break;
                    case 3:
                        hub.ApplyOne(hub.Commands.Transaction(HubStore.Flags, [Mutation.Put(key, "t"u8.ToArray()), Mutation.Delete($"l{random.Next(9)}"), Mutation.Put("both", "t"u8.ToArray())]));
                        break;
                    case 4:
                        hub.ApplyOne(hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix($"k{random.Next(40)}"), Mutation.Put(key, "p"u8.ToArray())]));
                        break;
                    case < 9:
                        hub.ApplyOne(hub.Commands.Put(random.Next(2) == 0 ? HubStore.Flags : other, key, $"{i}"));
                        break;
                    case < 13:
                        views.Add(hub.Store.AcquireView());
                        if (views.Count > 6)
                        {
                            views[0].Dispose();
                            views.RemoveAt(0);
                        }

                        break;
                    default:
                        var at = views[random.Next(views.Count)];
                        var keyspace = random.Next(3) == 0 ? other : HubStore.Flags;
                        var (value, isHot) = Read(at, keyspace, key);
                        Assert.Equal(ReadDatabase(at, keyspace, key), value);
                        hot += isHot ? 1 : 0;
                        break;
                }
            }
        }
        finally
        {
            views.ForEach(view => view.Dispose());
        }

        Assert.True(hot > 100, $"{hot} reads came from memory.");
    }

    [Fact]
    public async Task Reads_beside_changes_are_what_the_database_has()
    {
        const int seed = 7;
        using var hub = new HubStore(_directory.Sub("hub"), hotRows: 32);
        var done = new ManualResetEventSlim();
        var hot = new int[2];
        var readers = Enumerable.Range(0, hot.Length).Select(reader => Task.Factory.StartNew(
            () =>
            {
                for (var random = new Random(seed + reader); !done.IsSet;)
                {
                    using var view = hub.Store.AcquireView();
                    for (var i = 0; i < 20; i++)
                    {
                        var key = $"k{random.Next(40)}";
                        var (value, isHot) = Read(view, HubStore.Flags, key);
                        Assert.Equal(ReadDatabase(view, HubStore.Flags, key), value);
                        hot[reader] += isHot ? 1 : 0;
                    }
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray();
        try
        {
            var random = new Random(seed);
            for (var i = 0; i < 10_000; i++)
            {
                var key = $"k{random.Next(40)}";
                hub.ApplyOne(random.Next(20) switch
                {
                    0 => hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix(key[..^1] + "1")]),
                    1 => hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix("k2"), Mutation.Put("k2", "again"u8.ToArray())]),
                    2 => hub.Commands.Delete(HubStore.Flags, key),
                    _ => hub.Commands.Put(HubStore.Flags, key, $"{i}"),
                });
            }
        }
        finally
        {
            done.Set();
            await Task.WhenAll(readers);
        }

        Assert.All(hot, count => Assert.True(count > 1_000, $"{count} reads came from memory."));
    }

    [Fact]
    public void A_row_enters_at_the_first_read_and_goes_with_its_change()
    {
        using var hub = new HubStore(_directory.Sub("hub"));
        hub.ApplyOne(hub.Commands.Put(HubStore.Flags, "k", "v"));
        using var before = hub.Store.AcquireView();
        Assert.False(Read(before, HubStore.Flags, "k").IsHot);
        Assert.True(Read(before, HubStore.Flags, "k").IsHot);

        hub.ApplyOne(hub.Commands.Put(HubStore.Flags, "k", "w"));
        using var after = hub.Store.AcquireView();
        Assert.Equal(($"{after.Position.Revision} w", false), Read(after, HubStore.Flags, "k"));

        // A reader of the state before has what was there, and keeps it for itself.
        Assert.Equal($"{before.Position.Revision} v", Read(before, HubStore.Flags, "k").Value);
        Assert.Equal($"{before.Position.Revision} v", Read(before, HubStore.Flags, "k").Value);
        Assert.Equal($"{after.Position.Revision} w", Read(after, HubStore.Flags, "k").Value);
        Assert.True(Read(after, HubStore.Flags, "k").IsHot);
        Assert.False(Read(before, HubStore.Flags, "k").IsHot);
    }

    [Fact]
    public void The_drop_of_a_keyspace_takes_its_rows_and_leaves_those_of_others()
    {
        using var hub = new HubStore(_directory.Sub("hub"));
        hub.ApplyOne(hub.Commands.Put(HubStore.Flags, "k", "v"));
        hub.ApplyOne(hub.Commands.Create("other"));
        var other = new KeyspaceId(2);
        hub.ApplyOne(hub.Commands.Put(other, "k", "w"));
        using (var before = hub.Store.AcquireView())
        {
            foreach (var keyspace in new[] { HubStore.Flags, other })
            {
                Read(before, keyspace, "k");
                Assert.True(Read(before, keyspace, "k").IsHot);
            }
        }

        hub.ApplyOne(hub.Commands.Drop("other"));
        using var after = hub.Store.AcquireView();
        Assert.Equal((null, false), Read(after, other, "k"));
        Assert.True(Read(after, HubStore.Flags, "k").IsHot);
    }

    [Fact]
    public void What_a_slow_reader_offers_after_a_change_is_refused()
    {
        var hot = new HotRows(64);
        byte[] key = [0, 0, 0, 1, 7], row = Row(5, "old");
        var hash = HotRows.HashOf(key);
        hot.Offer(key, hash, row, new(5));
        Assert.Equal(new Revision(5), hot.Find(key, hash, new(5)).Revision);
        hot.Touch(key, new(6));
        Assert.False(hot.Find(key, hash, new(6)).Found);
        hot.Offer(key, hash, row, new(5));
        Assert.False(hot.Find(key, hash, new(6)).Found);
        hot.Offer(key, hash, Row(6, "new"), new(6));
        Assert.Equal(new Revision(6), hot.Find(key, hash, new(6)).Revision);
        Assert.False(hot.Find(key, hash, new(5)).Found);

        // The same where all keys with a prefix went, and where all of a keyspace did.
        hot.TouchPrefixes([[0, 0, 0, 1, 6], [0, 0, 0, 2]], new(7));
        Assert.True(hot.Find(key, hash, new(7)).Found);
        hot.TouchPrefixes([[0, 0, 0, 2], [0, 0, 0, 1]], new(8));
        Assert.False(hot.Find(key, hash, new(8)).Found);
        hot.Offer(key, hash, Row(6, "new"), new(7));
        Assert.False(hot.Find(key, hash, new(8)).Found);
        hot.Offer(key, hash, Row(8, "put behind"), new(8));
        Assert.Equal(new Revision(8), hot.Find(key, hash, new(8)).Revision);
        hot.TouchAll(new(9));
        hot.Offer(key, hash, Row(8, "put behind"), new(8));
        Assert.False(hot.Find(key, hash, new(9)).Found);
    }

    [Fact]
    public void Rows_below_no_prefix_that_went_stay_however_many_went()
    {
        var hot = new HotRows(64);
        byte[] key = [0, 0, 0, 1, 7], elsewhere = [0, 0, 0, 2, 7];
        hot.Offer(elsewhere, HotRows.HashOf(elsewhere), Row(5, "v"), new(9));
        for (var revision = 10L; revision < 110; revision++)
        {
            hot.Offer(key, HotRows.HashOf(key), Row(5, "v"), new(revision - 1));
            Assert.True(hot.Find(key, HotRows.HashOf(key), new(revision - 1)).Found);
            hot.TouchPrefixes([[0, 0, 0, 1, (byte)revision]], new(revision));
            byte[] other = [0, 0, 0, 1, (byte)revision, 1];
            hot.Offer(other, HotRows.HashOf(other), Row(5, "went"), new(revision - 1));
            Assert.False(hot.Find(other, HotRows.HashOf(other), new(revision)).Found);
            Assert.True(hot.Find(elsewhere, HotRows.HashOf(elsewhere), new(revision)).Found);
        }

        // Few keyspaces more, and those of others stay.
        hot.TouchPrefixes([.. Enumerable.Range(3, 7).Select(keyspace => new byte[] { 0, 0, 0, (byte)keyspace, 1 })], new(150));
        Assert.True(hot.Find(elsewhere, HotRows.HashOf(elsewhere), new(150)).Found);

        // So many keyspaces that all rows go, and come again.
        hot.TouchPrefixes([.. Enumerable.Range(3, 17).Select(keyspace => new byte[] { 0, 0, 0, (byte)keyspace })], new(200));
        Assert.False(hot.Find(elsewhere, HotRows.HashOf(elsewhere), new(200)).Found);
        hot.Offer(elsewhere, HotRows.HashOf(elsewhere), Row(5, "v"), new(200));
        Assert.True(hot.Find(elsewhere, HotRows.HashOf(elsewhere), new(200)).Found);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(1_000)]
    [InlineData(10_001)]
    [InlineData(20_000)]
    public void All_rows_go_also_those_that_were_read_at_the_same_revision(int capacity)
    {
        var hot = new HotRows(capacity);
        for (var i = 0; i < 5_000; i++)
        {
            byte[] key = [0, 0, 0, 1, (byte)(i >> 8), (byte)i];
            hot.Offer(key, HotRows.HashOf(key), Row(5, "v"), new(9));
        }

        Assert.InRange(hot.Count, Math.Min(capacity, 4_950), Math.Max(4, capacity * 51 / 50));
        hot.TouchAll(new(9));
        Assert.Equal(0, hot.Count);
        byte[] again = [0, 0, 0, 1, 0, 0];
        hot.Offer(again, HotRows.HashOf(again), Row(5, "v"), new(9));
        Assert.True(hot.Find(again, HotRows.HashOf(again), new(9)).Found);
    }

    [Fact]
    public void Without_room_a_row_enters_at_the_second_read_and_another_one_goes()
    {
        var hot = new HotRows(1_000);
        var refused = 0;
        for (var i = 0; i < 3_000; i++)
        {
            byte[] key = [0, 0, 0, 1, (byte)(i >> 8), (byte)i];
            var hash = HotRows.HashOf(key);
            hot.Offer(key, hash, Row(5, "v"), new(9));

            // There is room for the first ones, but where too many are in one corner.
            refused += i < 950 && !hot.Find(key, hash, new(9)).Found ? 1 : 0;
            Assert.True(i <= 1_010 || !hot.Find(key, hash, new(9)).Found, $"row {i}");
            hot.Offer(key, hash, Row(5, "v"), new(9));
            Assert.True(hot.Find(key, hash, new(9)).Found, $"row {i}");
            Assert.InRange(hot.Count, Math.Min(i - 10, 950), 1_020);
        }

        Assert.InRange(refused, 0, 10);

        var left = Enumerable.Range(0, 3_000).Count(i => hot.Find([0, 0, 0, 1, (byte)(i >> 8), (byte)i], HotRows.HashOf([0, 0, 0, 1, (byte)(i >> 8), (byte)i]), new(9)).Found);
        Assert.Equal(hot.Count, left);
    }

    private static byte[] Row(long revision, string value)
    {
        var writer = new ByteWriter();
        DataRow.Write(writer, new(revision), default, default, Encoding.UTF8.GetBytes(value));
        return writer.ToArray();
    }

    [Fact]
    public void What_is_read_most_stays_and_there_is_never_more_than_fits()
    {
        var hot = new HotRows(64);
        for (var round = 0; round < 50; round++)
        {
            for (var i = 0; i < 200; i++)
            {
                byte[] key = [0, 0, 0, 1, (byte)i];
                var hash = HotRows.HashOf(key);
                for (var reads = i < 8 ? 3 : 1; reads > 0 && !hot.Find(key, hash, new(9)).Found; reads--)
                {
                    hot.Offer(key, hash, Row(5, "v"), new(9));
                }

                for (byte often = 0; often < 8; often++)
                {
                    byte[] favourite = [0, 0, 0, 1, often];
                    hot.Find(favourite, HotRows.HashOf(favourite), new(9));
                }
            }

            Assert.InRange(hot.Count, 8, 64);
        }

        Assert.True(Enumerable.Range(0, 8).Count(i => hot.Find([0, 0, 0, 1, (byte)i], HotRows.HashOf([0, 0, 0, 1, (byte)i]), new(9)).Found) >= 6);
        hot.Offer([1], HotRows.HashOf([1]), new byte[HotRows.MaxRowBytes], new(9));
        hot.Offer([1], HotRows.HashOf([1]), new byte[HotRows.MaxRowBytes], new(9));
        Assert.False(hot.Find([1], HotRows.HashOf([1]), new(9)).Found);
    }

    public void Dispose() => _directory.Dispose();
}
