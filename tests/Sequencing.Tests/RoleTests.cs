using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: a member that has lost its Raft role for good says so. Method: members over real Raft; one cannot write down the term of the
/// election that it has to begin.
/// </summary>
public sealed class RoleTests : IDisposable
{
    private readonly TempDirectory _directory = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(RaftLogKind.Database, "db", "*.log")]
    [InlineData(RaftLogKind.Database, "raft", "mark")]
    [InlineData(RaftLogKind.Files, "raft", "state")]
    public async Task A_member_whose_change_of_role_failed_says_that_it_cannot_go_on(RaftLogKind kind, string directory, string file)
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop, log: kind);
        var leader = await hub.LeaderAsync(Stop);
        var member = hub.Members.First(member => member != leader);
        FailingDisk.RefuseWrites(Directory.GetFiles(Path.Combine(member.Path, directory), file).Max()!);
        await hub.StopAsync(leader, Stop);

        // Without it there is no majority for the third, so its turn comes whoever begins.
        var fault = await member.Engine!.Fault.WaitAsync(Eventually.Deadline, Stop);
        Assert.False(member.Engine.Sequencer.Leadership.IsLeader);
        Assert.NotNull(fault);
    }

    public void Dispose() => _directory.Dispose();
}
