using CsCheck;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: an entry is applied whole, once, and only on the state it was made on. Method: entries as bytes, golden, damaged,
/// repeated and made on another chain, on a hub's store.
/// </summary>
public sealed class EntryTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;

    public EntryTests() => _hub = new(_directory.Sub("hub"));

    private byte[] Entry(EntryHeader header, params ReadOnlyMemory<byte>[] commands)
    {
        var writer = new ByteWriter();
        EntryFormat.WriteHeader(writer, header, commands.Length);
        foreach (var command in commands)
        {
            EntryFormat.WriteCommand(writer, default, command.Span);
        }

        return writer.ToArray();
    }

    [Fact]
    public void The_bytes_of_an_entry_are_those_of_the_golden_file()
    {
        var header = new EntryHeader(new(0x1112131415161718, 0x21), new(0x31), new(0x41), new(0x5152535455565758, 0x6162636465666768));
        var writer = new ByteWriter();
        EntryFormat.WriteHeader(writer, header, 2);
        EntryFormat.WriteCommand(writer, default, "first"u8);
        EntryFormat.WriteCommand(writer, "who"u8, "second"u8);

        var golden = Golden.Check("raft-entry", writer.WrittenSpan);
        var reader = new ByteReader(golden);
        Assert.Equal(header, EntryFormat.ReadHeader(ref reader, out var count));
        Assert.Equal(2, count);
        Assert.Equal("first"u8, EntryFormat.ReadCommand(ref reader, out var principal));
        Assert.True(principal.IsEmpty);
        Assert.Equal("second"u8, EntryFormat.ReadCommand(ref reader, out principal));
        Assert.Equal("who"u8, principal);
        reader.ExpectEnd();
    }

    [Fact]
    public void An_entry_is_applied_once_whatever_is_replayed()
    {
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1"));
        var (entry, index) = (_hub.LastEntry, _hub.Index);
        var before = _hub.Hashes();
        Assert.Null(_hub.Applier.Apply(index, entry));
        _hub.Reopen();
        Assert.Null(_hub.Applier.Apply(index, entry));
        Assert.Null(_hub.Applier.Apply(new(1), entry));
        Assert.Equal((before, index), (_hub.Hashes(), _hub.Index));
    }

    [Fact]
    public void An_entry_without_effect_moves_the_applied_index_and_the_log_time_all_the_same()
    {
        _hub.Now = _hub.Now.Add(TimeSpan.FromSeconds(1));
        _hub.ApplyOne(_hub.Commands.Put(new(99), "a", "1"));
        var index = _hub.Index;
        _hub.Apply();
        Assert.Equal((new LogIndex(index.Value + 1), _hub.Now, new Revision(1)), (_hub.Index, _hub.Store.Progress.LogTime, _hub.Store.Progress.Position.Revision));
        _hub.Reopen();
        Assert.Equal((new LogIndex(index.Value + 1), _hub.Now), (_hub.Index, _hub.Store.Progress.LogTime));
    }

    [Fact]
    public void An_entry_made_on_another_chain_is_refused_and_has_no_effect()
    {
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1"));
        var progress = _hub.Store.Progress;
        var put = _hub.Commands.Put(HubStore.Flags, "a", "2");
        var other = progress.Chain with { Low = progress.Chain.Low ^ 1 };
        foreach (var header in new EntryHeader[]
        {
            new(new(9, 1), _hub.Now, progress.Position.Revision, other),
            new(new(9, 2), _hub.Now, new(1), progress.Chain),
            new(new(9, 3), _hub.Now, progress.Position.Revision.Next, progress.Chain),
        })
        {
            var e = Assert.Throws<StorageException>(() => _hub.Applier.Apply(new(_hub.Index.Value + 1), Entry(header, put)));
            Assert.Equal(StorageFault.Corrupt, e.Fault);
        }

        Assert.Equal((progress, "1"), (_hub.Store.Progress, _hub.Get("a")));
        Assert.Equal(CommitOutcome.Committed(new(3)), _hub.ApplyOne(put));
    }

    [Fact]
    public void An_entry_made_on_an_earlier_state_of_the_same_chain_is_applied()
    {
        // Two entries on their way at once: the second was made before the first was applied.
        var made = _hub.Entry(_hub.Store.Progress, [_hub.Commands.Put(HubStore.Flags, "a", "2")]);
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1"));
        Assert.Equal([CommitOutcome.Committed(new(3))], _hub.Applier.Apply(new(_hub.Index.Value + 1), made)!.Outcomes);
    }

    [Fact]
    public void An_entry_cut_off_anywhere_or_with_bytes_after_its_end_is_refused_and_has_no_effect()
    {
        var progress = _hub.Store.Progress;
        var entry = _hub.Entry(progress, [_hub.Commands.Put(HubStore.Flags, "a", "1"), _hub.Commands.Create("other")]);
        for (var length = 0; length < entry.Length; length++)
        {
            Assert.Throws<MalformedDataException>(() => _hub.Applier.Apply(new(_hub.Index.Value + 1), entry.AsSpan(0, length)));
        }

        Assert.Throws<MalformedDataException>(() => _hub.Applier.Apply(new(_hub.Index.Value + 1), [.. entry, 0]));
        Assert.Equal(progress, _hub.Store.Progress);
        Assert.Equal([CommitOutcome.Committed(new(2)), CommitOutcome.Committed(new(3))], _hub.Applier.Apply(new(_hub.Index.Value + 1), entry)!.Outcomes);
    }

    [Fact]
    public void An_entry_with_a_changed_byte_is_applied_or_refused_and_nothing_in_between()
    {
        var entry = _hub.Entry(_hub.Store.Progress, [_hub.Commands.Put(HubStore.Flags, "a", "1", Condition.Absent("b"))]);
        Gen.Select(Gen.Int[0, entry.Length - 1], Gen.Byte[1, 255]).Sample(
            (at, flip) =>
            {
                var before = (_hub.Store.Progress, _hub.Hashes());
                var damaged = entry.ToArray();
                damaged[at] ^= flip;
                try
                {
                    _hub.Applier.Apply(new(_hub.Index.Value + 1), damaged);
                }
                catch (Exception e) when (e is MalformedDataException or StorageException { Fault: StorageFault.Corrupt })
                {
                    Assert.Equal(before, (_hub.Store.Progress, _hub.Hashes()));
                }
            },
            iter: 2_000, threads: 1);
        Assert.Null(_hub.Store.Failure);
    }

    [Fact]
    public void Log_time_does_not_go_back_when_the_stamp_of_an_entry_does()
    {
        // The clock of a new leader may be behind, and it may not have applied the last entry when it makes its first. A
        // replica refuses a log whose time goes back, so one such entry would stop them all.
        var late = _hub.Now;
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "1"));
        _hub.Now = late.Add(TimeSpan.FromSeconds(-5));
        _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "a", "2"));

        var times = _hub.Records().Select(record => RecordView.Parse(record).Header.LogTime).ToList();
        Assert.Equal(times.Order(), times);
        Assert.Equal(late, _hub.Store.Progress.LogTime);
    }

    [Fact]
    public void The_first_form_command_counts_and_later_ones_change_nothing()
    {
        var form = new ByteWriter();
        CommandWriter.WriteFormCluster(form, default, new(9, 9), new(9, 9));
        var before = _hub.Store.Progress;
        Assert.Equal(CommitOutcome.Unchanged(new(1)), _hub.ApplyOne(form.ToArray()));
        Assert.Equal((before.Cluster, before.Position), (_hub.Store.Progress.Cluster, _hub.Store.Progress.Position));
    }

    [Fact]
    public void A_command_before_the_cluster_is_formed_does_not_keep_it_from_being_formed()
    {
        // A client's first command may reach the new leader before the leader's own.
        using var directory = DataDirectory.Take(_directory.Sub("new"));
        using var store = NodeStore.Open(directory, new() { Node = NodeId.Parse("hub-0") });
        var applier = new EntryApplier(store, OperationWindow.Default);
        var form = new ByteWriter();
        CommandWriter.WriteFormCluster(form, default, new(1, 2), new(3, 4));
        var early = applier.Apply(new(1), Entry(new(new(1, 1), _hub.Now, Revision.None, ChainHash.Empty), _hub.Commands.Create("early")))!;
        var formed = applier.Apply(new(2), Entry(new(new(1, 2), _hub.Now, store.Progress.Position.Revision, store.Progress.Chain), form.ToArray()))!;

        Assert.False(early.Outcomes[0].IsSuccess);
        Assert.Equal(CommitKind.Committed, formed.Outcomes[0].Kind);
        Assert.Equal((new ClusterUuid(1, 2), Revision.None), (store.Progress.Cluster, store.Progress.Position.Revision));
    }

    [Fact]
    public void A_feature_level_above_this_build_stops_the_member_and_one_at_or_below_changes_nothing()
    {
        ReadOnlyMemory<byte> Raise(int level)
        {
            var writer = new ByteWriter();
            CommandWriter.WriteRaiseFeatureLevel(writer, default, level);
            return writer.ToArray();
        }

        Assert.Equal(CommitOutcome.Unchanged(new(1)), _hub.ApplyOne(Raise(EntryApplier.SupportedFeatureLevel)));
        var index = _hub.Index;
        var e = Assert.Throws<StorageException>(() => _hub.ApplyOne(Raise(EntryApplier.SupportedFeatureLevel + 1)));
        Assert.Equal(StorageFault.Foreign, e.Fault);
        Assert.Equal(index, _hub.Index);
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
