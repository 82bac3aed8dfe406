using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: a build that can do more works beside this one, until the hub is told to use it. Method: a member that may apply one feature
/// level more among members that may not.
/// </summary>
public sealed class FeatureLevelTests : IDisposable
{
    private const int Raised = EntryApplier.SupportedFeatureLevel + 1;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly TempDirectory _directory = new();

    [Fact]
    public async Task Two_builds_work_together_until_the_level_is_raised_and_then_the_older_one_stops_with_a_reason()
    {
        await using var hub = await HubMembers.StartAsync(_directory, 3, Stop);
        var commands = new Commands(hub.LogTime);
        await hub.CommitAsync([commands.Create("flags")], Stop);

        // One member after the other is replaced by the newer build, the leader too; the last stays as it is.
        var old = hub.Members[2];
        foreach (var member in hub.Members.Where(member => member != old).ToList())
        {
            await hub.StopAsync(member, Stop);
            member.FeatureLevel = Raised;
            await hub.CommitAsync([commands.Put(new(1), "k", $"without {member.Node}")], Stop);
            await hub.RestartAsync(member, Stop);
            await hub.CommitAsync([commands.Put(new(1), "k", $"with {member.Node}")], Stop);
        }

        await hub.WaitForEqualAsync(new(5), Stop);
        Assert.All(hub.Members, member => Assert.Equal(EntryApplier.FirstFeatureLevel, member.Store!.Progress.FeatureLevel));

        var raise = new ByteWriter();
        CommandWriter.WriteRaiseFeatureLevel(raise, commands.NextId(), Raised);
        await hub.CommitAsync([raise.ToArray()], Stop);
        var fault = Assert.IsType<StorageException>(await old.Engine!.Fault.WaitAsync(TimeSpan.FromSeconds(30), Stop));
        Assert.Equal(StorageFault.Foreign, fault.Fault);
        Assert.Contains("Upgrade this member", fault.Message, StringComparison.Ordinal);
        Assert.Equal(EntryApplier.FirstFeatureLevel, old.Store!.Progress.FeatureLevel);

        // The others go on, and the newer build in the old one's place finds everything.
        await hub.StopAsync(old, Stop);
        Assert.Equal(CommitKind.Committed, (await hub.CommitAsync([commands.Put(new(1), "k", "raised")], Stop))[0].Kind);
        old.FeatureLevel = Raised;
        await hub.RestartAsync(old, Stop);
        var last = (await hub.CommitAsync([commands.Put(new(1), "k", "all")], Stop))[0].Revision;
        await hub.WaitForEqualAsync(last, Stop);
        Assert.All(hub.Members, member => Assert.Equal(Raised, member.Store!.Progress.FeatureLevel));
    }

    public void Dispose() => _directory.Dispose();
}
