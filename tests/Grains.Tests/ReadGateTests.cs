using Microsoft.Extensions.Time.Testing;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests;

/// <summary>
/// Goal: no read is answered from a View older than it asked for, and one that cannot be answered says what may help. Method: the
/// gate over a real store and fake time; the hub answers as a test says.
/// </summary>
public sealed class ReadGateTests : IDisposable
{
    private static readonly ReadGateOptions Options = new();

    private readonly TempDirectory _directory = new();
    private readonly FakeTimeProvider _time = new();
    private readonly HubStore _hub;
    private readonly Hub _asked = new();

    public ReadGateTests() => _hub = new(_directory.Sub("hub"));

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private LogPosition Here => _hub.Store.Progress.Position;

    private LogPosition Next => Here with { Revision = Here.Revision.Next };

    private sealed record Answer(ReadStatus Status, Revision Revision, string? Problem = null);

    /// <summary>What the hub says; null where it cannot be asked.</summary>
    private sealed class Hub : IHubReads
    {
        public Revision? Barrier { get; set; }

        public object? Forwarded { get; set; }

        public ValueTask<Revision?> ReadBarrierAsync(CancellationToken cancellation) => new(Barrier);

        public ValueTask<TAnswer?> ForwardAsync<TAnswer>(Func<IGrainFactory, CancellationToken, ValueTask<TAnswer>> call, CancellationToken cancellation)
            where TAnswer : class => new((TAnswer?)Forwarded);
    }

    private ReadGate Gate(NodeRole role, ReadGateOptions options) => new(
        new(NodeId.Parse("n-0"), role, RegionName.Parse("eu"), "eu:1", [], _hub.Store, new HubLogClock(_hub.Store, () => true, _time)), _asked, options, _time);

    private Task<Answer> Read(ReadRequirement requirement, NodeRole role = NodeRole.Hub, Func<View, Answer>? read = null) => Gate(role, Options).AnswerAsync(
        requirement, read ?? (view => new(ReadStatus.Ok, view.Position.Revision)), (_, _) => throw new InvalidOperationException("The hub of the test calls nobody."),
        (status, context, problem) => new(status, context.Position.Revision, problem), Stop).AsTask();

    private static ReadRequirement Linearizable(bool allowStale = false) => new(ReadConsistency.Linearizable, default, default, allowStale);

    private static ReadRequirement Session(LogPosition atLeast, bool allowStale = false) => new(ReadConsistency.Session, default, atLeast, allowStale);

    /// <summary>Lets the longest wait of a read pass, which has begun and is not over before.</summary>
    private async Task<Answer> AfterWait(Task<Answer> read)
    {
        Assert.Equal((1, false), (_hub.Store.Waiters.Inside, read.IsCompleted));
        _time.Advance(Options.MaxWait - TimeSpan.FromMilliseconds(1));
        Assert.False(read.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        return await read;
    }

    private void Write() => _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "v"));

    [Fact]
    public async Task A_linearizable_read_whose_barrier_is_not_reached_in_time_is_unavailable()
    {
        _asked.Barrier = Next.Revision;
        Assert.Equal(new(ReadStatus.Unavailable, Here.Revision), await AfterWait(Read(Linearizable())));
    }

    [Fact]
    public async Task A_linearizable_read_waits_for_its_barrier_and_is_answered_from_there()
    {
        _asked.Barrier = Next.Revision;
        var read = Read(Linearizable());
        Assert.False(read.IsCompleted);
        Write();
        Assert.Equal(new(ReadStatus.Ok, Here.Revision), await read);
    }

    [Theory]
    [InlineData(NodeRole.Hub, "no leader")]
    [InlineData(NodeRole.Hub, "barrier")]
    [InlineData(NodeRole.Replica, "no link")]
    public async Task A_linearizable_read_is_never_answered_from_an_older_state_also_where_it_allows_one(NodeRole role, string trouble)
    {
        _asked.Barrier = trouble == "barrier" ? Next.Revision : null;
        var read = Read(Linearizable(allowStale: true), role);
        Assert.Equal(ReadStatus.Unavailable, (trouble == "barrier" ? await AfterWait(read) : await read).Status);
    }

    [Fact]
    public async Task A_linearizable_read_in_a_region_is_answered_by_the_hub()
    {
        _asked.Forwarded = new Answer(ReadStatus.Ok, new(99));
        Assert.Equal(new(ReadStatus.Ok, new(99)), await Read(Linearizable(), NodeRole.Replica));
    }

    [Theory]
    [InlineData(NodeRole.Hub)]
    [InlineData(NodeRole.Replica)]
    public async Task A_session_read_ahead_of_the_node_is_not_yet_and_stale_only_where_it_allows_that(NodeRole role)
    {
        Assert.Equal(new(ReadStatus.NotYet, Here.Revision), await AfterWait(Read(Session(Next), role)));
        Assert.Equal(new(ReadStatus.Ok, Here.Revision), await AfterWait(Read(Session(Next, allowStale: true), role)));

        // A region asks the hub before it answers from an older state.
        _asked.Forwarded = new Answer(ReadStatus.Ok, new(99));
        var answer = await AfterWait(Read(Session(Next, allowStale: true), role));
        Assert.Equal(role == NodeRole.Hub ? Here.Revision : new(99), answer.Revision);
    }

    [Fact]
    public async Task A_session_read_waits_for_its_position()
    {
        Assert.Equal(new(ReadStatus.Ok, Here.Revision), await Read(Session(Here)));
        var read = Read(Session(Next));
        Assert.False(read.IsCompleted);
        Write();
        Assert.Equal(new(ReadStatus.Ok, Here.Revision), await read);
    }

    [Fact]
    public async Task A_position_of_another_history_or_log_is_foreign_also_without_a_cluster()
    {
        foreach (var other in new[] { Here with { History = new(9, 9) }, Here with { Log = new(9) } })
        {
            foreach (var revision in new[] { Revision.None.Next, Here.Revision, Next.Revision })
            {
                var answer = await Read(Session(other with { Revision = revision }, allowStale: true));
                Assert.Equal(ReadStatus.ForeignPosition, answer.Status);
                Assert.NotNull(answer.Problem);
            }

            // Who has seen nothing has seen no other history, and who asks for nothing is answered.
            Assert.Equal(ReadStatus.Ok, (await Read(Session(other with { Revision = Revision.None }))).Status);
            Assert.Equal(ReadStatus.Ok, (await Read(new(ReadConsistency.Eventual, default, other, false))).Status);
        }

        foreach (var consistency in new[] { ReadConsistency.Session, ReadConsistency.Eventual, ReadConsistency.Linearizable })
        {
            Assert.Equal(ReadStatus.ForeignPosition, (await Read(new(consistency, new(9, 9), default, false))).Status);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(255)]
    public async Task A_consistency_that_this_version_does_not_know_is_refused_and_not_read_as_another(byte consistency)
    {
        var requirement = new ReadRequirement((ReadConsistency)consistency, default, Here, AllowStaleWhenCutOff: true);
        var answer = await Read(requirement);
        Assert.Equal((ReadStatus.Invalid, $"The read asks for consistency {consistency}, which is unknown to this version."), (answer.Status, answer.Problem));
        Assert.Null(Gate(NodeRole.Replica, Options).TryAdmit(requirement));
    }

    [Theory]
    [InlineData(NodeRole.Hub)]
    [InlineData(NodeRole.Replica)]
    public void Only_a_read_that_has_nothing_to_wait_for_and_nothing_to_be_told_is_admitted_at_once(NodeRole role)
    {
        var gate = Gate(role, Options);
        foreach (var good in new[] { Session(Here), Session(LogPosition.None), new ReadRequirement(ReadConsistency.Eventual, default, Next, false) })
        {
            using var view = gate.TryAdmit(good);
            Assert.Equal(Here, view!.Position);
        }

        var elsewhere = Here with { History = new(9, 9) };
        foreach (var other in new[] { Session(Next), Session(Next, allowStale: true), Linearizable(), Session(elsewhere), new ReadRequirement(ReadConsistency.Eventual, new(9, 9), default, false) })
        {
            Assert.Null(gate.TryAdmit(other));
        }

        Assert.Null(Gate(role, Options with { Withheld = () => "It contradicts its sources." }).TryAdmit(Session(Here)));
    }

    [Theory]
    [InlineData(StorageFault.Corrupt)]
    [InlineData(StorageFault.Io)]
    public async Task What_the_disk_does_not_give_is_said_to_be_damaged(StorageFault fault)
    {
        var answer = await Read(Session(Here), read: _ => throw new StorageException(fault, "Block 7 is not what was written."));
        Assert.Equal((ReadStatus.Damaged, "Block 7 is not what was written."), (answer.Status, answer.Problem));
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
