using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: whatever arrives first, a hub is formed once and goes on. Method: entries on a store that belongs to no cluster yet.
/// </summary>
public sealed class FormationTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly DataDirectory _data;
    private readonly NodeStore _store;
    private readonly EntryApplier _applier;
    private readonly Commands _commands = new(new(1_000));
    private ulong _proposal;

    public FormationTests()
    {
        _data = DataDirectory.Take(_directory.Sub("hub"));
        _store = NodeStore.Open(_data, new() { Node = NodeId.Parse("hub-0") });
        _applier = new(_store, OperationWindow.Default);
    }

    private CommitKind[] Apply(LogTime stamp, params ReadOnlyMemory<byte>[] commands)
    {
        var progress = _store.Progress;
        var entry = new ByteWriter();
        EntryFormat.WriteHeader(entry, new(new(1, ++_proposal), stamp, progress.Position.Revision, progress.Chain), commands.Length);
        foreach (var command in commands)
        {
            EntryFormat.WriteCommand(entry, default, command.Span);
        }

        return [.. _applier.Apply(new(progress.AppliedIndex.Value + 1), entry.WrittenSpan)!.Outcomes.Select(outcome => outcome.Kind)];
    }

    private static ReadOnlyMemory<byte> Form(ulong number)
    {
        var writer = new ByteWriter();
        CommandWriter.WriteFormCluster(writer, default, new(number, number), new(number, number));
        return writer.ToArray();
    }

    [Fact]
    public void Commands_before_the_cluster_is_formed_change_nothing_and_do_not_keep_it_from_being_formed()
    {
        var create = _commands.Create("flags");
        Assert.Equal([CommitKind.Unavailable], Apply(new(1_000), create));
        Assert.Equal([CommitKind.Unavailable, CommitKind.Committed, CommitKind.Committed], Apply(new(1_001), _commands.Create("early"), Form(1), create));
        Assert.Equal(new ClusterUuid(1, 1), _store.Progress.Cluster);
        Assert.Equal(new Revision(1), _store.Progress.Position.Revision);
        Assert.Equal([CommitKind.Committed], Apply(new(1_002), _commands.Put(new(1), "k", "v")));
    }

    [Fact]
    public void A_hub_is_formed_with_the_first_feature_level_also_by_a_build_that_can_do_more()
    {
        var newer = new EntryApplier(_store, OperationWindow.Default, EntryApplier.SupportedFeatureLevel + 1);
        var entry = new ByteWriter();
        EntryFormat.WriteHeader(entry, new(new(1, 1), new(1_000), Revision.None, _store.Progress.Chain), 1);
        EntryFormat.WriteCommand(entry, default, Form(1).Span);
        Assert.Equal(CommitKind.Committed, Assert.Single(newer.Apply(new(1), entry.WrittenSpan)!.Outcomes).Kind);
        Assert.Equal(EntryApplier.FirstFeatureLevel, _store.Progress.FeatureLevel);
    }

    [Fact]
    public void Of_two_formations_the_first_in_the_log_counts()
    {
        Assert.Equal([CommitKind.Committed], Apply(new(1_000), Form(1)));
        Assert.Equal([CommitKind.Unchanged], Apply(new(1_001), Form(2)));
        Assert.Equal(new ClusterUuid(1, 1), _store.Progress.Cluster);
    }

    [Fact]
    public void An_entry_with_an_earlier_stamp_than_the_last_takes_the_later_time()
    {
        Apply(new(5_000), Form(1), _commands.Create("flags"));
        Apply(new(4_000), _commands.Put(new(1), "k", "v"));
        Assert.Equal(new LogTime(5_000), _store.Progress.LogTime);
        using var view = _store.AcquireView();
        using var log = view.OpenLog();
        Assert.True(log.Seek(new(2)));
        Assert.Equal(new LogTime(5_000), RecordView.Parse(log.Record).Header.LogTime);
    }

    [Fact]
    public void Conditions_that_would_read_back_without_end_are_not_met()
    {
        Apply(new(1_000), Form(1), _commands.Create("flags"));
        var many = Enumerable.Range(0, 5_000).Select(i => Mutation.Put($"k{i}", default)).ToArray();
        for (var i = 0; i < 40; i++)
        {
            Apply(new(2_000), _commands.Transaction(new(1), many));
        }

        // Each condition holds; together they would look at two hundred thousand mutations sixteen times over, for each command.
        var conditions = Enumerable.Range(0, Limits.MaxChangeConditions).Select(i => Condition.PrefixUnchangedSince($"x{i}", new(1))).ToArray();
        var start = TimeProvider.System.GetTimestamp();
        var outcomes = Apply(new(3_000), [.. Enumerable.Range(0, 200).Select(i => _commands.Put(new(1), $"y{i}", "v", conditions))]);
        Assert.All(outcomes, outcome => Assert.Equal(CommitKind.ConditionFailed, outcome));
        Assert.True(TimeProvider.System.GetElapsedTime(start) < TimeSpan.FromSeconds(10));
        Assert.Equal([CommitKind.Committed], Apply(new(3_000), _commands.Put(new(1), "y", "v", Condition.PrefixUnchangedSince("x", new(1)))));
    }

    public void Dispose()
    {
        _store.Dispose();
        _data.Dispose();
        _directory.Dispose();
    }
}
