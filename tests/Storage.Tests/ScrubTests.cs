using Quicksilver.Model;
using Quicksilver.Storage.Native;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: looking through a store finds each kind of damage, and none where there is none, whatever happens meanwhile. Method: a real store under
/// random writes, cuts, drops and expiry between any two steps; then one thing changed behind its back.
/// </summary>
public sealed class ScrubTests : IDisposable
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;

    public ScrubTests() => _hub = new(_directory.Sub("hub"));

    private void Write(Random random, int count)
    {
        for (var i = 0; i < count; i++)
        {
            var name = $"n{random.Next(3)}";
            KeyspaceId? keyspace;
            using (var view = _hub.Store.AcquireView())
            {
                keyspace = view.FindKeyspace(KeyspaceName.Parse(name))?.Id;
            }

            _hub.Apply(random.Next(15) switch
            {
                0 => _hub.Commands.Create(name),
                1 => _hub.Commands.Drop(name),
                2 => _hub.Commands.Delete(keyspace ?? HubStore.Flags, $"k{random.Next(30)}"),
                3 => _hub.Commands.PutFor(keyspace ?? HubStore.Flags, $"k{random.Next(30)}", $"{i}", TimeSpan.FromMinutes(1)),
                5 => _hub.Commands.Transaction(keyspace ?? HubStore.Flags, [Mutation.DeletePrefix($"k{random.Next(4)}"), Mutation.Put("k1", "k"u8.ToArray())]),
                4 => _hub.Commands.Transaction(keyspace ?? HubStore.Flags, [Mutation.Put("a", new byte[9], new byte[3]), Mutation.Delete("b"), Mutation.Put("c", new byte[99])]),
                _ => _hub.Commands.Put(keyspace ?? HubStore.Flags, $"k{random.Next(30)}", new('v', random.Next(200))),
            });
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_store_that_is_written_and_cut_between_the_steps_has_no_damage(int seed)
    {
        var random = new Random(seed);
        Write(random, 300);
        for (var pass = 0; pass < 5; pass++)
        {
            var walk = new ScrubWalk(_hub.Store);
            var steps = 0;
            while (walk.Step(random.Next(1, 3_000)) > 0)
            {
                steps++;
                Write(random, random.Next(3));
                if (random.Next(20) == 0)
                {
                    _hub.Store.CutLog(new(random.NextInt64(1, _hub.Store.Progress.Position.Revision.Value + 2)), Stop);
                }

                if (random.Next(20) == 0)
                {
                    _hub.Store.Flush();
                }

                // A pass ends, although there is always more.
                Assert.True(steps < 5_000);
            }

            Assert.True(walk.Rows > 0);
        }
    }

    [Fact]
    public void A_pass_ends_although_more_is_written_at_each_step_than_it_looks_at()
    {
        Write(new(5), 50);
        var walk = new ScrubWalk(_hub.Store);
        var first = _hub.Store.Progress.Position.Revision.Value;
        for (var step = 0; walk.Step(1) > 0; step++)
        {
            Assert.True(step < 2_000);
            _hub.Apply([.. Enumerable.Range(0, 3).Select(i => _hub.Commands.Put(HubStore.Flags, "a", $"{step} {i}"))]);
        }

        // Those there were when the records' turn came.
        Assert.InRange(walk.Records, first, _hub.Store.Progress.Position.Revision.Value - 1);
    }

    [Theory]
    [InlineData("a row with another value", "is not what revision")]
    [InlineData("a row that no record made", "is not what revision")]
    [InlineData("a row of a revision to come", "is of revision")]
    [InlineData("a row that is none", "damaged")]
    [InlineData("a record that is gone", "lacks revision")]
    [InlineData("the last record gone", "lacks revision")]
    [InlineData("a record with another byte", "damaged")]
    [InlineData("an entry of a keyspace's log that is gone", "does not lead to")]
    [InlineData("an entry of a keyspace's log that leads elsewhere", "does not lead to")]
    public void What_was_changed_behind_the_stores_back_is_found(string change, string why)
    {
        Write(new(7), 200);
        var put = _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "v")).Revision;
        Write(new(8), 100);
        var last = _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "z", "v")).Revision;
        _hub.ApplyOne(_hub.Commands.Delete(HubStore.Flags, "gone"));
        var database = _hub.Store.Database;
        var batch = new WriteBatchBuilder();
        var (data, log, keyspaceLog) = (database.FamilyId(ColumnFamily.Data), database.FamilyId(ColumnFamily.Log), database.FamilyId(ColumnFamily.KeyspaceLog));
        var end = _hub.Store.Progress.Position.Revision;
        byte[] Key(string key) => [0, 0, 0, 1, .. System.Text.Encoding.ASCII.GetBytes(key)];
        byte[] Revision(Revision revision)
        {
            var bytes = new byte[8];
            StorageKeys.WriteRevision(bytes, revision);
            return bytes;
        }

        byte[] Row(Revision revision, string value)
        {
            var writer = new ByteWriter();
            DataRow.Write(writer, revision, default, default, System.Text.Encoding.ASCII.GetBytes(value));
            return writer.ToArray();
        }

        byte[] Entry(Revision revision)
        {
            var header = RecordView.Parse(_hub.Records()[(int)revision.Value - 1]).Header;
            var bytes = new byte[12];
            StorageKeys.WriteKeyspaceLog(bytes, header.Keyspace, header.Sequence);
            return bytes;
        }

        switch (change)
        {
            case "a row with another value":
                batch.Put(data, Key("z"), Row(last, "w"));
                break;
            case "a row that no record made":
                batch.Put(data, Key("y"), Row(last, "v"));
                break;
            case "a row of a revision to come":
                batch.Put(data, Key("y"), Row(new(end.Value + 5), "v"));
                break;
            case "a row that is none":
                batch.Put(data, Key("y"), [9, 9]);
                break;
            case "a record that is gone":
                // With its row, which would ask for it.
                Revision(put).CopyTo(batch.Delete(log, 8));
                Key("k").CopyTo(batch.Delete(data, 5));
                break;
            case "the last record gone":
                Revision(end).CopyTo(batch.Delete(log, 8));
                break;
            case "a record with another byte":
                var record = _hub.Records()[(int)end.Value - 1];
                record[^40] ^= 1;
                batch.Put(log, Revision(end), record);
                break;
            case "an entry of a keyspace's log that is gone":
                Entry(put).CopyTo(batch.Delete(keyspaceLog, 12));
                break;
            default:
                batch.Put(keyspaceLog, Entry(put), Revision(last));
                break;
        }

        database.Write(batch);
        _hub.Store.Publish(_hub.Store.Progress);
        var walk = new ScrubWalk(_hub.Store);
        var e = Assert.Throws<StorageException>(() =>
        {
            while (walk.Step(500) > 0)
            {
            }
        });
        Assert.Equal(StorageFault.Corrupt, e.Fault);
        Assert.Contains(why, e.Message, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
