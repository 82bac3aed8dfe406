using System.Text;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: what is kept in memory of rows is what the database has, at every View, also at old ones. Method: random changes and reads at many Views
/// at the same time, each compared with the database; the order of a slow reader and a change, step by step.
/// </summary>
public sealed class HotRowsTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;

    public HotRowsTests() => _hub = new(_directory.Sub("hub"));

    private HotRows Hot => _hub.Store.Database.Hot;

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
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Every_read_at_every_view_is_what_the_database_has_there(int seed)
    {
        var random = new Random(seed);
        var views = new List<View> { _hub.Store.AcquireView() };
        var (hot, other) = (0, HubStore.Flags);
        try
        {
            for (var i = 0; i < 5_000; i++)
            {
                var key = $"k{random.Next(40)}";
                switch (random.Next(100))
                {
                    case 0:
                        _hub.ApplyOne(_hub.Commands.Create("other"));
                        using (var view = _hub.Store.AcquireView())
                        {
                            other = view.FindKeyspace(KeyspaceName.Parse("other"))!.Id;
                        }

                        break;
                    case 1:
                        _hub.ApplyOne(_hub.Commands.Drop("other"));
                        break;
                    case 2:
                        _hub.ApplyOne(_hub.Commands.Delete(HubStore.Flags, key));
                        break;
                    case 3:
                        _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.Put(key, "t"u8.ToArray()), Mutation.Delete($"l{random.Next(9)}"), Mutation.Put("both", "t"u8.ToArray())]));
                        break;
                    case 4:
                        _hub.ApplyOne(_hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix($"k{random.Next(40)}"), Mutation.Put(key, "p"u8.ToArray())]));
                        break;
                    case < 9:
                        _hub.ApplyOne(_hub.Commands.Put(random.Next(2) == 0 ? HubStore.Flags : other, key, $"{i}"));
                        break;
                    case < 13:
                        views.Add(_hub.Store.AcquireView());
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

        Assert.True(hot > 300, $"{hot} reads came from memory.");
    }

    [Fact]
    public void A_row_enters_at_the_second_read_and_goes_with_its_change()
    {
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "v"));
        using var before = _hub.Store.AcquireView();
        Assert.False(Read(before, HubStore.Flags, "k").IsHot);
        Assert.False(Read(before, HubStore.Flags, "k").IsHot);
        Assert.True(Read(before, HubStore.Flags, "k").IsHot);
        Assert.Equal(1, Hot.Count);

        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "w"));
        Assert.Equal(0, Hot.Count);
        using var after = _hub.Store.AcquireView();
        Assert.Equal($"{after.Position.Revision} w", Read(after, HubStore.Flags, "k").Value);

        // A reader of the state before has what was there, and keeps it for itself.
        Assert.Equal($"{before.Position.Revision} v", Read(before, HubStore.Flags, "k").Value);
        Assert.Equal($"{before.Position.Revision} v", Read(before, HubStore.Flags, "k").Value);
        Assert.Equal($"{after.Position.Revision} w", Read(after, HubStore.Flags, "k").Value);
        Assert.Equal($"{after.Position.Revision} w", Read(after, HubStore.Flags, "k").Value);
        Assert.True(Read(after, HubStore.Flags, "k").IsHot);
        Assert.False(Read(before, HubStore.Flags, "k").IsHot);
    }

    [Fact]
    public void What_a_slow_reader_offers_after_a_change_is_refused()
    {
        var hot = new HotRows(64);
        byte[] key = [0, 0, 0, 1, 7], row = Row(5, "old");
        var hash = HotRows.HashOf(key);
        hot.Offer(key, hash, row, new(5));
        hot.Touch(key, new(6));
        hot.Offer(key, hash, row, new(5));
        Assert.Equal(0, hot.Count);
        hot.Offer(key, hash, Row(6, "new"), new(6));
        Assert.Equal(new Revision(6), hot.Find(key, hash, new(6))!.Revision);
        Assert.Null(hot.Find(key, hash, new(5)));

        // The same where all keys with a prefix went, and where all of a keyspace did.
        hot.TouchPrefixes([[0, 0, 0, 1, 6], [0, 0, 0, 2]], new(7));
        Assert.Equal(1, hot.Count);
        hot.TouchPrefixes([[0, 0, 0, 2], [0, 0, 0, 1]], new(8));
        hot.Offer(key, hash, Row(6, "new"), new(7));
        Assert.Equal(0, hot.Count);
        hot.TouchAll(new(9));
        hot.Offer(key, hash, Row(6, "new"), new(8));
        Assert.Equal(0, hot.Count);
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
                for (var reads = i < 8 ? 3 : 1; reads > 0 && hot.Find(key, hash, new(9)) is null; reads--)
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

        Assert.True(Enumerable.Range(0, 8).Count(i => hot.Find([0, 0, 0, 1, (byte)i], HotRows.HashOf([0, 0, 0, 1, (byte)i]), new(9)) is not null) >= 6);
        hot.Offer([1], HotRows.HashOf([1]), new byte[HotRows.MaxRowBytes], new(9));
        hot.Offer([1], HotRows.HashOf([1]), new byte[HotRows.MaxRowBytes], new(9));
        Assert.Null(hot.Find([1], HotRows.HashOf([1]), new(9)));
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
