using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests;

/// <summary>
/// Goal: every command at the door gets one outcome of its own, whatever came with it. Method: the gate over a real store; what
/// lets commands pass is the test's.
/// </summary>
public sealed class CommitGateTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly HubStore _hub;
    private readonly Path _path = new();
    private readonly CommitGate _gate;

    public CommitGateTests()
    {
        _hub = new(_directory.Sub("hub"));
        _gate = new(
            new(NodeId.Parse("hub-0"), NodeRole.Hub, RegionName.Parse("hub"), "hub:1", [], _hub.Store, new HubLogClock(_hub.Store, () => true, TimeProvider.System)), _path);
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>Commits everything, each command at the next revision.</summary>
    private sealed class Path : ICommitPath
    {
        public List<ReadOnlyMemory<byte>> Commands { get; } = [];

        public ValueTask<CommitManyAnswer> CommitAsync(IReadOnlyList<ReadOnlyMemory<byte>> commands, CancellationToken cancellation)
        {
            Commands.AddRange(commands);
            return new(new CommitManyAnswer([.. Enumerable.Range(1, commands.Count).Select(i => CommitOutcome.Committed(new(i)))], default));
        }
    }

    private ReadOnlyMemory<byte>[] Puts(int count) => [.. Enumerable.Range(0, count).Select(i => _hub.Commands.Put(HubStore.Flags, $"k{i}", "v"))];

    private async Task<CommitOutcome[]> CommitAsync(Payload block, Func<ReadOnlyMemory<byte>, string?>? problemOf = null) =>
        (await _gate.CommitAsync(new(block), problemOf ?? (_ => null), Stop)).Outcomes;

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(Limits.MaxCommandsPerBatch)]
    public async Task A_damaged_block_of_commands_is_answered_with_one_outcome_for_each(int count)
    {
        var block = CommandBatch.Pack(Puts(count));
        foreach (var damaged in new Payload[] { new(block.Memory[..^1]), new((byte[])[.. block.Span, 0]) })
        {
            var outcomes = await CommitAsync(damaged);
            Assert.Equal(count, outcomes.Length);
            Assert.All(outcomes, outcome => Assert.Equal(CommitKind.Invalid, outcome.Kind));
        }

        Assert.Empty(_path.Commands);
    }

    [Fact]
    public async Task A_block_whose_number_of_commands_cannot_be_read_is_answered_with_one_outcome()
    {
        foreach (var block in new byte[][] { [], [0xff], [0xff, 0xff, 0xff, 0xff, 0x0f] })
        {
            Assert.Equal([CommitKind.Invalid], (await CommitAsync(new(block))).Select(outcome => outcome.Kind));
        }
    }

    [Fact]
    public async Task A_bad_command_does_not_keep_the_others_from_their_outcomes()
    {
        var commands = Puts(4);
        commands[1] = commands[1][..^1];
        var third = commands[2];
        var outcomes = await CommitAsync(CommandBatch.Pack(commands), command => command.Span.SequenceEqual(third.Span) ? "Not here." : null);
        Assert.Equal([CommitOutcome.Committed(new(1)), CommitOutcome.Invalid("Not here."), CommitOutcome.Committed(new(2))], [outcomes[0], outcomes[2], outcomes[3]]);
        Assert.Equal(CommitKind.Invalid, outcomes[1].Kind);
        Assert.Equal(2, _path.Commands.Count);
    }

    [Fact]
    public async Task Commands_for_another_cluster_are_refused_before_anything_is_done()
    {
        var block = CommandBatch.Pack(Puts(3));
        var answer = await _gate.CommitAsync(new(block) { Cluster = new(9, 9) }, _ => null, Stop);
        Assert.All(answer.Outcomes, outcome => Assert.Equal(CommitKind.Unavailable, outcome.Kind));
        Assert.Equal((3, _hub.Store.Progress.Cluster), (answer.Outcomes.Length, answer.Context.Cluster));
        Assert.Empty(_path.Commands);
        foreach (var cluster in new[] { default, _hub.Store.Progress.Cluster })
        {
            Assert.Equal(CommitKind.Committed, (await _gate.CommitAsync(new(block) { Cluster = cluster }, _ => null, Stop)).Outcomes[2].Kind);
        }
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
