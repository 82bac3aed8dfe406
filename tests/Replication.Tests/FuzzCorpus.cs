using System.Buffers.Binary;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>A valid input of a decoder, and how it is read. Reading throws what the decoder promises, and something else where a promise is broken.</summary>
internal sealed record FuzzInput(byte[] Bytes, Action<byte[]> Read);

/// <summary>A decoder of bytes that come from another process or from a disk.</summary>
/// <param name="Refusals">Everything that it may throw.</param>
/// <param name="FixedBytes">Memory that it may take whatever the input is, beside a multiple of the input.</param>
internal sealed record FuzzTarget(string Name, Type[] Refusals, FuzzInput[] Inputs, long FixedBytes = 0);

/// <summary>
/// Every decoder with valid inputs, made by a real hub: all kinds of records, pages, snapshots, commands and rows. What needs a store is read
/// by a real replica that has the first ten revisions, and that is never changed by it.
/// </summary>
public sealed class FuzzCorpus : IDisposable
{
    /// <summary>All decoders.</summary>
    internal static readonly string[] Names =
    [
        "record", "mutations", "page", "record that fits its chain", "packed page", "block", "block that fits its hash", "header of a snapshot", "command", "commands",
        "progress", "state of a keyspace", "cut of a keyspace", "catalog row", "data row",
    ];

    /// <summary>Largest page before it was packed, bytes: docs/log-format.md.</summary>
    internal const int MaxRawBytes = (1024 * 1024) + RecordFormat.MaxBytes + 16;

    /// <summary>Revisions of the replica.</summary>
    private const int Had = 10;

    /// <summary>Where the keyspace stands in a record.</summary>
    private const int KeyspaceOffset = 18;

    private static readonly Type[] s_malformed = [typeof(MalformedDataException)];
    private static readonly Type[] s_damaged = [typeof(StorageException)];

    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly ReplicaStore _replica;
    private readonly PageApplier _applier;
    private readonly StoreProgress _before;
    private readonly LogPage _page;
    private readonly Dictionary<KeyspaceId, ChainHash> _chains = [];
    private readonly List<byte[]> _commands = [];
    private readonly Dictionary<string, FuzzTarget> _targets;

    public FuzzCorpus()
    {
        _hub = new(_directory.Sub("hub"));
        Write();
        var records = _hub.Records();
        var progress = _hub.Store.Progress;
        _replica = new(_directory.Sub("replica"));
        _applier = new(_replica.Store);
        _before = _applier.Apply(Pages.Of(progress, 1, records[..Had]));
        using (var replica = _replica.Store.AcquireView())
        {
            for (uint id = 0; id < 3; id++)
            {
                _chains.Add(new(id), replica.FindKeyspace(new KeyspaceId(id))!.Chain);
            }
        }

        // More than there can be: whatever passes every check is given up at the end.
        _page = Pages.Of(progress, Had + 1, records[Had..]) with { To = new(100_000) };

        // So that there are keyspace cuts as well.
        _hub.Store.CutLog(new(5), CancellationToken.None);
        using var view = _hub.Store.AcquireView();
        FuzzTarget[] targets =
        [
            new("record", s_malformed, [.. records.Select(record => new FuzzInput(record, ReadRecord))]),
            new("mutations", s_malformed, [.. records.Select(record => new FuzzInput(RecordView.Parse(record).MutationBytes.ToArray(), ReadMutations))]),
            new("page", s_malformed, [.. PagesOf(records[Had..])]),
            new("record that fits its chain", s_malformed, [.. Sealed(progress, records[..Had])]),
            new("packed page", s_malformed, [.. Packed(progress, records)], FixedBytes: MaxRawBytes + (64 * 1024)),
            new("block", s_malformed, [.. Blocks(view, isSealed: true)]),
            new("block that fits its hash", s_malformed, [.. Blocks(view, isSealed: false)]),
            new("header of a snapshot", s_malformed, [.. Headers(progress)]),
            new("command", s_malformed, [.. Commands().Select(command => new FuzzInput(command, ReadCommand))]),
            new("commands", s_malformed, [.. Batches()]),
            new("progress", [typeof(MalformedDataException), typeof(StorageException)], [.. Progresses(progress)]),
            new("state of a keyspace", s_damaged, [.. States(view)]),
            new("cut of a keyspace", s_malformed, [.. Cuts(view)]),
            new("catalog row", s_malformed, [.. CatalogRows()]),
            new("data row", s_damaged, [.. Rows()]),
        ];
        _targets = targets.ToDictionary(target => target.Name);
        Assert.Equal(Names, targets.Select(target => target.Name));
    }

    internal FuzzTarget Find(string name) => _targets[name];

    /// <summary>Ten revisions that the replica gets, and then one of every kind.</summary>
    private void Write()
    {
        Apply(_hub.Commands.Create("other", new() { ShardCount = 300, SkipUnchanged = true }));
        for (var i = 0; i < Had - 2; i++)
        {
            Apply(_hub.Commands.Put(new((uint)(1 + (i % 2))), $"k{i}", new((char)('a' + i), 60)));
        }

        Apply(_hub.Commands.Transaction(
            HubStore.Flags,
            [Mutation.Put("m", "value"u8.ToArray(), "metadata"u8.ToArray()), Mutation.Put("empty", default), Mutation.Delete("k0")],
            [Condition.Absent("x"), Condition.RevisionIs("k2", new(5)), Condition.PrefixUnchangedSince("y", new(3)), Condition.UnchangedSince("z", new(4))],
            CommandOptions.SkipUnchanged));
        Apply(_hub.Commands.Update("other", new() { ShardCount = 2 }));
        Apply(_hub.Commands.Create("third"));
        Apply(_hub.Commands.Put(new(3), "a", "b"));
        Apply(_hub.Commands.Drop("third"));
        Apply(_hub.Commands.Delete(HubStore.Flags, "k2"));
        Apply(_hub.Commands.Transaction(HubStore.Flags, [Mutation.DeletePrefix("k4"), Mutation.DeletePrefix("m"), Mutation.Put("k4", "again"u8.ToArray())]));
        for (var i = 0; i < 10; i++)
        {
            Apply(_hub.Commands.Put(new((uint)(1 + (i % 2))), $"n{i}", new((char)('a' + i), 20 * i)));
        }
    }

    private void Apply(ReadOnlyMemory<byte> command)
    {
        Assert.True(_hub.ApplyOne(command).IsSuccess);
        _commands.Add(command.ToArray());
    }

    private static byte[] Bytes(Action<ByteWriter> write)
    {
        var writer = new ByteWriter();
        write(writer);
        return writer.ToArray();
    }

    /// <summary>What was let in must be readable to its end.</summary>
    private static void MustRead(Action read)
    {
        try
        {
            read();
        }
        catch (Exception e)
        {
            Assert.Fail($"It was let in, and cannot be read: {e}");
        }
    }

    private static void ReadRecord(byte[] bytes)
    {
        var record = RecordView.Parse(bytes);
        var mutations = record.MutationBytes.ToArray();
        Assert.True(record.Principal.Length + mutations.Length < bytes.Length);
        _ = (record.ComputeDigest(), record.LogChain, record.KeyspaceChain);
        MustRead(() => ReadMutations(mutations));
    }

    private static void ReadMutations(byte[] bytes)
    {
        var reader = new ByteReader(bytes);
        for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
        {
            var mutation = MutationFormat.Read(ref reader);
            Assert.InRange(mutation.Key.Length, mutation.Kind == MutationKind.DropKeyspace ? 0 : 1, Limits.MaxKeyBytes);
            Assert.InRange(mutation.Metadata.Length, 0, Limits.MaxMetadataBytes);
            Assert.InRange(mutation.Value.Length, 0, Limits.MaxValueBytes);
        }

        reader.ExpectEnd();
    }

    private List<FuzzInput> PagesOf(List<byte[]> records) =>
    [
        .. new[] { records, records[..1], records[..4] }.Select(some => new FuzzInput(Pages.Pack(some).Memory.ToArray(), bytes => ApplyAndGiveUp(new(bytes)))),
    ];

    /// <summary>Applies records behind what the replica has. They are given up at the end at the latest, and the store stays as it was.</summary>
    internal void ApplyAndGiveUp(Payload records)
    {
        try
        {
            _applier.Apply(_page with { Records = records });
        }
        catch (MalformedDataException e)
        {
            Assert.Same(_before, _replica.Store.Progress);
            Assert.Null(_replica.Store.Failure);
            if (e.Message.StartsWith("The page promises", StringComparison.Ordinal))
            {
                // Each of its records would have been taken.
                return;
            }

            throw;
        }

        Assert.Fail("A page was applied that cannot be whole.");
    }

    /// <summary>The next record, of every kind, without its chains: they are put behind it after it was changed, so that all of it is looked at.</summary>
    private List<FuzzInput> Sealed(StoreProgress progress, List<byte[]> had)
    {
        byte[] create = CatalogRow.Write(new(3), KeyspaceSettings.Default, new(Had + 1));
        byte[] update = CatalogRow.Write(new(2), new() { ShardCount = 5 }, new(2));
        byte[] put = ForgedLog.Puts(("a", "value"u8.ToArray()), ("b", []), ("c", new byte[300]));
        byte[] delete = [2, (byte)MutationKind.Delete, 1, (byte)'a', (byte)MutationKind.Delete, 2, (byte)'k', (byte)'0'];
        byte[] drop = [2, (byte)MutationKind.Delete, 5, .. "other"u8, (byte)MutationKind.DropKeyspace, 0, 0, 0, 2];
        byte[] prefix = [2, (byte)MutationKind.DeletePrefix, 2, (byte)'k', 0xff, (byte)MutationKind.Delete, 1, (byte)'a'];
        byte[] extension = [1, 0x00, 0x07, 2, 0xaa, 0xbb];
        Action<ForgedLog>[] ways =
        [
            log => log.Add(HubStore.Flags, put),
            log => log.Add(HubStore.Flags, put, extensions: extension),
            log => log.Add(new(2), delete),
            log => log.Add(HubStore.Flags, prefix),
            log => log.Add(KeyspaceId.Catalog, ForgedLog.Puts(("third", create))),
            log => log.Add(KeyspaceId.Catalog, ForgedLog.Puts(("other", update))),
            log => log.Add(KeyspaceId.Catalog, drop),
        ];
        var inputs = new List<FuzzInput>();
        foreach (var add in ways)
        {
            var log = ForgedLog.After(progress, had);
            add(log);
            inputs.Add(new(log.Records[^1][..^RecordFormat.ChainBytes], covered => ApplyAndGiveUp(Pages.Pack([Seal(covered)]))));
        }

        return inputs;
    }

    private byte[] Seal(byte[] covered)
    {
        var keyspace = covered.Length < KeyspaceOffset + 4 ? default : new KeyspaceId(BinaryPrimitives.ReadUInt32BigEndian(covered.AsSpan(KeyspaceOffset)));
        var digest = ChainHash.DigestOf(covered);
        return Bytes(writer =>
        {
            writer.WriteRaw(covered);
            _before.Chain.Append(digest).Write(writer.Reserve(ChainHash.SizeBytes));
            _chains.GetValueOrDefault(keyspace).Append(digest).Write(writer.Reserve(ChainHash.SizeBytes));
        });
    }

    /// <summary>The second page of a session, whose dictionary is the first, with the size before it was packed in front.</summary>
    private List<FuzzInput> Packed(StoreProgress progress, List<byte[]> records)
    {
        var inputs = new List<FuzzInput>();
        foreach (var count in new[] { records.Count - Had, 6 })
        {
            var source = new PageCompression();
            var first = source.Compress(Pages.Of(progress, 1, records[..Had]));
            var second = source.Compress(Pages.Of(progress, Had + 1, records[Had..(Had + count)]));
            Assert.Equal((PageEncoding.Zstd, PageEncoding.Zstd), (first.Encoding, second.Encoding));
            var input = Bytes(writer =>
            {
                writer.WriteUInt32((uint)second.RawBytes);
                writer.WriteRaw(second.Records.Span);
            });
            inputs.Add(new(input, bytes =>
            {
                if (bytes.Length < 4)
                {
                    return;
                }

                var session = new PageCompression();
                session.Decompress(first);
                var size = BinaryPrimitives.ReadInt32BigEndian(bytes);
                var page = session.Decompress(second with { RawBytes = size, Records = new(bytes.AsMemory(4)) });
                Assert.Equal((size, PageEncoding.None), (page.Records.Length, page.Encoding));
                ApplyAndGiveUp(page.Records);
            }));
        }

        return inputs;
    }

    private static List<FuzzInput> Blocks(View view, bool isSealed)
    {
        var inputs = new List<FuzzInput>();
        for (var section = SnapshotSection.Rows; section < SnapshotSection.End; section++)
        {
            byte[] after = [];
            for (var more = true; more;)
            {
                var (asked, of) = (after, section);
                var block = SnapshotBlock.Read(view, of, asked, 900).ToArray();
                var (last, isLast) = SnapshotBlock.Parse(block, of, asked, (_, _) => { });
                inputs.Add(isSealed
                    ? new FuzzInput(block, bytes => ReadBlock(bytes, of, asked))
                    : new FuzzInput(block[..^ChainHash.SizeBytes], body => ReadBlock(ForgedBlock.Seal(body), of, asked)));
                (after, more) = (last ?? [], !isLast);
            }
        }

        return inputs;
    }

    private static void ReadBlock(byte[] block, SnapshotSection section, byte[] after)
    {
        var (rows, bytes, previous) = (0L, 0L, after);
        var (last, isLast) = SnapshotBlock.Parse(block, section, after, (key, value) =>
        {
            rows++;
            bytes += key.Length + value.Length;
            Assert.InRange(key.Length, 1, SnapshotBlock.MaxKeyBytes);
            Assert.InRange(value.Length, 0, RecordFormat.MaxBytes);
            Assert.True(previous.AsSpan().SequenceCompareTo(key) < 0);
            previous = key.ToArray();
        });
        Assert.True(bytes < block.Length);
        Assert.True(rows > 0 || isLast);
        Assert.True(rows > 0 ? previous.AsSpan().SequenceEqual(last) : last is null);
    }

    private static IEnumerable<FuzzInput> Headers(StoreProgress progress)
    {
        SnapshotHeader[] headers =
        [
            new(NodeId.Parse("hub-0"), progress, new(3), 1_000),
            new(NodeId.Parse("a.b_c-1"), progress with { FeatureLevel = 300, FullCopies = 70_000 }, default, 0),
        ];
        return headers.Select(header => new FuzzInput(Bytes(header.Write), bytes =>
        {
            var read = SnapshotHeader.Read(bytes);
            MustRead(() => Assert.Equal(read, SnapshotHeader.Read(Bytes(read.Write))));
        }));
    }

    private List<byte[]> Commands()
    {
        var id = new OperationId(new(1_700_000_000_000), 1, 2);
        return
        [
            .. _commands,
            Bytes(writer => CommandWriter.WriteFormCluster(writer, id, new(1, 2), new(3, 4))),
            Bytes(writer => CommandWriter.WriteRaiseFeatureLevel(writer, id, 300)),
        ];
    }

    private static void ReadCommand(byte[] bytes)
    {
        // The gate for commands of clients never throws, and what it lets in apply can read.
        if (CommandView.Validate(bytes) is null)
        {
            MustRead(() => WalkCommand(bytes));
        }

        WalkCommand(bytes);
    }

    private static void WalkCommand(byte[] bytes)
    {
        var command = CommandView.Parse(bytes);
        switch (command.Kind)
        {
            case CommandKind.Transaction:
                var conditions = command.Conditions;
                for (var i = 0; i < command.ConditionCount; i++)
                {
                    Assert.InRange(ConditionView.Read(ref conditions).Key.Length, 1, Limits.MaxKeyBytes);
                }

                conditions.ExpectEnd();
                ReadMutations(command.MutationBytes.ToArray());
                break;
            case CommandKind.CreateKeyspace or CommandKind.UpdateKeyspace:
                command.ReadKeyspaceChange(out _, out var settings);
                Assert.Null(settings.Problem());
                break;
            case CommandKind.DeleteKeyspace:
                command.ReadKeyspaceName(out _);
                break;
            case CommandKind.FormCluster:
                command.ReadFormCluster(out _, out _);
                break;
            case CommandKind.RaiseFeatureLevel:
                Assert.InRange(command.ReadFeatureLevel(), 0, int.MaxValue);
                break;
            case CommandKind.Expire:
                Assert.All(command.ReadExpiries(out var keyspace), expiry => Assert.Equal(keyspace, expiry.Keyspace));
                break;
            default:
                Assert.Fail($"A command of kind {command.Kind} was let in.");
                break;
        }
    }

    private IEnumerable<FuzzInput> Batches()
    {
        ReadOnlyMemory<byte>[] commands = [.. Commands().Select(command => new ReadOnlyMemory<byte>(command))];
        return new[] { commands, commands[..3], commands[..1] }.Select(some => new FuzzInput(CommandBatch.Pack(some).Memory.ToArray(), bytes =>
        {
            // Asked before anything else is known of the block, so it never throws.
            var claimed = CommandBatch.ReadCount(new(bytes));
            Assert.Equal(claimed, CommandBatch.Unpack(new(bytes)).Length);
        }));
    }

    private static IEnumerable<FuzzInput> Progresses(StoreProgress progress)
    {
        StoreProgress[] all = [StoreProgress.Empty, progress, progress with { FeatureLevel = int.MaxValue, FullCopies = long.MaxValue, Oldest = new(5) }];
        return all.Select(one => new FuzzInput(Bytes(one.Write), bytes =>
        {
            var read = StoreProgress.Read(bytes);
            MustRead(() => Assert.Equal(read, StoreProgress.Read(Bytes(read.Write))));
        }));
    }

    private static List<FuzzInput> States(View view)
    {
        var inputs = new List<FuzzInput>();
        for (uint id = 0; id < 3; id++)
        {
            var keyspace = new KeyspaceId(id);
            inputs.Add(new(Bytes(view.FindKeyspace(keyspace)!.Write), bytes =>
            {
                // As a View reads it.
                var read = Undamaged.Read(bytes, row => KeyspaceState.Read(keyspace, row), "the state of a keyspace");
                MustRead(() => Assert.Equal(read, KeyspaceState.Read(keyspace, Bytes(read.Write))));
            }));
        }

        return inputs;
    }

    private static IEnumerable<FuzzInput> Cuts(View view)
    {
        KeyspaceCut[] cuts = [view.FindCut(HubStore.Flags)!.Value, new(new(long.MaxValue), new(1, 2))];
        return cuts.Select(cut => new FuzzInput(Bytes(cut.Write), bytes =>
        {
            var read = KeyspaceCut.Read(bytes);
            MustRead(() => Assert.Equal(bytes, Bytes(read.Write)));
        }));
    }

    private static IEnumerable<FuzzInput> CatalogRows()
    {
        byte[][] rows =
        [
            CatalogRow.Write(new(1), KeyspaceSettings.Default, new(1)), CatalogRow.Write(new(uint.MaxValue), new() { ShardCount = 1_024, SkipUnchanged = true }, new(long.MaxValue)),
        ];
        return rows.Select(row => new FuzzInput(row, bytes =>
        {
            var (id, settings, createdAt) = CatalogRow.Read(bytes);
            Assert.Null(settings.Problem());
            MustRead(() => Assert.Equal(bytes, CatalogRow.Write(id, settings, createdAt)));
        }));
    }

    private static IEnumerable<FuzzInput> Rows()
    {
        byte[][] rows =
        [
            Bytes(writer => DataRow.Write(writer, new(5), default, default, "value"u8)),
            Bytes(writer => DataRow.Write(writer, new(long.MaxValue), default, "metadata"u8, "value"u8)),
            Bytes(writer => DataRow.Write(writer, new(6), default, default, default)),

            // With an expiry, which no build writes yet.
            [1, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 77, 0, 1, 7, (byte)'v'],
        ];
        return rows.Select(row => new FuzzInput(row, bytes =>
        {
            var read = DataRow.Parse(bytes);
            Assert.True(read.Metadata.Length + read.Value.Length < bytes.Length);
            Assert.True(read.Revision.Value >= 0);
        }));
    }

    public void Dispose()
    {
        _replica.Dispose();
        _hub.Dispose();
        _directory.Dispose();
    }
}
