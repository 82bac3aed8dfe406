using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: members come and go only as an administrator said, at most three of them, and the leadership goes where it is sent. Method:
/// hub engines in one process, real sockets and disks; leaders stopped in between.
/// </summary>
public sealed class MemberChangeTests : IDisposable
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();

    [Fact]
    public async Task A_node_that_was_removed_for_good_waits_until_it_is_invited_also_by_another_leader()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, electionTimeout: HubMembers.Patient);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var x = hub.Members.First(member => member != hub.Leader);
        await hub.StopAsync(x, Stop);
        Directory.Delete(x.Path, recursive: true);
        Assert.Null(await ChangeAsync(hub, engine => engine.RemoveAsync(x.Node, invite: false, Stop)));

        // It does not come back by itself, however often it asks to be made a member.
        var back = hub.RestartAsync(x, Stop);
        (await hub.LeaderAsync(Stop)).Engine!.BeginAdd(x.Node);
        Assert.Equal(CommitOutcome.Committed(new(2)), (await hub.CommitAsync([commands.Put(new(1), "k", "v")], Stop))[0]);
        Assert.Equal((2, false), ((await hub.LeaderAsync(Stop)).Engine!.Agreed.Members.Count, back.IsCompleted));

        // The invitation outlives the leader that took it.
        Assert.Null(await ChangeAsync(hub, engine => engine.InviteAsync(Address(hub, x.Node), Stop)));
        await back.WaitAsync(TimeSpan.FromSeconds(60), Stop);
        Assert.Equal((3, 0), (x.Engine!.Agreed.Members.Count, x.Engine.Agreed.Invited.Count));
        await hub.WaitForEqualAsync(new(2), Stop);
    }

    [Fact]
    public async Task An_invitation_is_remembered_by_the_next_leader_and_after_a_restart_of_all()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, electionTimeout: HubMembers.Patient);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var x = hub.Members.First(member => member != hub.Leader);
        Assert.Null(await ChangeAsync(hub, engine => engine.RemoveAsync(x.Node, invite: true, Stop)));
        var others = hub.Members.Where(member => member != x).ToList();
        foreach (var member in hub.Members)
        {
            await hub.StopAsync(member, Stop);
        }

        Directory.Delete(x.Path, recursive: true);
        foreach (var member in others)
        {
            await hub.RestartAsync(member, Stop);
        }

        await hub.LeaderAsync(Stop);
        await hub.RestartAsync(x, Stop);
        await Eventually.TrueAsync(() => others.TrueForAll(member => member.Engine!.Agreed is { Members.Count: 3, Invited.Count: 0 }), "three members", Stop);
        Assert.Equal(CommitOutcome.Committed(new(2)), (await hub.CommitAsync([commands.Put(new(1), "k", "v")], Stop))[0]);
        await hub.WaitForEqualAsync(new(2), Stop);
    }

    [Fact]
    public async Task A_node_of_a_new_name_replaces_a_member_and_is_known_by_its_name_everywhere()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var old = hub.Members.First(member => member != hub.Leader);
        await hub.StopAsync(old, Stop);
        var replacement = new HubMember(NodeId.Parse("hub-3"), new(IPAddress.Loopback, Ports.Free()));

        // A fourth is refused, and so is a place that is taken.
        var refusal = await ChangeAsync(hub, engine => engine.InviteAsync(replacement, Stop));
        Assert.Contains("at most 3 members", refusal, StringComparison.Ordinal);
        Assert.Null(await ChangeAsync(hub, engine => engine.RemoveAsync(old.Node, invite: false, Stop)));
        var taken = hub.Addresses.First(member => member.Node != old.Node);
        Assert.Contains(taken.Node.Value, await ChangeAsync(hub, engine => engine.InviteAsync(replacement with { Endpoint = taken.Endpoint }, Stop)), StringComparison.Ordinal);
        Assert.Contains("is a member at", await ChangeAsync(hub, engine => engine.InviteAsync(replacement with { Node = taken.Node }, Stop)), StringComparison.Ordinal);
        Assert.Null(await ChangeAsync(hub, engine => engine.InviteAsync(replacement, Stop)));

        // One that never comes keeps its place until it is withdrawn.
        Assert.Contains("at most 3 members", await ChangeAsync(hub, engine => engine.RemoveAsync(old.Node, invite: true, Stop)), StringComparison.Ordinal);

        var added = new HubMembers.Member(replacement.Node, _directory.Sub("hub-3"));
        hub.Members.Remove(old);
        hub.Members.Add(added);
        await hub.RestartAsync(added, Stop, [.. hub.Addresses.Where(member => member.Node != old.Node), replacement]);
        await Eventually.TrueAsync(
            () => hub.Members.TrueForAll(member => member.Engine!.Agreed.Members.Contains(replacement)), "the new name everywhere", Stop);

        // Its vote counts, and the others know by name who leads.
        await hub.StopAsync(hub.Members.First(member => member != added && member != hub.Leader), Stop);
        Assert.Equal(CommitOutcome.Committed(new(2)), (await hub.CommitAsync([commands.Put(new(1), "k", "v")], Stop))[0]);
        Assert.Null(await ChangeAsync(hub, engine => engine.HandOverAsync(Stop)));
        Assert.Equal(CommitOutcome.Committed(new(3)), (await hub.CommitAsync([commands.Put(new(1), "k", "v2")], Stop))[0]);
        await hub.WaitForEqualAsync(new(3), Stop);
        await KnownLeaderAsync(hub);
    }

    [Fact]
    public async Task The_same_address_is_removed_and_added_again_and_again_under_load()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, electionTimeout: HubMembers.Patient);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        long written = 0;
        var load = Task.Run(
            async () =>
            {
                while (!enough.IsCancellationRequested)
                {
                    Assert.Equal(CommitKind.Committed, (await hub.CommitAsync([commands.Put(new(1), $"k{written % 50}", $"v{written}")], Stop))[0].Kind);
                    Interlocked.Increment(ref written);
                }
            },
            Stop);
        for (var round = 0; round < 3; round++)
        {
            var x = hub.Members.First(member => member != hub.Leader);
            Assert.Null(await ChangeAsync(hub, engine => engine.RemoveAsync(x.Node, invite: false, Stop)));
            Assert.IsType<MemberRemovedException>(await x.Engine!.Fault.WaitAsync(Eventually.Deadline, Stop));
            await hub.StopAsync(x, Stop);
            Directory.Delete(x.Path, recursive: true);
            Assert.Null(await ChangeAsync(hub, engine => engine.InviteAsync(Address(hub, x.Node), Stop)));
            await hub.RestartAsync(x, Stop);
            var before = Interlocked.Read(ref written);
            await Eventually.TrueAsync(() => load.IsFaulted || Interlocked.Read(ref written) > before + 20, "load after it", Stop);
        }

        await enough.CancelAsync();
        await load;
        await hub.WaitForEqualAsync(new(1 + written), Stop);
    }

    [Fact]
    public async Task A_hub_of_one_grows_to_three_and_then_loses_any_one()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 1, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        Assert.NotNull(await ChangeAsync(hub, engine => engine.HandOverAsync(Stop)));
        var revision = 1L;
        for (var i = 1; i < 3; i++)
        {
            var newcomer = new HubMember(NodeId.Parse($"hub-{i}"), new(IPAddress.Loopback, Ports.Free()));
            Assert.Null(await ChangeAsync(hub, engine => engine.InviteAsync(newcomer, Stop)));
            var added = new HubMembers.Member(newcomer.Node, _directory.Sub(newcomer.Node.Value));
            hub.Members.Add(added);
            await hub.RestartAsync(added, Stop, [hub.Addresses[0], newcomer]);
            revision++;
            Assert.Equal(CommitOutcome.Committed(new(revision)), (await hub.CommitAsync([commands.Put(new(1), "k", $"v{i}")], Stop))[0]);
            await hub.WaitForEqualAsync(new(revision), Stop);
        }

        // Two are too few to take one out; the one that was alone is no more than the others.
        Assert.Contains("at most 3", await ChangeAsync(hub, engine => engine.InviteAsync(new(NodeId.Parse("hub-9"), new(IPAddress.Loopback, 9)), Stop)), StringComparison.Ordinal);
        await hub.StopAsync(hub.Members[0], Stop);
        Assert.Equal(CommitOutcome.Committed(new(revision + 1)), (await hub.CommitAsync([commands.Put(new(1), "k", "after")], Stop))[0]);
    }

    [Fact]
    public async Task The_leadership_is_handed_over_and_no_write_is_uncertain()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var kinds = new Dictionary<CommitKind, int>();
        var uncertain = new List<(HubEngine Engine, Term Term)>();
        var load = Task.Run(
            async () =>
            {
                for (var i = 0; !enough.IsCancellationRequested; i++)
                {
                    if (hub.Leader is not { Engine: { } engine })
                    {
                        await Task.Yield();
                        continue;
                    }

                    var term = engine.Raft.Leadership.Term;
                    var kind = (await engine.Sequencer.CommitAsync([commands.Put(new(1), $"k{i % 50}", $"v{i}")], Stop))[0].Kind;
                    kinds[kind] = kinds.GetValueOrDefault(kind) + 1;
                    if (kind == CommitKind.Unknown)
                    {
                        uncertain.Add((engine, term));
                    }
                }
            },
            Stop);
        var handedOver = new List<(HubEngine Engine, Term Term)>();
        for (var round = 0; round < 4; round++)
        {
            Assert.Null(await ChangeAsync(hub, async engine =>
            {
                hub.Members.First(member => member.Engine != engine).Engine!.BeginStandAside();
                var term = engine.Raft.Leadership.Term;
                var refusal = await engine.HandOverAsync(Stop);
                handedOver.Add((engine, term));
                return refusal;
            }));
            await hub.LeaderAsync(Stop);
        }

        await enough.CancelAsync();
        await load;

        // A leader that this machine held up for longer than an election takes is replaced unasked, and knows no better of what was on its way.
        Assert.Empty(uncertain.Intersect(handedOver));
        Assert.Equal(0, kinds.GetValueOrDefault(CommitKind.Overloaded));
        var revision = await RevisionAsync(hub);
        Assert.InRange(revision.Value, 1 + kinds[CommitKind.Committed], 1 + kinds[CommitKind.Committed] + uncertain.Count);
        await hub.WaitForEqualAsync(revision, Stop);

        // Whoever stood aside stands again: of the three any two elect one.
        await hub.StopAsync(await hub.LeaderAsync(Stop), Stop);
        Assert.Equal(CommitKind.Committed, (await hub.CommitAsync([commands.Put(new(1), "after", "v")], Stop))[0].Kind);
    }

    /// <summary>What the hub has committed, once nobody writes.</summary>
    private static async Task<Revision> RevisionAsync(HubMembers hub)
    {
        Revision? revision = null;
        await Eventually.TrueAsync(
            async () => (revision = hub.Leader is { Engine: { } engine } ? await engine.Sequencer.ReadBarrierAsync(Stop) : null) is not null, "a leader", Stop);
        return revision!.Value;
    }

    [Fact]
    public async Task A_member_that_stands_aside_leaves_the_election_to_the_other()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop);
        var (counted, asWanted) = (0, 0);
        for (var round = 1; counted < 5; round++)
        {
            Assert.True(round <= 20, $"Of {round - 1} elections {counted} were over in the time of those who stood aside.");

            // Whoever stands aside does so until another leads than the one that it knows.
            var before = await KnownLeaderAsync(hub);
            var wanted = hub.Members.First(member => member != before);
            var start = TimeProvider.System.GetTimestamp();
            hub.Members.First(member => member != before && member != wanted).Engine!.BeginStandAside();
            if (await HandsOverAsync(before.Engine!))
            {
                HubMembers.Member? leader = null;
                await Eventually.TrueAsync(() => (leader = hub.Leader) is not null, "another leader", Stop);

                // Anybody may stand after 2 s: where this machine was busy for that long, the election says nothing.
                if (TimeProvider.System.GetElapsedTime(start) < TimeSpan.FromSeconds(2))
                {
                    counted++;
                    asWanted += leader == wanted ? 1 : 0;
                }
            }

            // Started again, nobody stands aside any more from this round.
            foreach (var member in hub.Members)
            {
                await hub.StopAsync(member, Stop);
            }

            await Task.WhenAll(hub.Members.Select(member => hub.RestartAsync(member, Stop)));
        }

        // One is forgiven: nothing says when a member has begun to stand aside.
        Assert.InRange(asWanted, counted - 1, counted);
    }

    /// <summary>False where the leader was replaced unasked before it could hand over.</summary>
    private static async Task<bool> HandsOverAsync(HubEngine leader)
    {
        try
        {
            return await leader.HandOverAsync(Stop) is null;
        }
        catch (Exception e) when (e is InvalidOperationException or OperationCanceledException && !Stop.IsCancellationRequested)
        {
            return false;
        }
    }

    /// <summary>Waits until all members that run know by name who of them leads.</summary>
    private static async Task<HubMembers.Member> KnownLeaderAsync(HubMembers hub)
    {
        HubMembers.Member? leader = null;
        await Eventually.TrueAsync(
            () => (leader = hub.Leader) is not null && hub.Members.TrueForAll(member => member.Engine is null || member.Engine.Raft.Leadership.Leader == leader.Node),
            "one leader, by name", Stop);
        return leader!;
    }

    [Fact]
    public async Task Two_administrators_at_once_do_not_leave_a_hub_of_one_or_of_four()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, electionTimeout: HubMembers.Patient);
        var leader = await hub.LeaderAsync(Stop);
        var away = hub.Members.First(member => member != leader);
        Assert.Null(await ChangeAsync(hub, engine => engine.RemoveAsync(away.Node, invite: false, Stop)));
        var newcomers = Enumerable.Range(3, 2).Select(i => new HubMember(NodeId.Parse($"hub-{i}"), new(IPAddress.Loopback, Ports.Free()))).ToList();
        var answers = await Task.WhenAll(newcomers.Select(newcomer => ChangeAsync(hub, engine => engine.InviteAsync(newcomer, Stop))));
        Assert.Single(answers, answer => answer is null);
        Assert.Single((await hub.LeaderAsync(Stop)).Engine!.Agreed.Invited);
    }

    [Fact]
    public async Task More_than_three_members_are_refused_before_anything_starts()
    {
        var members = Enumerable.Range(0, 5).Select(i => new HubMember(NodeId.Parse($"hub-{i}"), new(IPAddress.Loopback, Ports.Free()))).ToList();
        using var directory = DataDirectory.Take(_directory.Sub("hub-0"));
        using var store = NodeStore.Open(directory, new() { Node = members[0].Node });
        var refusal = await Assert.ThrowsAsync<ArgumentException>(() => HubEngine.OpenAsync(
            store, new() { Self = members[0].Node, Members = members, LogDirectory = directory.RaftPath }, null, new(), TimeProvider.System, () => 1,
            NullLoggerFactory.Instance, Stop));
        Assert.Contains("at most 3", refusal.Message, StringComparison.Ordinal);
    }

    private static HubMember Address(HubMembers hub, NodeId node) => hub.Addresses.First(member => member.Node == node);

    /// <summary>Changes the members through whoever leads, until the answer is certain: null for done, or the refusal.</summary>
    private static async Task<string?> ChangeAsync(HubMembers hub, Func<HubEngine, Task<string?>> change)
    {
        string? refusal = null;
        await Eventually.TrueAsync(
            async () =>
            {
                if (hub.Leader is not { Engine: { } engine })
                {
                    return false;
                }

                try
                {
                    refusal = await change(engine);
                    return true;
                }
                catch (Exception e) when (e is not OperationCanceledException || !Stop.IsCancellationRequested)
                {
                    // It stopped leading, or another change is under way.
                    return false;
                }
            },
            "a certain answer", Stop);
        return refusal;
    }

    public void Dispose() => _directory.Dispose();
}
