using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using DotNext.Net.Cluster.Consensus.Raft.Membership;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: who votes is what the hub agreed on, and a member that forgot its votes comes back only as a new one. Method: hub engines in
/// one process, real sockets and disks; disks lost, members removed while they are there and while they are away.
/// </summary>
public sealed class MembershipTests : IDisposable
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();

    /// <summary>A log that is cut often, so that a new member cannot live on the log alone.</summary>
    private static readonly SequencerOptions Cut = new() { RaftLog = new() { CutAfterEntries = 200, KeepShare = 0.5 } };

    [Fact]
    public async Task A_member_that_lost_its_disk_joins_anew_under_load_and_its_vote_counts_again()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, Cut);
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
        await Eventually.TrueAsync(() => load.IsFaulted || hub.Leader?.Store!.ReadRaftFloor() is not null, "a log that was cut", Stop);

        // C is away while the hub takes entries; X loses its disk. Then C is back: A and C have everything.
        var x = hub.Members.First(member => member != hub.Leader);
        await hub.StopAsync(x, Stop);
        Directory.Delete(x.Path, recursive: true);
        await Assert.ThrowsAsync<FormationRefusedException>(() => hub.RestartAsync(x, Stop));
        await hub.StopAsync(x, Stop);

        var before = Interlocked.Read(ref written);
        await RemoveAsync(hub, x.Node);
        await hub.RestartAsync(x, Stop);
        Assert.Equal(3, x.Engine!.Agreed.Members.Count);
        Assert.Equal(1, x.Store!.Progress.FullCopies);
        await Eventually.TrueAsync(() => load.IsFaulted || Interlocked.Read(ref written) > before + 100, "load during and after", Stop);
        await enough.CancelAsync();
        await load;
        await hub.WaitForEqualAsync(new(1 + written), Stop);

        // Its vote counts: it and one other are a majority, and have everything.
        await hub.StopAsync(hub.Members.First(member => member != x), Stop);
        Assert.Equal(CommitOutcome.Committed(new(2 + written)), (await hub.CommitAsync([commands.Put(new(1), "after", "v")], Stop))[0]);
        await hub.WaitForEqualAsync(new(2 + written), Stop);

        // And it is a member like any other after a restart.
        await hub.StopAsync(x, Stop);
        await hub.RestartAsync(x, Stop);
        await hub.WaitForEqualAsync(new(2 + written), Stop);
    }

    [Fact]
    public async Task An_entry_that_a_wiped_member_had_is_not_lost_when_the_other_that_has_it_dies()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var c = hub.Members.First(member => member != hub.Leader);
        await hub.StopAsync(c, Stop);
        await hub.CommitAsync([commands.Put(new(1), "k", "only at A and X")], Stop);
        var a = await hub.LeaderAsync(Stop);
        var x = hub.Members.First(member => member != a && member != c);
        await hub.StopAsync(x, Stop);
        Directory.Delete(x.Path, recursive: true);
        await hub.StopAsync(a, Stop);
        await hub.RestartAsync(c, Stop);

        // C and X would be a majority, without the entry. X cannot even ask, and does not take part.
        await Assert.ThrowsAsync<FormationRefusedException>(() => hub.RestartAsync(x, Stop));
        await hub.StopAsync(x, Stop);
        Assert.NotEqual(CommitKind.Committed, (await c.Engine!.Sequencer.CommitAsync([commands.Put(new(1), "k2", "v")], Stop))[0].Kind);

        // A is back, and so is the entry; X comes back as a new member, with the entry.
        await hub.RestartAsync(a, Stop);
        await hub.LeaderAsync(Stop);
        await RemoveAsync(hub, x.Node);
        await hub.RestartAsync(x, Stop);
        Assert.Equal(CommitOutcome.Committed(new(3)), (await hub.CommitAsync([commands.Put(new(1), "k2", "v")], Stop))[0]);
        await hub.WaitForEqualAsync(new(3), Stop);
    }

    [Fact]
    public async Task A_member_that_joins_again_is_not_misled_by_what_the_log_says_of_earlier_times()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var x = hub.Members.First(member => member != hub.Leader);
        for (var time = 1; time <= 3; time++)
        {
            await hub.StopAsync(x, Stop);
            Directory.Delete(x.Path, recursive: true);
            await RemoveAsync(hub, x.Node);
            await hub.RestartAsync(x, Stop);
            Assert.Equal(CommitOutcome.Committed(new(1 + time)), (await hub.CommitAsync([commands.Put(new(1), "k", $"v{time}")], Stop))[0]);
            await hub.WaitForEqualAsync(new(1 + time), Stop);

            // The log holds its removals; replayed, they would have been a fault by now.
            Assert.False(x.Engine!.Fault.IsCompleted);
            Assert.Equal(3, x.Engine.Agreed.Members.Count);
        }
    }

    [Fact]
    public async Task A_member_that_is_removed_while_it_runs_stops_and_does_not_come_back_by_itself()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, electionTimeout: HubMembers.Patient);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var x = hub.Members.First(member => member != hub.Leader);
        await RemoveAsync(hub, x.Node);
        Assert.IsType<MemberRemovedException>(await x.Engine!.Fault.WaitAsync(Eventually.Deadline, Stop));
        await hub.StopAsync(x, Stop);
        await Assert.ThrowsAsync<MemberRemovedException>(() => hub.RestartAsync(x, Stop));
        await hub.StopAsync(x, Stop);

        // The two go on, and it may join with nothing.
        Assert.Equal(CommitOutcome.Committed(new(2)), (await hub.CommitAsync([commands.Put(new(1), "k", "v")], Stop))[0]);
        using (var directory = DataDirectory.Take(x.Path))
        {
            var aside = directory.SetAside(TimeProvider.System.GetUtcNow())!;
            Assert.True(Directory.Exists(Path.Combine(aside, "db")) && Directory.Exists(Path.Combine(aside, "raft")));
        }

        await hub.RestartAsync(x, Stop);
        await hub.WaitForEqualAsync(new(2), Stop);
    }

    [Fact]
    public async Task A_member_that_was_away_while_it_was_removed_finds_out_when_it_is_back()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, electionTimeout: HubMembers.Patient);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var x = hub.Members.First(member => member != hub.Leader);
        await hub.StopAsync(x, Stop);
        await RemoveAsync(hub, x.Node);
        var term = (await hub.LeaderAsync(Stop)).Engine!.Raft.Leadership.Term;

        // As impatient as any node, so that it stands often before it finds out.
        x.ElectionTimeout = TimeSpan.FromMilliseconds(500);
        await hub.RestartAsync(x, Stop);
        Assert.IsType<MemberRemovedException>(await x.Engine!.Fault.WaitAsync(Eventually.Deadline, Stop));

        // It did not disturb the others meanwhile.
        Assert.Equal(term, (await hub.LeaderAsync(Stop)).Engine!.Raft.Leadership.Term);
        await hub.StopAsync(x, Stop);
        await Assert.ThrowsAsync<MemberRemovedException>(() => hub.RestartAsync(x, Stop));
    }

    [Fact]
    public async Task What_the_hub_agreed_on_counts_and_not_what_is_configured()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, electionTimeout: HubMembers.Patient);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var x = hub.Members.First(member => member != hub.Leader);
        await hub.StopAsync(x, Stop);

        // Alone it would lead at once.
        await hub.RestartAsync(x, Stop, [.. hub.Addresses.Where(member => member.Node == x.Node)]);
        Assert.Equal(3, x.Engine!.Agreed.Members.Count);
        Assert.Equal(CommitOutcome.Committed(new(2)), (await hub.CommitAsync([commands.Put(new(1), "k", "v")], Stop))[0]);
        await hub.WaitForEqualAsync(new(2), Stop);
        await hub.LeaderAsync(Stop);
        Assert.Single(hub.Members, member => member.Engine!.Sequencer.Leadership.IsLeader);
    }

    [Fact]
    public async Task Of_three_members_no_more_than_one_can_be_taken_out()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, electionTimeout: HubMembers.Patient);
        var leader = (await hub.LeaderAsync(Stop)).Engine!;
        var others = hub.Members.Where(member => member.Engine != leader).Select(member => member.Node).ToList();
        var removals = await Task.WhenAll(others.Select(async node =>
        {
            try
            {
                return await leader.RemoveAsync(node, invite: false, Stop) is null;
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                // The library refuses two changes at the same time.
                return false;
            }
        }));
        Assert.Single(removals, removed => removed);
        Assert.Equal(2, leader.Agreed.Members.Count);
        Assert.NotNull(await leader.RemoveAsync(others[Array.IndexOf(removals, false)], invite: false, Stop));
        Assert.Equal(2, leader.Agreed.Members.Count);
    }

    [Fact]
    public async Task A_copy_of_a_node_that_has_not_heard_of_the_removal_is_not_gone_on_with()
    {
        var members = Enumerable.Range(0, 3).Select(i => new HubMember(NodeId.Parse($"hub-{i}"), new(IPAddress.Loopback, Ports.Free()))).ToList();
        using var directory = DataDirectory.Take(_directory.Sub("hub-2"));
        using var store = NodeStore.Open(directory, new() { Node = members[2].Node });

        // A member of the hub that was formed: whoever asks it hears another language.
        using var formed = new System.Net.Sockets.TcpListener(members[0].Endpoint);
        formed.Start();
        var answering = Task.Run(
            async () =>
            {
                using var client = await formed.AcceptTcpClientAsync(Stop);
                await client.GetStream().WriteAsync("raft"u8.ToArray(), Stop);
            },
            Stop);
        await Assert.ThrowsAsync<NeedsRepairException>(() => HubEngine.OpenAsync(
            store, new() { Self = members[2].Node, Members = members, LogDirectory = directory.RaftPath }, new StalePeers(members), new(), TimeProvider.System,
            () => 1, NullLoggerFactory.Instance, Stop));
        await answering;
        Assert.False(File.Exists(Path.Combine(directory.RaftPath, MemberStorage.FileName)));
    }

    /// <summary>The leader says that the node is no member; the one that is copied does not know yet.</summary>
    private sealed class StalePeers(IReadOnlyList<HubMember> members) : IHubPeers
    {
        public Task<HubWord?> AskAsync(CancellationToken cancellation) => Task.FromResult<HubWord?>(new(false, members[2].Endpoint));

        public Task<AgreedMembers> FillAsync(NodeStore store, CancellationToken cancellation) => Task.FromResult(new AgreedMembers(members, new(10)));

        public Task<(IncomingSnapshot Snapshot, AgreedMembers Agreed)> ReceiveAsync(NodeStore store, LogIndex atLeast, CancellationToken cancellation) =>
            throw new InvalidOperationException("Nobody asked for it.");

        public Task RequestMembershipAsync(CancellationToken cancellation) => Task.CompletedTask;
    }

    [Fact]
    public async Task A_newcomer_knows_nobody_to_vote_for_until_it_is_a_member()
    {
        var members = Enumerable.Range(0, 3).Select(i => new HubMember(NodeId.Parse($"hub-{i}"), new(System.Net.IPAddress.Loopback, 1 + i))).ToList();
        using var storage = new MemberStorage(_directory.Sub("raft"), members[2].Node, members);
        IClusterConfigurationStorage<EndPoint> library = storage;
        async Task<int> Known() => (await library.LoadConfigurationAsync(Stop)).Members.Count;
        Assert.Equal(0, await Known());
        storage.Adopt(new([members[0], members[1]], new(100)));
        Assert.Equal((2, 0), (storage.Members!.Count, await Known()));

        // Older entries of the log do not make it one, the next does.
        using var others = new MemberStorage(_directory.Sub("other"), members[0].Node, members);
        others.Form();
        var (three, _) = await ((IClusterConfigurationStorage)others).LoadConfigurationAsync(Stop);
        Assert.False(await library.SaveConfigurationAsync(three, 99, Stop));
        Assert.Equal(0, await Known());
        Assert.True(await library.SaveConfigurationAsync(three, 101, Stop));
        Assert.Equal(3, await Known());
    }

    [Fact]
    public void The_list_of_members_has_its_golden_form()
    {
        var members = new[]
        {
            new HubMember(NodeId.Parse("hub-1"), new(IPAddress.Loopback, 33_006)), new HubMember(NodeId.Parse("hub-0"), new(IPAddress.IPv6Loopback, 33_002)),
        };
        var directory = _directory.Sub("raft");
        new MemberStorage(directory, members[0].Node, members).Adopt(new(members, new(512)));
        var golden = Golden.Check("raft-members", File.ReadAllBytes(Path.Combine(directory, MemberStorage.FileName)));
        File.WriteAllBytes(Path.Combine(directory, MemberStorage.FileName), golden);
        var read = new MemberStorage(directory, members[0].Node, []).Agreed;
        Assert.Equal(new LogIndex(512), read.AsOf);
        Assert.Equal([members[1], members[0]], read.Members);
    }

    [Fact]
    public void A_list_of_members_with_an_invitation_has_its_golden_form()
    {
        var members = Enumerable.Range(0, 3).Select(i => new HubMember(NodeId.Parse($"hub-{i}"), new(IPAddress.Loopback, 33_002 + (4 * i)))).ToList();
        var directory = _directory.Sub("raft");
        var agreed = new AgreedMembers(members[..2], new(512)) { Invited = [members[2]] };
        new MemberStorage(directory, members[0].Node, members).Adopt(agreed);
        var golden = Golden.Check("raft-members-invited", File.ReadAllBytes(Path.Combine(directory, MemberStorage.FileName)));
        File.WriteAllBytes(Path.Combine(directory, MemberStorage.FileName), golden);
        var read = new MemberStorage(directory, members[0].Node, []).Agreed;
        Assert.Equal(agreed.Members, read.Members);
        Assert.Equal(agreed.Invited, read.Invited);
    }

    [Fact]
    public void A_damaged_list_of_members_is_refused()
    {
        var members = new[] { new HubMember(NodeId.Parse("hub-0"), new(System.Net.IPAddress.Loopback, 1)) };
        var directory = _directory.Sub("raft");
        new MemberStorage(directory, members[0].Node, members).Form();
        var path = Path.Combine(directory, MemberStorage.FileName);
        var good = File.ReadAllBytes(path);
        Assert.Equal(members, new MemberStorage(directory, members[0].Node, []).Members);
        for (var i = 0; i < good.Length; i++)
        {
            var bad = good.ToArray();
            bad[i] ^= 1;
            File.WriteAllBytes(path, bad);
            Assert.Equal(StorageFault.Corrupt, Assert.Throws<StorageException>(() => new MemberStorage(directory, members[0].Node, members)).Fault);
            File.WriteAllBytes(path, good[..i]);
            Assert.Equal(StorageFault.Corrupt, Assert.Throws<StorageException>(() => new MemberStorage(directory, members[0].Node, members)).Fault);
        }
    }

    /// <summary>Removes a member through whoever leads; by default it is invited to come back.</summary>
    private static async Task RemoveAsync(HubMembers hub, NodeId node, bool invite = true)
    {
        await Eventually.TrueAsync(
            async () =>
            {
                if (hub.Leader is not { Engine: { } engine })
                {
                    return false;
                }

                try
                {
                    await engine.RemoveAsync(node, invite, Stop);
                }
                catch (Exception e) when (e is not OperationCanceledException || !Stop.IsCancellationRequested)
                {
                    // It stopped leading: the next one knows.
                }

                return engine.Agreed.Members.All(member => member.Node != node);
            },
            $"the removal of {node}", Stop);
    }

    public void Dispose() => _directory.Dispose();
}
