using System.Text;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: what is on disk keeps its bytes for ever, and a changed record is noticed. Method: golden files of every format, read
/// back; each single change of a record's bits.
/// </summary>
public sealed class FormatTests
{
    private static readonly RecordHeader Header = new(
        new(0x0102030405060708), new(1_700_000_000_000), new(0x11121314), new(0x2122232425262728),
        new(new(1_700_000_000_001), 0x3132333435363738, 0x4142434445464748), new(0x5152535455565758, 0x6162636465666768));

    private static readonly ChainHash LogChain = new(1, 2);
    private static readonly ChainHash KeyspaceChain = new(3, 4);

    private static byte[] Write(Action<ByteWriter> write)
    {
        var writer = new ByteWriter();
        write(writer);
        return writer.ToArray();
    }

    private static byte[] Mutations => Write(writer =>
    {
        writer.WriteVarint(3);
        MutationFormat.Write(writer, MutationKind.Put, "key"u8, "meta"u8, "value"u8);
        MutationFormat.Write(writer, MutationKind.Put, "empty"u8, default, default);
        MutationFormat.Write(writer, MutationKind.Delete, "gone"u8, default, default);
    });

    private static byte[] Record(ReadOnlySpan<byte> principal)
    {
        var (log, keyspace) = (LogChain, KeyspaceChain);
        var writer = new ByteWriter();
        RecordFormat.Write(writer, Header, principal, Mutations, ref log, ref keyspace);
        Assert.Equal(RecordFormat.SizeOf(principal, Mutations), writer.Length);
        return writer.ToArray();
    }

    [Theory]
    [InlineData("record", "")]
    [InlineData("record-with-principal", "ops@example.org")]
    public void The_bytes_of_a_record_are_those_of_the_golden_file(string file, string principal)
    {
        var golden = Golden.Check(file, Record(Encoding.UTF8.GetBytes(principal)));
        var record = RecordView.Parse(golden);
        Assert.Equal(Header, record.Header);
        Assert.Equal(principal, Encoding.UTF8.GetString(record.Principal));
        Assert.Equal(Mutations, record.MutationBytes);
        Assert.Equal(LogChain.Append(record.ComputeDigest()), record.LogChain);
        Assert.Equal(KeyspaceChain.Append(record.ComputeDigest()), record.KeyspaceChain);
        var reader = new ByteReader(record.MutationBytes);
        Assert.Equal(3, reader.ReadCount(10, "the number of mutations"));
        var put = MutationFormat.Read(ref reader);
        Assert.Equal(MutationKind.Put, put.Kind);
        Assert.Equal("key"u8, put.Key);
        Assert.Equal("meta"u8, put.Metadata);
        Assert.Equal("value"u8, put.Value);
        Assert.True(MutationFormat.Read(ref reader) is { Kind: MutationKind.Put, Value.IsEmpty: true, Metadata.IsEmpty: true });
        Assert.Equal(MutationKind.Delete, MutationFormat.Read(ref reader).Kind);
        reader.ExpectEnd();
    }

    [Fact]
    public void The_bytes_of_a_dropped_keyspace_are_those_of_the_golden_file()
    {
        var golden = Golden.Check("mutation-drop-keyspace", Write(writer => MutationFormat.WriteDropKeyspace(writer, new(0x01020304))));
        var reader = new ByteReader(golden);
        var mutation = MutationFormat.Read(ref reader);
        Assert.Equal((MutationKind.DropKeyspace, new KeyspaceId(0x01020304)), (mutation.Kind, mutation.DroppedKeyspace));
        reader.ExpectEnd();
    }

    [Fact]
    public void The_bytes_of_a_prefix_delete_are_those_of_the_golden_file()
    {
        var golden = Golden.Check("mutation-delete-prefix", Write(writer => MutationFormat.Write(writer, Mutation.DeletePrefix("user/"))));
        var reader = new ByteReader(golden);
        var mutation = MutationFormat.Read(ref reader);
        Assert.Equal((MutationKind.DeletePrefix, false), (mutation.Kind, mutation.IsPut));
        Assert.Equal("user/"u8, mutation.Key);
        reader.ExpectEnd();
    }

    [Theory]
    [InlineData("0000000161", "0000000162")]
    [InlineData("0000000161ff", "0000000162")]
    [InlineData("00000001ffff", "00000002")]
    [InlineData("000000ffffff", "000001")]
    [InlineData("00000000", "00000001")]
    public void What_is_behind_all_keys_that_begin_with_another_is_the_first_that_does_not(string key, string behind) =>
        Assert.Equal(behind, Convert.ToHexStringLower(StorageKeys.Behind(Convert.FromHexString(key))));

    [Fact]
    public void The_bytes_of_a_put_with_a_time_to_live_are_those_of_the_golden_file()
    {
        var golden = Golden.Check("mutation-put-expiring", Write(writer => MutationFormat.Write(writer, Mutation.Put("key", "value"u8.ToArray(), "meta"u8.ToArray(), TimeSpan.FromMinutes(5)))));
        var reader = new ByteReader(golden);
        var mutation = MutationFormat.Read(ref reader);
        Assert.True(mutation.IsPut);
        Assert.Equal("value"u8, mutation.Value);
        Assert.Equal(new LogTime(1_000 + 300_000), mutation.ExpiresAt(new(1_000)));
        reader.ExpectEnd();
    }

    [Fact]
    public void A_key_of_what_expires_is_read_back_and_orders_by_time()
    {
        byte[] Of(long at, uint keyspace, long revision, string key)
        {
            var bytes = new byte[StorageKeys.ExpiryHeadBytes + key.Length];
            StorageKeys.WriteExpiry(bytes, new(at), new(keyspace), new(revision), Encoding.ASCII.GetBytes(key));
            return bytes;
        }

        Assert.Equal(new Expiry(new(5), new(6), new(7), "k"), StorageKeys.ReadExpiry(Of(5, 6, 7, "k")));
        Assert.True(Of(5, 9, 9, "z").AsSpan().SequenceCompareTo(Of(6, 0, 0, "a")) < 0);
        Assert.Throws<MalformedDataException>(() => StorageKeys.ReadExpiry(Of(5, 6, 7, "")));
        Assert.Throws<MalformedDataException>(() => StorageKeys.ReadExpiry(Of(5, 6, 7, "k").AsSpan(0, 15)));
    }

    [Theory]
    [InlineData("data-row", "", "value", 0)]
    [InlineData("data-row-with-metadata", "meta", "value", 0)]
    [InlineData("data-row-with-expiry", "meta", "value", 0x1112131415161718)]
    [InlineData("data-row-empty", "", "", 0)]
    public void The_bytes_of_a_row_are_those_of_the_golden_file(string file, string metadata, string value, long expiresAt)
    {
        var (m, v) = (Encoding.UTF8.GetBytes(metadata), Encoding.UTF8.GetBytes(value));
        var golden = Golden.Check(file, Write(writer => DataRow.Write(writer, new(0x0102030405060708), new(expiresAt), m, v)));
        Assert.Equal(DataRow.SizeOf(new(expiresAt), m, v), golden.Length);
        var row = DataRow.Parse(golden);
        Assert.Equal(new Revision(0x0102030405060708), row.Revision);
        Assert.Equal(new LogTime(expiresAt), row.ExpiresAt);
        Assert.Equal(m, row.Metadata);
        Assert.Equal(v, row.Value);
    }

    [Fact]
    public void A_row_of_another_version_or_with_unknown_flags_is_damage()
    {
        foreach (var bad in new byte[][] { [1, 4, 0, 0, 0, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 0, 0, 0, 0, 9], [1, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 5, 1], [1, 0, 0], [] })
        {
            Assert.Equal(StorageFault.Corrupt, Assert.Throws<StorageException>(() => { DataRow.Parse(bad); }).Fault);
        }
    }

    [Fact]
    public void The_bytes_of_the_progress_are_those_of_the_golden_file()
    {
        var progress = new StoreProgress
        {
            Cluster = new(0x0102030405060708, 0x1112131415161718), Position = new(LogId.Main, new(0x21, 0x31), new(0x41)), Chain = new(0x51, 0x61),
            Oldest = new(0x71), AppliedIndex = new(0x81), LogTime = new(0x91), FeatureLevel = 300, NextKeyspace = new(0xa1), FullCopies = 2, OperationsFloor = new(0xb1),
            OldestChain = new(0xc1, 0xd1),
        };
        Assert.Equal(progress, StoreProgress.Read(Golden.Check("progress-2", Write(progress.Write))));

        // Of a build that never cut the log.
        Assert.Equal(
            progress with { OldestChain = StoreProgress.FirstChain(progress.Cluster, progress.Position.History) }, StoreProgress.Read(Golden.Read("progress-1")));
    }

    [Fact]
    public void The_bytes_of_a_keyspace_cut_are_those_of_the_golden_file()
    {
        var cut = new KeyspaceCut(new(0x0102030405060708), new(0x11, 0x21));
        var golden = Golden.Check("keyspace-cut", Write(cut.Write));
        Assert.Equal(cut, KeyspaceCut.Read(golden));
        Assert.Throws<MalformedDataException>(() => KeyspaceCut.Read([2, .. golden.AsSpan(1)]));
    }

    [Fact]
    public void The_bytes_of_the_progress_of_a_store_that_holds_some_keyspaces_are_those_of_the_golden_file()
    {
        Assert.True(Subscription.TryCreate(["route-*", "flags"], out var subscription, out _));
        var progress = new StoreProgress { Cluster = new(1, 2), Position = new(LogId.Main, new(3, 4), new(5)), Chain = new(6, 7), Oldest = new(4), OldestChain = new(8, 9), Subscription = subscription };
        Assert.Equal(progress, StoreProgress.Read(Golden.Check("progress-partial", Write(progress.Write))));
    }

    [Fact]
    public void A_progress_of_another_version_is_foreign_and_a_cut_one_malformed()
    {
        var bytes = Write(StoreProgress.Empty.Write);
        Assert.Equal(StorageFault.Foreign, Assert.Throws<StorageException>(() => StoreProgress.Read([4, .. bytes[1..]])).Fault);
        for (var length = 0; length < bytes.Length; length++)
        {
            Assert.Throws<MalformedDataException>(() => StoreProgress.Read(bytes.AsSpan(0, length)));
        }

        Assert.Throws<MalformedDataException>(() => StoreProgress.Read([.. bytes, 0]));
    }

    [Fact]
    public void The_bytes_of_a_keyspace_state_are_those_of_the_golden_file()
    {
        var state = new KeyspaceState(
            new(7), KeyspaceName.Parse("flags"), new() { ShardCount = 300, SkipUnchanged = true }, new(0x0102030405060708), new(0x1112131415161718), new(0x21, 0x31));
        Assert.Equal(state, KeyspaceState.Read(new(7), Golden.Check("keyspace-state", Write(state.Write))));
    }

    [Fact]
    public void The_bytes_of_a_catalog_row_are_those_of_the_golden_file()
    {
        var settings = new KeyspaceSettings { ShardCount = 300, SkipUnchanged = true };
        var golden = Golden.Check("catalog-row", CatalogRow.Write(new(0x01020304), settings, new(0x1112131415161718)));
        Assert.Equal((new KeyspaceId(0x01020304), settings, new Revision(0x1112131415161718)), CatalogRow.Read(golden));
    }

    [Fact]
    public void The_bytes_of_an_identity_are_those_of_the_golden_file() =>
        Assert.Equal(NodeId.Parse("eu-0"), Identity.Read(Golden.Check("identity", Identity.Write(NodeId.Parse("eu-0")))));

    [Fact]
    public void The_first_chain_differs_by_cluster_and_by_history()
    {
        var chains = new[]
        {
            StoreProgress.FirstChain(new(1, 2), new(3, 4)), StoreProgress.FirstChain(new(1, 3), new(3, 4)), StoreProgress.FirstChain(new(1, 2), new(3, 5)),
            StoreProgress.FirstChain(new(3, 4), new(1, 2)), StoreProgress.FirstChain(default, default),
        };
        Assert.Equal(chains.Length, chains.Distinct().Count());
    }

    [Fact]
    public void Every_changed_bit_of_a_record_is_refused_or_breaks_its_chains()
    {
        var good = Record("who"u8);
        for (var at = 0; at < good.Length; at++)
        {
            for (var bit = 0; bit < 8; bit++)
            {
                var bad = good.ToArray();
                bad[at] ^= (byte)(1 << bit);
                Assert.False(Fits(bad), $"Bit {bit} of byte {at} makes no difference.");
            }
        }

        Assert.True(Fits(good));

        static bool Fits(byte[] bytes)
        {
            try
            {
                var record = RecordView.Parse(bytes);
                var digest = record.ComputeDigest();
                return record.LogChain == LogChain.Append(digest) && record.KeyspaceChain == KeyspaceChain.Append(digest);
            }
            catch (MalformedDataException)
            {
                return false;
            }
        }
    }

    [Fact]
    public void A_record_cut_off_anywhere_or_with_bytes_after_its_end_is_refused()
    {
        var good = Record("who"u8);
        for (var length = 0; length < good.Length; length++)
        {
            Assert.Throws<MalformedDataException>(() => { RecordView.Parse(good.AsSpan(0, length)); });
        }

        Assert.Throws<MalformedDataException>(() => { RecordView.Parse([.. good, 0]); });
    }

    [Fact]
    public void Random_records_are_refused_as_malformed()
    {
        var random = new Random(1);
        var good = Record("who"u8);
        for (var i = 0; i < 20_000; i++)
        {
            var bytes = good.ToArray();
            random.NextBytes(bytes.AsSpan(random.Next(bytes.Length)));
            try
            {
                RecordView.Parse(bytes.AsSpan(0, random.Next(bytes.Length + 1)));
            }
            catch (MalformedDataException)
            {
                // The one answer to what is not a record.
            }
        }
    }

    [Theory]
    [InlineData("raft-log-entry", 1, false)]
    [InlineData("raft-log-entry-of-the-library", null, false)]
    [InlineData("raft-log-entry-with-members", null, true)]
    public void The_bytes_of_an_entry_of_the_raft_log_are_those_of_the_golden_file(string file, int? command, bool isConfiguration)
    {
        var entry = new RaftLogEntry(new(0x0102030405060708), new(0x1112131415161718), command, isConfiguration, "payload"u8.ToArray());
        var golden = Golden.Check(file, Write(writer => RaftRows.Write(writer, entry)));
        var read = RaftRows.Read(entry.Index, golden);
        Assert.Equal((entry.Index, entry.Term, entry.CommandId, entry.IsConfiguration), (read.Index, read.Term, read.CommandId, read.IsConfiguration));
        Assert.Equal("payload"u8, read.Payload.Span);
        Assert.Equal(StorageFault.Corrupt, Assert.Throws<StorageException>(() => RaftRows.Read(new(7), golden)).Fault);
        AssertEachChangeIsNoticed(golden, bytes => RaftRows.Read(entry.Index, bytes));
    }

    [Fact]
    public void The_bytes_of_the_votes_are_those_of_the_golden_file()
    {
        var votes = new RaftVotes(new(0x0102030405060708), "candidate"u8.ToArray());
        var golden = Golden.Check("raft-votes", Write(writer => RaftRows.WriteVotes(writer, 5, votes)));
        var (number, read) = RaftRows.ReadVotes(golden);
        Assert.Equal((5, votes.Term), (number, read.Term));
        Assert.Equal("candidate"u8, read.Candidate!.Value.Span);
        Assert.Null(RaftRows.ReadVotes(Write(writer => RaftRows.WriteVotes(writer, 6, RaftVotes.None))).Votes.Candidate);
        AssertEachChangeIsNoticed(golden, bytes => RaftRows.ReadVotes(bytes));
    }

    [Fact]
    public void The_bytes_of_the_mark_of_what_was_durable_are_those_of_the_golden_file()
    {
        var bytes = new byte[DurableMark.Bytes];
        DurableMark.Write(bytes, new(new(0x0102030405060708), new(0x1112131415161718)), 0x2122232425262728);
        var golden = Golden.Check("raft-mark", bytes);
        Assert.Equal((new RaftFloor(new(0x0102030405060708), new(0x1112131415161718)), 0x2122232425262728), DurableMark.Parse(golden));
        AssertEachChangeIsNoticed(golden, changed => DurableMark.Parse(changed));
    }

    /// <summary>Each bit flipped, and each end cut off.</summary>
    private static void AssertEachChangeIsNoticed(byte[] golden, Action<byte[]> read)
    {
        for (var bit = 0; bit < golden.Length * 8; bit++)
        {
            var changed = golden.ToArray();
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            AssertRefused(changed);
        }

        for (var length = 0; length < golden.Length; length++)
        {
            AssertRefused(golden[..length]);
        }

        void AssertRefused(byte[] bytes) => Assert.True(Xunit.Record.Exception(() => read(bytes)) is StorageException or MalformedDataException);
    }

    [Fact]
    public void The_bytes_of_a_snapshots_header_are_those_of_the_golden_file()
    {
        var progress = new StoreProgress { Cluster = new(1, 2), Position = new(LogId.Main, new(3, 4), new(5)), AppliedIndex = new(6), Oldest = new(2) };
        var header = new SnapshotHeader(NodeId.Parse("hub-0"), progress, new(7), 0x0102030405060708);
        var golden = Golden.Check("snapshot-header", Write(header.Write));
        Assert.Equal(header, SnapshotHeader.Read(golden));
        Assert.Throws<MalformedDataException>(() => SnapshotHeader.Read(golden.AsSpan(..^1)));
        Assert.Throws<MalformedDataException>(() => SnapshotHeader.Read([1, .. golden.AsSpan(1)]));
    }

    [Fact]
    public void The_bytes_of_a_snapshots_block_are_those_of_the_golden_file()
    {
        using var directory = new TempDirectory();
        using var hub = new HubStore(directory.Sub("hub"));
        hub.ApplyOne(hub.Commands.Put(HubStore.Flags, "a", "on"));
        using var view = hub.Store.AcquireView();
        var golden = Golden.Check("snapshot-block", SnapshotBlock.Read(view, SnapshotSection.Rows, [0, 0, 0, 0, (byte)'e'], 1_000).ToArray());
        var rows = new List<string>();
        var (last, isLast) = SnapshotBlock.Parse(golden, SnapshotSection.Rows, [0, 0, 0, 0, (byte)'e'], (key, _) => rows.Add(Convert.ToHexStringLower(key)));
        Assert.Equal(["00000000666c616773", "0000000161"], rows);
        Assert.True(isLast);
        Assert.Equal([0, 0, 0, 1, (byte)'a'], last);
    }
}
