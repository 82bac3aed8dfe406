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

    [Fact]
    public async Task A_member_whose_change_of_role_failed_says_that_it_cannot_go_on()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop);
        var leader = hub.Leader!;
        var member = hub.Members.First(member => member != leader);
        FailingDisk.RefuseWrites(Path.Combine(member.Path, "raft", "state"));
        await hub.StopAsync(leader, Stop);

        // Without it there is no majority for the third, so its turn comes whoever begins.
        var fault = await member.Engine!.Fault.WaitAsync(Eventually.Deadline, Stop);
        Assert.False(member.Engine.Sequencer.Leadership.IsLeader);
        Assert.NotNull(fault);
    }

    public void Dispose() => _directory.Dispose();
}
