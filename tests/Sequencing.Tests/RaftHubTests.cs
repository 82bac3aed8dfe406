using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: commands through real Raft over TCP end in the same log on every member. Method: hub engines in one process, real
/// sockets and disks.
/// </summary>
public sealed class RaftHubTests : IDisposable
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();

    [Fact]
    public async Task A_hub_of_one_commits_and_has_everything_after_a_restart()
    {
        var hub = await HubMembers.StartAsync(_directory, 1, Stop);
        var commands = new Commands(hub.LogTime);
        var outcomes = await hub.CommitAsync([commands.Create("flags"), commands.Put(new(1), "a", "1")], Stop);
        Assert.Equal([CommitOutcome.Committed(new(1)), CommitOutcome.Committed(new(2))], outcomes);
        await hub.DisposeAsync();

        await using var again = await HubMembers.StartAsync(_directory, 1, Stop);
        outcomes = await again.CommitAsync([commands.Put(new(1), "a", "2", Condition.RevisionIs("a", new(2)))], Stop);
        Assert.Equal([CommitOutcome.Committed(new(3))], outcomes);
    }

    [Fact]
    public async Task A_hub_of_one_begins_a_term_at_each_start()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 1, Stop);
        var member = hub.Members[0];
        var first = member.Engine!.Raft.Leadership.Term;
        await hub.StopAsync(member, Stop);
        await hub.RestartAsync(member, Stop);
        Assert.True(member.Engine!.Raft.Leadership.Term > first);
    }

    [Fact]
    public async Task Three_members_apply_the_same_log_and_commit_on_after_the_leader_left()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        for (var i = 0; i < 50; i++)
        {
            Assert.Equal(CommitKind.Committed, (await hub.CommitAsync([commands.Put(new(1), $"k{i}", "v")], Stop))[0].Kind);
        }

        var old = await hub.LeaderAsync(Stop);
        await hub.StopAsync(old, Stop);
        Assert.Equal(CommitOutcome.Committed(new(52)), (await hub.CommitAsync([commands.Put(new(1), "after", "v")], Stop))[0]);

        await hub.RestartAsync(old, Stop);
        await hub.WaitForEqualAsync(new(52), Stop);
    }

    [Fact]
    public async Task A_member_that_does_not_lead_refuses_and_proposes_nothing()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, electionTimeout: HubMembers.Patient);
        var follower = hub.Members.First(member => member != hub.Leader);
        var commands = new Commands(hub.LogTime);
        var outcomes = await follower.Engine!.Sequencer.CommitAsync([commands.Create("flags")], Stop);
        Assert.Equal(CommitKind.Unavailable, outcomes[0].Kind);
        Assert.Null(await follower.Engine.Sequencer.ReadBarrierAsync(Stop));

        // Whoever leads confirms that to a majority, and it is another.
        Assert.NotEqual(follower, await hub.LeaderAsync(Stop));
    }

    [Fact]
    public async Task The_raft_log_is_cut_and_a_member_within_the_kept_part_catches_up()
    {
        var cut = new SequencerOptions { RaftLog = new() { CutAfterEntries = 200, KeepShare = 0.5 } };
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, cut);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        for (var i = 0; i < 450; i++)
        {
            await hub.CommitAsync([commands.Put(new(1), $"k{i}", "v")], Stop);
        }

        Assert.NotNull((await hub.LeaderAsync(Stop)).Store!.ReadRaftFloor());
        var follower = hub.Members.First(member => member != hub.Leader);
        await hub.StopAsync(follower, Stop);
        for (var i = 0; i < 20; i++)
        {
            await hub.CommitAsync([commands.Put(new(1), $"k{i}", "w")], Stop);
        }

        await hub.RestartAsync(follower, Stop);
        await hub.WaitForEqualAsync(new(471), Stop);
    }

    [Fact]
    public async Task A_member_behind_the_kept_log_stops_and_started_again_goes_on_from_a_snapshot_with_its_vote()
    {
        var cut = new SequencerOptions { RaftLog = new() { CutAfterEntries = 100, KeepShare = 0.1 } };
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, cut);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var follower = hub.Members.First(member => member != hub.Leader);
        await hub.StopAsync(follower, Stop);
        for (var i = 0; i < 400; i++)
        {
            await hub.CommitAsync([commands.Put(new(1), $"k{i}", "v")], Stop);
        }

        await hub.RestartAsync(follower, Stop);
        var fault = await follower.Engine!.Fault.WaitAsync(Eventually.Deadline, Stop);
        Assert.IsType<NeedsRepairException>(fault);

        await hub.StopAsync(follower, Stop);
        await hub.RestartAsync(follower, Stop);
        Assert.Equal(1, follower.Store!.Progress.FullCopies);
        Assert.Equal(3, follower.Engine!.Agreed.Members.Count);
        await hub.CommitAsync([commands.Put(new(1), "after", "v")], Stop);
        try { await hub.WaitForEqualAsync(new(402), Stop); } catch (TimeoutException) { throw new InvalidOperationException(string.Join("\n", hub.Members.Select(m => $"{m.Node} {m.Store!.Progress} {m.Engine!.Raft.Leadership} {(m.Engine.Fault.IsCompleted ? m.Engine.Fault.Result : null)}"))); }

        // Its vote counts, a retry is known to it, and after one more restart it has all of it still.
        var retry = commands.Put(new(1), "retried", "v");
        Assert.Equal(CommitOutcome.Committed(new(403)), (await hub.CommitAsync([retry], Stop))[0]);
        await hub.StopAsync(hub.Members.First(member => member != follower), Stop);
        Assert.Equal(CommitOutcome.Committed(new(403)), (await hub.CommitAsync([retry], Stop))[0]);
        await hub.StopAsync(follower, Stop);
        await hub.RestartAsync(follower, Stop);
        Assert.Equal(CommitOutcome.Committed(new(404)), (await hub.CommitAsync([commands.Put(new(1), "last", "v")], Stop))[0]);
        await hub.WaitForEqualAsync(new(404), Stop);
        Assert.False(follower.Engine!.Fault.IsCompleted);
    }

    [Fact]
    public async Task A_member_whose_raft_log_was_lost_does_not_take_part()
    {
        var hub = await HubMembers.StartAsync(_directory, 1, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags"), commands.Put(new(1), "a", "1")], Stop);
        var member = hub.Members[0];
        await hub.StopAsync(member, Stop);
        Directory.Delete(Path.Combine(member.Path, "raft"), recursive: true);
        await Assert.ThrowsAsync<NeedsRepairException>(() => hub.RestartAsync(member, Stop));
        await hub.DisposeAsync();
    }

    [Fact]
    public async Task A_member_whose_raft_log_in_files_ends_before_its_store_does_not_take_part()
    {
        var hub = await HubMembers.StartAsync(_directory, 1, Stop, log: RaftLogKind.Files);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags"), commands.Put(new(1), "a", "1")], Stop);
        var member = hub.Members[0];
        await hub.StopAsync(member, Stop);
        DeleteAllButTheMembers(member);
        await Assert.ThrowsAsync<NeedsRepairException>(() => hub.RestartAsync(member, Stop));
        await hub.DisposeAsync();
    }

    [Fact]
    public async Task A_member_that_cannot_tell_whether_its_raft_log_is_whole_does_not_take_part()
    {
        var hub = await HubMembers.StartAsync(_directory, 1, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags"), commands.Put(new(1), "a", "1")], Stop);
        var member = hub.Members[0];
        await hub.StopAsync(member, Stop);
        DeleteAllButTheMembers(member);
        Assert.Equal(StorageFault.Corrupt, (await Assert.ThrowsAsync<StorageException>(() => hub.RestartAsync(member, Stop))).Fault);
        await hub.DisposeAsync();
    }

    [Fact]
    public async Task A_member_whose_database_is_an_older_copy_does_not_take_part()
    {
        var hub = await HubMembers.StartAsync(_directory, 1, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var member = hub.Members[0];
        await hub.StopAsync(member, Stop);
        var database = Path.Combine(member.Path, "db");
        FileTree.Copy(database, _directory.Sub("older"));
        await hub.RestartAsync(member, Stop);
        await hub.CommitAsync([commands.Put(new(1), "a", "1")], Stop);
        await hub.StopAsync(member, Stop);
        Directory.Delete(database, recursive: true);
        Directory.Move(_directory.Sub("older"), database);
        Assert.Equal(StorageFault.Corrupt, (await Assert.ThrowsAsync<StorageException>(() => hub.RestartAsync(member, Stop))).Fault);
        await hub.DisposeAsync();
    }

    [Theory]
    [InlineData(RaftLogKind.Database, RaftLogKind.Files)]
    [InlineData(RaftLogKind.Files, RaftLogKind.Database)]
    public async Task A_log_that_is_kept_elsewhere_is_refused(RaftLogKind has, RaftLogKind told)
    {
        await using (var hub = await HubMembers.StartAsync(_directory, 1, Stop, log: has))
        {
            await hub.CommitAsync([new Commands(hub.LogTime).Create("flags")], Stop);
        }

        var e = await Assert.ThrowsAsync<StorageException>(() => HubMembers.StartAsync(_directory, 1, Stop, log: told));
        Assert.Equal(StorageFault.Foreign, e.Fault);
    }

    private static void DeleteAllButTheMembers(HubMembers.Member member)
    {
        foreach (var part in new DirectoryInfo(Path.Combine(member.Path, "raft")).EnumerateFileSystemInfos().Where(part => part.Name != "members"))
        {
            if (part is DirectoryInfo directory)
            {
                directory.Delete(recursive: true);
            }
            else
            {
                part.Delete();
            }
        }
    }

    [Fact]
    public async Task A_member_that_lost_its_disk_is_refused_and_nothing_that_was_acknowledged_is_lost_with_it()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);

        // C is away while A and X take an entry; X loses its disk, and A dies.
        var c = hub.Members.First(member => member != hub.Leader);
        await hub.StopAsync(c, Stop);
        await hub.CommitAsync([commands.Put(new(1), "k", "v")], Stop);
        var x = await hub.LeaderAsync(Stop);
        var a = hub.Members.First(member => member != x && member != c);
        await hub.StopAsync(x, Stop);
        Directory.Delete(x.Path, recursive: true);
        await hub.RestartAsync(c, Stop);
        await Assert.ThrowsAsync<FormationRefusedException>(() => hub.RestartAsync(x, Stop));
        await hub.StopAsync(x, Stop);
        await Assert.ThrowsAsync<FormationRefusedException>(() => hub.RestartAsync(x, Stop));
        await hub.StopAsync(x, Stop);

        // The two that have not forgotten go on with all of it.
        Assert.Equal(CommitOutcome.Committed(new(3)), (await hub.CommitAsync([commands.Put(new(1), "k2", "v")], Stop))[0]);
        await hub.WaitForEqualAsync(new(3), Stop);
        await hub.StopAsync(a, Stop);
        Assert.NotEqual(CommitKind.Committed, (await c.Engine!.Sequencer.CommitAsync([commands.Put(new(1), "k3", "v")], Stop))[0].Kind);
    }

    [Fact]
    public async Task Members_wait_for_the_last_of_them_before_the_first_hub_is_formed()
    {
        var addresses = Enumerable.Range(0, 3).Select(i => new HubMember(NodeId.Parse($"hub-{i}"), new(IPAddress.Loopback, Ports.Free()))).ToList();
        MemberStorage Storage(int member) => new(_directory.Sub($"{member}"), addresses[member].Node, addresses);
        Task<MemberStanding> Judge(int member) => new Formation(
            addresses[member].Node, addresses, Storage(member), TimeProvider.System, NullLogger.Instance).JudgeAsync(StoreProgress.Empty, Stop);
        var two = new[] { Judge(0), Judge(1) };
        using (var probe = new System.Net.Sockets.TcpClient())
        {
            // Both listen, and so have asked each other at least once when a connection to the second is accepted.
            await probe.ConnectAsync(addresses[1].Endpoint, Stop);
        }

        Assert.All(two, waiting => Assert.False(waiting.IsCompleted));
        Assert.All(await Task.WhenAll([.. two, Judge(2)]).WaitAsync(Eventually.Deadline, Stop), standing => Assert.Equal(MemberStanding.Member, standing));
        Assert.All(Enumerable.Range(0, 3), member => Assert.Equal((0L, 3), (Storage(member).Agreed.AsOf.Value, Storage(member).Members!.Count)));

        // Formed once: alone now, without asking anybody.
        Assert.Equal(MemberStanding.Member, await Judge(0).WaitAsync(Eventually.Deadline, Stop));
    }

    [Theory]
    [InlineData(RaftLogKind.Database, "db", "*.log")]
    [InlineData(RaftLogKind.Files, "raft/data", "*")]
    public async Task A_flipped_byte_in_the_raft_log_is_refused_and_nothing_of_it_is_applied(RaftLogKind kind, string directory, string files)
    {
        var hub = await HubMembers.StartAsync(_directory, 1, Stop, log: kind);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        for (var i = 0; i < 20; i++)
        {
            await hub.CommitAsync([commands.Put(new(1), $"k{i}", "v")], Stop);
        }

        var member = hub.Members[0];
        await hub.StopAsync(member, Stop);
        var file = Directory.GetFiles(Path.Combine(member.Path, directory), files).MaxBy(file => new FileInfo(file).Length)!;
        var bytes = await File.ReadAllBytesAsync(file, Stop);
        var at = bytes.AsSpan().IndexOf("k19"u8);
        Assert.True(at > 0);
        bytes[at] ^= 1;
        await File.WriteAllBytesAsync(file, bytes, Stop);
        var e = await Assert.ThrowsAsync<StorageException>(() => hub.RestartAsync(member, Stop));
        Assert.Equal(StorageFault.Corrupt, e.Fault);
        await hub.DisposeAsync();
    }

    [Fact]
    public async Task A_follower_that_is_many_requests_behind_catches_up()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        var follower = hub.Members.First(member => member != hub.Leader);
        await hub.StopAsync(follower, Stop);
        var value = new byte[Limits.MaxValueBytes];
        for (var i = 0; i < 40; i++)
        {
            new Random(i).NextBytes(value);
            await hub.CommitAsync([commands.Transaction(new(1), [Mutation.Put($"k{i % 4}", value)])], Stop);
        }

        await hub.RestartAsync(follower, Stop);
        await hub.WaitForEqualAsync(new(41), Stop);
    }

    public void Dispose() => _directory.Dispose();
}
