using CsCheck;
using Quicksilver.Testing;

namespace Quicksilver.Model.Tests;

/// <summary>
/// Goal: a command is read back as it was written, and the one gate for foreign commands lets nothing else in. Method: random
/// transactions, golden files, each kind of bad command, cut and changed ones.
/// </summary>
public sealed class CommandTests
{
    private static readonly OperationId Id = new(new(1_700_000_000_000), 0x1122334455667788, 0x99aabbccddeeff00);
    private static readonly KeyspaceName Name = KeyspaceName.Parse("flags");

    private static readonly Gen<Key> Keys = Gen.Byte.Array[1, 40].Select(bytes => Key.From(bytes));

    private static readonly Gen<Mutation> Mutations = Gen.Select(Keys, Gen.Bool, Gen.Byte.Array[0, 200], Gen.Byte.Array[0, 40], (key, put, value, metadata) =>
        put ? Mutation.Put(key, value, metadata) : Mutation.Delete(key));

    private static readonly Gen<Condition> Conditions = Gen.Select(Keys, Gen.Int[0, 3], Gen.Long[0, long.MaxValue], (key, kind, revision) => kind switch
    {
        0 => Condition.Absent(key),
        1 => Condition.RevisionIs(key, new(revision)),
        2 => Condition.UnchangedSince(key, new(revision)),
        _ => Condition.PrefixUnchangedSince(key, new(revision)),
    });

    private static readonly Gen<Transaction> Transactions = Gen.Select(
        Gen.UInt[1, uint.MaxValue], Gen.Long[0, long.MaxValue], Gen.ULong, Gen.Bool, Conditions.Array[0, 10], Mutations.Array[1, 20],
        (keyspace, time, random, skip, conditions, mutations) => new Transaction(
            new(keyspace), new(new(time), random, ~random), skip ? CommandOptions.SkipUnchanged : CommandOptions.None, conditions,
            [.. mutations.DistinctBy(mutation => mutation.Key)]));

    private sealed record Transaction(KeyspaceId Keyspace, OperationId Id, CommandOptions Options, Condition[] Conditions, Mutation[] Mutations)
    {
        public byte[] Encode()
        {
            var writer = new ByteWriter();
            CommandWriter.WriteTransaction(writer, Keyspace, Id, Conditions, Mutations, Options);
            return writer.ToArray();
        }
    }

    private static byte[] Write(Action<ByteWriter> write)
    {
        var writer = new ByteWriter();
        write(writer);
        return writer.ToArray();
    }

    private static byte[] Put(params string[] keys) => Write(writer => CommandWriter.WriteTransaction(
        writer, new(1), Id, [Condition.RevisionIs("c", new(300))], [.. keys.Select(key => Mutation.Put(key, "value"u8.ToArray(), "meta"u8.ToArray()))]));

    /// <summary>A transaction whose parts are given as bytes.</summary>
    private static byte[] Raw(byte[] conditions, byte[] mutations, uint keyspace = 1, byte version = 1, byte kind = 1, byte options = 0) => Write(writer =>
    {
        writer.WriteByte(version);
        writer.WriteByte(kind);
        Id.Write(writer.Reserve(OperationId.SizeBytes));
        writer.WriteUInt32(keyspace);
        writer.WriteByte(options);
        writer.WriteRaw(conditions);
        writer.WriteRaw(mutations);
    });

    private static readonly byte[] NoCondition = [0];
    private static readonly byte[] OneDelete = [1, (byte)MutationKind.Delete, 1, (byte)'a'];

    /// <summary>Reads everything that apply would read.</summary>
    private static void Walk(ReadOnlySpan<byte> command)
    {
        var view = CommandView.Parse(command);
        switch (view.Kind)
        {
            case CommandKind.Transaction:
                var conditions = view.Conditions;
                for (var i = 0; i < view.ConditionCount; i++)
                {
                    ConditionView.Read(ref conditions);
                }

                conditions.ExpectEnd();
                var mutations = new ByteReader(view.MutationBytes);
                for (var left = mutations.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
                {
                    MutationFormat.Read(ref mutations);
                }

                mutations.ExpectEnd();
                break;
            case CommandKind.CreateKeyspace or CommandKind.UpdateKeyspace:
                view.ReadKeyspaceChange(out _, out _);
                break;
            case CommandKind.DeleteKeyspace:
                view.ReadKeyspaceName(out _);
                break;
        }
    }

    [Fact]
    public void Any_transaction_is_valid_and_read_back_as_it_was_written() => Transactions.Sample(transaction =>
    {
        var bytes = transaction.Encode();
        Assert.Null(CommandView.Validate(bytes));
        var view = CommandView.Parse(bytes);
        Assert.Equal(
            (CommandKind.Transaction, transaction.Id, transaction.Keyspace, transaction.Options, transaction.Conditions.Length),
            (view.Kind, view.OperationId, view.Keyspace, view.Options, view.ConditionCount));
        var conditions = view.Conditions;
        foreach (var condition in transaction.Conditions)
        {
            var read = ConditionView.Read(ref conditions);
            Assert.Equal((condition.Kind, condition.Revision), (read.Kind, read.Revision));
            Assert.Equal(condition.Key.Span, read.Key);
        }

        conditions.ExpectEnd();
        var mutations = new ByteReader(view.MutationBytes);
        Assert.Equal(transaction.Mutations.Length, mutations.ReadCount(Limits.MaxMutations, "the number of mutations"));
        foreach (var mutation in transaction.Mutations)
        {
            var read = MutationFormat.Read(ref mutations);
            Assert.Equal(mutation.Kind, read.Kind);
            Assert.Equal(mutation.Key.Span, read.Key);
            Assert.Equal(mutation.Value.Span, read.Value);
            Assert.Equal(mutation.Metadata.Span, read.Metadata);
        }

        mutations.ExpectEnd();
    });

    [Fact]
    public void The_bytes_of_every_kind_of_command_are_those_of_the_golden_files()
    {
        var settings = new KeyspaceSettings { ShardCount = 300, SkipUnchanged = true };
        var transaction = Golden.Check("command-transaction", Write(writer => CommandWriter.WriteTransaction(
            writer, new(0x01020304), Id,
            [
                Condition.Absent("a"), Condition.RevisionIs("b", new(1)), Condition.UnchangedSince("c", new(300)),
                Condition.PrefixUnchangedSince("d/", new(long.MaxValue)),
            ],
            [Mutation.Put("k", "value"u8.ToArray(), "meta"u8.ToArray()), Mutation.Put("empty", default), Mutation.Delete("gone")],
            CommandOptions.SkipUnchanged)));
        Assert.Null(CommandView.Validate(transaction));
        Assert.Equal(4, CommandView.Parse(transaction).ConditionCount);

        var create = Golden.Check("command-create-keyspace", Write(writer => CommandWriter.WriteCreateKeyspace(writer, Id, Name, settings)));
        CommandView.Parse(create).ReadKeyspaceChange(out var name, out var read);
        Assert.Equal((Name, settings), (name, read));

        var update = Golden.Check("command-update-keyspace", Write(writer => CommandWriter.WriteUpdateKeyspace(writer, Id, Name, settings)));
        CommandView.Parse(update).ReadKeyspaceChange(out name, out read);
        Assert.Equal((Name, settings), (name, read));

        var delete = Golden.Check("command-delete-keyspace", Write(writer => CommandWriter.WriteDeleteKeyspace(writer, Id, Name)));
        CommandView.Parse(delete).ReadKeyspaceName(out name);
        Assert.Equal(Name, name);

        var form = Golden.Check("command-form-cluster", Write(writer => CommandWriter.WriteFormCluster(writer, Id, new(1, 2), new(3, 4))));
        CommandView.Parse(form).ReadFormCluster(out var cluster, out var history);
        Assert.Equal((new ClusterUuid(1, 2), new HistoryId(3, 4)), (cluster, history));

        var raise = Golden.Check("command-raise-feature-level", Write(writer => CommandWriter.WriteRaiseFeatureLevel(writer, Id, 300)));
        Assert.Equal(300, CommandView.Parse(raise).ReadFeatureLevel());
        Assert.Equal(Id, CommandView.Parse(raise).OperationId);
    }

    [Fact]
    public void The_bytes_of_a_transaction_that_replaces_what_is_below_a_prefix_are_those_of_the_golden_file()
    {
        var command = Golden.Check("command-delete-prefix", Write(writer => CommandWriter.WriteTransaction(
            writer, new(1), Id, [], [Mutation.DeletePrefix("user/"), Mutation.DeletePrefix("old/"), Mutation.Put("user/1", "v"u8.ToArray()), Mutation.Delete("user")])));
        Assert.Null(CommandView.Validate(command));
        var view = CommandView.Parse(command);
        Assert.True(view.DeletesPrefixes);
        var reader = new ByteReader(view.MutationBytes);
        Assert.Equal(4, reader.ReadCount(10, "the number of mutations"));
        foreach (var (kind, key) in new[]
        {
            (MutationKind.DeletePrefix, "user/"), (MutationKind.DeletePrefix, "old/"), (MutationKind.Put, "user/1"), (MutationKind.Delete, "user"),
        })
        {
            var mutation = MutationFormat.Read(ref reader);
            Assert.Equal((kind, key), (mutation.Kind, System.Text.Encoding.ASCII.GetString(mutation.Key)));
        }

        reader.ExpectEnd();
    }

    [Fact]
    public void Only_a_transaction_whose_first_mutation_is_one_has_prefix_deletes()
    {
        Assert.False(CommandView.Parse(Raw(NoCondition, OneDelete)).DeletesPrefixes);
        Assert.False(CommandView.Parse(Raw(NoCondition, [0])).DeletesPrefixes);
        Assert.False(CommandView.Parse(Write(w => CommandWriter.WriteDeleteKeyspace(w, Id, Name))).DeletesPrefixes);
    }

    [Theory]
    [InlineData("user/", "user/1", true, true)]
    [InlineData("user/", "user/", true, true)]
    [InlineData("user/", "user", false, true)]
    [InlineData("user/", "u", false, true)]
    [InlineData("user/", "users", false, false)]
    [InlineData("user/", "x", false, false)]
    public void A_prefix_delete_changes_the_keys_that_begin_with_it_and_may_change_some_below_a_shorter_prefix(string prefix, string other, bool changes, bool changesBelow)
    {
        var reader = new ByteReader(Write(writer => MutationFormat.Write(writer, Mutation.DeletePrefix(prefix))));
        var mutation = MutationFormat.Read(ref reader);
        var bytes = System.Text.Encoding.ASCII.GetBytes(other);
        Assert.Equal((changes, changesBelow), (mutation.Changes(bytes), mutation.ChangesBelow(bytes)));
    }

    [Theory]
    [InlineData("an empty transaction", "no mutation")]
    [InlineData("conditions without a mutation", "no mutation")]
    [InlineData("10,001 mutations", "10001")]
    [InlineData("1,001 conditions", "1001")]
    [InlineData("17 conditions on changes", "17 conditions")]
    [InlineData("two mutations of one key", "two mutations")]
    [InlineData("a put and a delete of one key", "two mutations")]
    [InlineData("a value over the limit", "value")]
    [InlineData("metadata over the limit", "metadata")]
    [InlineData("a key over the limit", "key")]
    [InlineData("an empty key", "empty")]
    [InlineData("an empty key of a condition", "empty")]
    [InlineData("the catalog", "catalog")]
    [InlineData("a dropped keyspace", "hub itself")]
    [InlineData("a range delete", "kind")]
    [InlineData("an empty prefix", "empty")]
    [InlineData("a prefix delete behind a put", "come first")]
    [InlineData("a prefix delete between others", "come first")]
    [InlineData("17 prefix deletes", "more than 16")]
    [InlineData("two prefix deletes that overlap", "covers the other")]
    [InlineData("two prefix deletes that are the same", "covers the other")]
    [InlineData("form cluster", "hub itself")]
    [InlineData("raise feature level", "hub itself")]
    [InlineData("version 0", "version")]
    [InlineData("version 2", "version")]
    [InlineData("kind 0", "kind")]
    [InlineData("kind 7", "kind")]
    [InlineData("unknown options", "options")]
    [InlineData("condition kind 0", "condition kind")]
    [InlineData("condition kind 5", "condition kind")]
    [InlineData("mutation kind 0", "mutation kind")]
    [InlineData("bytes after the end", "after the end")]
    [InlineData("a negative time", "negative")]
    [InlineData("more bytes than a transaction may have", "limit")]
    [InlineData("nothing", "Malformed")]
    public void A_bad_command_is_refused_and_the_reason_named(string what, string reason)
    {
        byte[] Delete(string key) => [(byte)MutationKind.Delete, (byte)key.Length, .. System.Text.Encoding.ASCII.GetBytes(key)];
        byte[] Prefix(string prefix) => [(byte)MutationKind.DeletePrefix, (byte)prefix.Length, .. System.Text.Encoding.ASCII.GetBytes(prefix)];
        byte[] Put(int key, int metadata, int value) => Write(writer => MutationFormat.Write(writer, MutationKind.Put, new byte[key], new byte[metadata], new byte[value]));
        var command = what switch
        {
            "an empty transaction" => Raw(NoCondition, [0]),
            "conditions without a mutation" => Raw([1, 1, 1, (byte)'a', 0], [0]),
            "10,001 mutations" => Raw(NoCondition, [.. Write(w => w.WriteVarint(10_001)), .. Enumerable.Range(0, 10_001).SelectMany(i => Delete($"{i}"))]),
            "1,001 conditions" => Raw([.. Write(w => w.WriteVarint(1_001)), .. Enumerable.Repeat<byte[]>([1, 1, (byte)'a', 0], 1_001).SelectMany(c => c)], OneDelete),
            "17 conditions on changes" => Raw(
                [17, .. Enumerable.Range(0, 17).SelectMany(i => (byte[])[(byte)((int)ConditionKind.KeyUnchangedSince + (i % 2)), 1, (byte)'a', 0])], OneDelete),
            "two mutations of one key" => Raw(NoCondition, [3, .. Delete("a"), .. Delete("b"), .. Delete("a")]),
            "a put and a delete of one key" => Raw(NoCondition, [2, (byte)MutationKind.Delete, 1, 0, .. Put(1, 0, 1)]),
            "a value over the limit" => Raw(NoCondition, [1, .. Put(1, 0, Limits.MaxValueBytes + 1)]),
            "metadata over the limit" => Raw(NoCondition, [1, .. Put(1, Limits.MaxMetadataBytes + 1, 0)]),
            "a key over the limit" => Raw(NoCondition, [1, .. Put(Limits.MaxKeyBytes + 1, 0, 0)]),
            "an empty key" => Raw(NoCondition, [1, .. Put(0, 0, 0)]),
            "an empty key of a condition" => Raw([1, 1, 0, 0], OneDelete),
            "the catalog" => Raw(NoCondition, OneDelete, keyspace: 0),
            "a dropped keyspace" => Raw(NoCondition, [1, (byte)MutationKind.DropKeyspace, 0, 0, 0, 1]),
            "a range delete" => Raw(NoCondition, [1, (byte)MutationKind.DeleteRange, 1, (byte)'a']),
            "an empty prefix" => Raw(NoCondition, [1, (byte)MutationKind.DeletePrefix, 0, 0]),
            "a prefix delete behind a put" => Raw(NoCondition, [2, .. Put(1, 0, 1), .. Prefix("a")]),
            "a prefix delete between others" => Raw(NoCondition, [3, .. Prefix("a"), .. Delete("b"), .. Prefix("c")]),
            "17 prefix deletes" => Raw(NoCondition, [17, .. Enumerable.Range(0, 17).SelectMany(i => Prefix($"{(char)('a' + i)}"))]),
            "two prefix deletes that overlap" => Raw(NoCondition, [2, .. Prefix("a/b"), .. Prefix("a")]),
            "two prefix deletes that are the same" => Raw(NoCondition, [2, .. Prefix("a"), .. Prefix("a")]),
            "form cluster" => Write(w => CommandWriter.WriteFormCluster(w, Id, new(1, 2), new(3, 4))),
            "raise feature level" => Write(w => CommandWriter.WriteRaiseFeatureLevel(w, Id, 2)),
            "version 0" => Raw(NoCondition, OneDelete, version: 0),
            "version 2" => Raw(NoCondition, OneDelete, version: 2),
            "kind 0" => Raw(NoCondition, OneDelete, kind: 0),
            "kind 7" => Raw(NoCondition, OneDelete, kind: 7),
            "unknown options" => Raw(NoCondition, OneDelete, options: 2),
            "condition kind 0" => Raw([1, 0, 1, (byte)'a', 0], OneDelete),
            "condition kind 5" => Raw([1, 5, 1, (byte)'a', 0], OneDelete),
            "mutation kind 0" => Raw(NoCondition, [1, 0, 1, (byte)'a']),
            "bytes after the end" => [.. Raw(NoCondition, OneDelete), 0],
            "a negative time" => [1, 1, 0x80, .. Raw(NoCondition, OneDelete)[3..]],
            "more bytes than a transaction may have" =>
                Raw(NoCondition, [5, .. Enumerable.Range(0, 5).SelectMany(i => Put(1 + i, 0, Limits.MaxValueBytes))]),
            _ => [],
        };
        Assert.Contains(reason, CommandView.Validate(command), StringComparison.Ordinal);
    }

    [Fact]
    public void The_raw_commands_of_these_tests_are_good_but_for_what_is_changed()
    {
        Assert.Null(CommandView.Validate(Raw(NoCondition, OneDelete)));
        Assert.Null(CommandView.Validate(Raw([1, 1, 1, (byte)'a', 0], OneDelete)));
        Assert.Null(CommandView.Validate(Raw(NoCondition, OneDelete, options: 1)));
    }

    [Fact]
    public void A_command_of_any_kind_cut_off_anywhere_or_with_a_byte_after_its_end_is_refused()
    {
        foreach (var command in new[]
        {
            Put("a", "b"), Write(w => CommandWriter.WriteCreateKeyspace(w, Id, Name, new() { ShardCount = 300 })),
            Write(w => CommandWriter.WriteUpdateKeyspace(w, Id, Name, KeyspaceSettings.Default)), Write(w => CommandWriter.WriteDeleteKeyspace(w, Id, Name)),
        })
        {
            Assert.Null(CommandView.Validate(command));
            for (var length = 0; length < command.Length; length++)
            {
                Assert.NotNull(CommandView.Validate(command.AsSpan(0, length)));
            }

            Assert.NotNull(CommandView.Validate([.. command, 0]));
        }
    }

    [Theory]
    [InlineData("Flags")]
    [InlineData("")]
    [InlineData("-flags")]
    [InlineData("fl ags")]
    [InlineData("flägs")]
    [InlineData("1234567890123456789012345678901234567890123456789012345678901234")]
    public void A_keyspace_command_with_a_name_that_is_none_is_refused(string name)
    {
        foreach (var kind in new[] { CommandKind.CreateKeyspace, CommandKind.UpdateKeyspace, CommandKind.DeleteKeyspace })
        {
            var command = Write(writer =>
            {
                writer.WriteByte(CommandWriter.FormatVersion);
                writer.WriteByte((byte)kind);
                Id.Write(writer.Reserve(OperationId.SizeBytes));
                writer.WriteBytes(System.Text.Encoding.Latin1.GetBytes(name));
                if (kind != CommandKind.DeleteKeyspace)
                {
                    KeyspaceSettingsFormat.Write(writer, KeyspaceSettings.Default);
                }
            });
            Assert.NotNull(CommandView.Validate(command));
        }
    }

    [Theory]
    [InlineData(new byte[] { 2, 1, 0 })]
    [InlineData(new byte[] { 1, 0, 0 })]
    [InlineData(new byte[] { 1, 0x81, 0x08, 0 })]
    [InlineData(new byte[] { 1, 1, 2 })]
    public void Settings_of_another_version_or_out_of_range_are_refused(byte[] settings)
    {
        var good = Write(writer => CommandWriter.WriteCreateKeyspace(writer, Id, Name, KeyspaceSettings.Default));
        Assert.NotNull(CommandView.Validate([.. good[..^3], .. settings]));
    }

    [Fact]
    public void Random_bytes_are_refused_and_never_throw() =>
        Gen.OneOf(Gen.Byte.Array[0, 100], Gen.Select(Gen.Byte[1, 6], Gen.Byte.Array[24, 100], (kind, rest) => (byte[])[1, kind, .. rest]))
            .Sample(bytes => AssertJudged(bytes), iter: 20_000);

    [Fact]
    public void Changed_commands_are_judged_without_an_exception_and_those_let_in_can_be_read_to_the_end() =>
        Gen.Select(Transactions, Gen.Select(Gen.Int[0, 10_000], Gen.Byte, Gen.Int[0, 2]).Array[1, 6]).Sample(
            (transaction, changes) =>
            {
                var bytes = transaction.Encode().ToList();
                foreach (var (where, value, how) in changes)
                {
                    var at = where % bytes.Count;
                    switch (how)
                    {
                        case 0: bytes[at] = value; break;
                        case 1: bytes.Insert(at, value); break;
                        case 2 when bytes.Count > 1: bytes.RemoveAt(at); break;
                    }
                }

                AssertJudged([.. bytes]);
            },
            iter: 5_000);

    private static void AssertJudged(byte[] bytes)
    {
        if (CommandView.Validate(bytes) is null)
        {
            Walk(bytes);
        }
    }

    [Fact]
    public void A_short_command_that_claims_many_mutations_costs_little_memory()
    {
        var command = Raw(NoCondition, [.. Write(writer => writer.WriteVarint(Limits.MaxMutations)), 1]);
        CommandView.Validate(command);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.NotNull(CommandView.Validate(command));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 20_000);
    }

    [Fact]
    public void A_transaction_outside_the_limits_is_not_even_written()
    {
        void Refused(IReadOnlyCollection<Condition> conditions, IReadOnlyCollection<Mutation> mutations)
        {
            var writer = new ByteWriter();
            writer.WriteByte(7);
            Assert.Throws<ArgumentException>(() => CommandWriter.WriteTransaction(writer, new(1), Id, conditions, mutations));
            Assert.Equal(1, writer.Length);
        }

        var good = Mutation.Delete("a");
        Refused([], []);
        Refused([Condition.Absent("a")], []);
        Refused([], [good, Mutation.Put("a", default)]);
        Refused([], [default]);
        Refused([default], [good]);
        Refused([], [.. Enumerable.Range(0, Limits.MaxMutations + 1).Select(i => Mutation.Delete($"{i}"))]);
        Refused([.. Enumerable.Repeat(Condition.Absent("a"), Limits.MaxConditions + 1)], [good]);
        Refused([.. Enumerable.Repeat(Condition.UnchangedSince("a", new(1)), 9), .. Enumerable.Repeat(Condition.PrefixUnchangedSince("a", new(1)), 8)], [good]);
        Refused([], [.. Enumerable.Range(0, 4).Select(i => Mutation.Put($"{i}", new byte[Limits.MaxValueBytes]))]);
        Refused([], [good, Mutation.DeletePrefix("b")]);
        Refused([], [Mutation.DeletePrefix("b"), Mutation.DeletePrefix("bc")]);
        Refused([], [.. Enumerable.Range(0, Limits.MaxPrefixDeletes + 1).Select(i => Mutation.DeletePrefix($"{(char)('a' + i)}"))]);
        Assert.Throws<ArgumentException>(() => Mutation.Put("a", new byte[Limits.MaxValueBytes + 1]));
        Assert.Throws<ArgumentException>(() => Mutation.Put("a", default, new byte[Limits.MaxMetadataBytes + 1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Condition.UnchangedSince("a", new(-1)));
        Assert.Throws<ArgumentException>(() => CommandWriter.WriteCreateKeyspace(new(), Id, Name, new() { ShardCount = 0 }));
        Assert.Throws<ArgumentException>(() => CommandWriter.WriteUpdateKeyspace(new(), Id, Name, new() { ShardCount = 1025 }));
    }

    [Fact]
    public void A_transaction_at_every_limit_is_valid()
    {
        var most = Write(writer => CommandWriter.WriteTransaction(
            writer, new(1), Id,
            [
                .. Enumerable.Repeat(Condition.UnchangedSince("a", new(1)), Limits.MaxChangeConditions),
                .. Enumerable.Repeat(Condition.Absent("a"), Limits.MaxConditions - Limits.MaxChangeConditions),
            ],
            [.. Enumerable.Range(0, Limits.MaxMutations).Select(i => Mutation.Delete($"{i}"))]));
        Assert.Null(CommandView.Validate(most));
        var prefixes = Write(writer => CommandWriter.WriteTransaction(
            writer, new(1), Id, [],
            [
                .. Enumerable.Range(0, Limits.MaxPrefixDeletes).Select(i => Mutation.DeletePrefix(new string((char)('a' + i), Limits.MaxKeyBytes))),
                .. Enumerable.Range(0, Limits.MaxMutations - Limits.MaxPrefixDeletes).Select(i => Mutation.Delete($"{i}")),
            ]));
        Assert.Null(CommandView.Validate(prefixes));
        var largest = Write(writer => CommandWriter.WriteTransaction(
            writer, new(1), Id, [],
            [
                .. Enumerable.Range(0, 3).Select(i => Mutation.Put($"{i}", new byte[Limits.MaxValueBytes], new byte[Limits.MaxMetadataBytes])),
                Mutation.Put(new string('k', Limits.MaxKeyBytes), new byte[Limits.MaxValueBytes - 6_000]),
            ]));
        Assert.Null(CommandView.Validate(largest));
    }
}
