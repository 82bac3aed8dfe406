using System.Text;
using CsCheck;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: the store is what a dictionary would be, with dense revisions, over restarts. Method: random sequences of writes,
/// deletions of prefixes, creates, drops, flushes and reopenings on a real database beside a simple model of it.
/// </summary>
public sealed class ModelTests
{
    private static readonly Gen<(int What, int Keyspace, int Key, int Value, int Count)> Step =
        Gen.Select(Gen.Int[0, 19], Gen.Int[0, 4], Gen.Int[0, 6], Gen.Int[0, 3], Gen.Int[1, 4]);

    [Fact]
    public void A_store_is_what_its_model_is_after_any_sequence_of_operations() =>
        Step.Array[1, 60].Sample(
            steps =>
            {
                using var directory = new TempDirectory();
                using var hub = new HubStore(directory.Sub("hub"));
                var model = new Model();
                foreach (var (what, keyspace, key, value, count) in steps)
                {
                    var name = $"n{keyspace}";
                    switch (what)
                    {
                        case 0:
                            hub.Reopen();
                            model.AssertSame(hub);
                            break;
                        case 1:
                            hub.Store.Flush();
                            break;
                        case 2 or 3:
                            Assert.Equal(model.Create(name), hub.ApplyOne(hub.Commands.Create(name)));
                            break;
                        case 4:
                            Assert.Equal(model.Drop(name), hub.ApplyOne(hub.Commands.Drop(name)));
                            break;
                        case 5 or 6:
                            // What was below a prefix is replaced, in one entry with a put before it and one behind it.
                            var of = new KeyspaceId((uint)(1 + keyspace));
                            var prefix = key % 3 == 0 ? "k" : $"k{key}";
                            var put = new[] { ((string?)$"{value}", $"k{(key + count) % 7}") };
                            var (before, replaced, after) = (model.Write(of, put), model.Write(of, put, prefix), model.Write(of, put));
                            Mutation Put() => Mutation.Put(put[0].Item2, Encoding.UTF8.GetBytes($"{value}"));
                            Assert.Equal(
                                [before, replaced, after],
                                hub.Apply(
                                    hub.Commands.Transaction(of, [Put()]), hub.Commands.Transaction(of, [Mutation.DeletePrefix(prefix), Put()]),
                                    hub.Commands.Transaction(of, [Put()])));
                            break;
                        default:
                            // Several transactions in one entry, several keys in one transaction.
                            var id = new KeyspaceId((uint)(1 + keyspace));
                            var mutations = Enumerable.Range(0, count)
                                .Select(i => ((key + i + what) % 4 == 0 ? null : $"{value}-{i}", Key: $"k{(key + i) % 7}")).ToArray();
                            var transactions = Enumerable.Range(0, 1 + (what % 3)).Select(_ => mutations).ToArray();
                            var expected = transactions.Select(transaction => model.Write(id, transaction)).ToArray();
                            var outcomes = hub.Apply([.. transactions.Select(transaction => hub.Commands.Transaction(id, [.. transaction.Select(m =>
                                m.Item1 is null ? Mutation.Delete(m.Key) : Mutation.Put(m.Key, Encoding.UTF8.GetBytes(m.Item1)))]))]);
                            Assert.Equal(expected, outcomes);
                            break;
                    }
                }

                model.AssertSame(hub);
                var hashes = hub.Hashes();
                hub.Reopen();
                model.AssertSame(hub);
                Assert.Equal(hashes, hub.Hashes());
            },
            iter: 40, threads: 1);

    private sealed class Model
    {
        private readonly Dictionary<string, uint> _names = new() { ["flags"] = 1 };
        private readonly Dictionary<uint, SortedDictionary<string, (string Value, long Revision)>> _rows = new() { [1] = new(StringComparer.Ordinal) };
        private readonly Dictionary<uint, List<long>> _logs = new() { [0] = [1], [1] = [] };
        private uint _next = 2;
        private long _revision = 1;

        public CommitOutcome Create(string name)
        {
            if (_names.ContainsKey(name))
            {
                return CommitOutcome.Unchanged(new(_revision));
            }

            _names[name] = _next;
            _rows[_next] = new(StringComparer.Ordinal);
            _logs[_next++] = [];
            _logs[0].Add(++_revision);
            return CommitOutcome.Committed(new(_revision));
        }

        public CommitOutcome Drop(string name)
        {
            if (!_names.Remove(name, out var id))
            {
                return CommitOutcome.KeyspaceNotFound;
            }

            _rows.Remove(id);
            _logs.Remove(id);
            _logs[0].Add(++_revision);
            return CommitOutcome.Committed(new(_revision));
        }

        public CommitOutcome Write(KeyspaceId keyspace, (string? Value, string Key)[] mutations, string? deletedPrefix = null)
        {
            if (!_rows.TryGetValue(keyspace.Value, out var rows))
            {
                return CommitOutcome.KeyspaceNotFound;
            }

            _logs[keyspace.Value].Add(++_revision);
            if (deletedPrefix is not null)
            {
                rows.Keys.Where(key => key.StartsWith(deletedPrefix, StringComparison.Ordinal)).ToList().ForEach(key => rows.Remove(key));
            }

            foreach (var (value, key) in mutations)
            {
                if (value is null)
                {
                    rows.Remove(key);
                }
                else
                {
                    rows[key] = (value, _revision);
                }
            }

            return CommitOutcome.Committed(new(_revision));
        }

        public void AssertSame(HubStore hub)
        {
            using var view = hub.Store.AcquireView();
            Assert.Equal(_revision, view.Position.Revision.Value);
            for (uint id = 1; id < _next + 2; id++)
            {
                var rows = new List<KeyValuePair<string, (string, long)>>();
                using (var cursor = view.OpenRows(new(id)))
                {
                    for (var more = cursor.Seek(default); more; more = cursor.Next())
                    {
                        rows.Add(new(Encoding.UTF8.GetString(cursor.Key), (Encoding.UTF8.GetString(cursor.Row.Value), cursor.Row.Revision.Value)));
                    }
                }

                Assert.Equal(_rows.GetValueOrDefault(id)?.AsEnumerable() ?? [], rows);
                Assert.Equal(_rows.ContainsKey(id), view.FindKeyspace(new KeyspaceId(id)) is not null);
            }

            foreach (var (id, log) in _logs)
            {
                Assert.Equal(log, ChangeLog.ReadKeyspaceRevisions(view, new(id), new(1), int.MaxValue).Select(revision => revision.Value));
                Assert.Equal(log.Count, view.FindKeyspace(new KeyspaceId(id))!.Sequence.Value);
            }

            for (var n = 0; n < 5; n++)
            {
                Assert.Equal(
                    _names.TryGetValue($"n{n}", out var id) ? new KeyspaceId(id) : null, view.FindKeyspace(KeyspaceName.Parse($"n{n}"))?.Id);
            }

            Assert.Equal(
                Enumerable.Range(1, (int)_revision).Select(revision => (long)revision),
                hub.Records().Select(record => RecordView.Parse(record).Header.Revision.Value));
        }
    }
}
