using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: a member with a damaged file serves nothing wrong and says so. Method: every kind of file of a member, a bit flipped or a
/// part cut off at several places; the member then starts with all it had, or is refused.
/// </summary>
public sealed class DamageTests : IDisposable
{
    private readonly TempDirectory _directory = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>Kinds of files, and whether damage of one is always found at the start: what is read only later is found then.</summary>
    public static TheoryData<string, string, bool> Kinds => new()
    {
        { "db", "*.log", true },
        { "db", "*.sst", false },
        { "db", "MANIFEST-*", true },
        { "db", "CURRENT", true },
        { "raft", "mark", true },
        { "raft", "members", true },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_member_with_a_damaged_file_is_refused_or_has_everything(string directory, string file, bool isFoundAtStart)
    {
        var (sound, hash) = await MakeAsync();
        var found = 0;
        foreach (var (name, damage) in Damages)
        {
            var path = _directory.Sub($"damaged-{name}");
            FileTree.Copy(sound, path);

            // Of write-ahead logs the last: an older one that nobody needs any more may still be there.
            var candidates = Directory.GetFiles(Path.Combine(path, directory), file);
            var target = file == "*.log" ? candidates.Max(StringComparer.Ordinal)! : candidates.MaxBy(candidate => new FileInfo(candidate).Length)!;
            var bytes = await File.ReadAllBytesAsync(target, Stop);
            await File.WriteAllBytesAsync(target, damage(bytes), Stop);
            var served = await ServeAsync(path);
            Assert.True(served is null || served == hash, $"{file}, {name}: served {served}, it was {hash}");
            Assert.True(served is null || !isFoundAtStart, $"{file}, {name}: was not noticed");
            found += served is null ? 1 : 0;
        }

        Assert.True(found > 0, $"No damage of {file} was noticed: was any of it in use?");
    }

    private static IEnumerable<(string Name, Func<byte[], byte[]> Damage)> Damages
    {
        get
        {
            foreach (var share in new[] { 0.1, 0.5, 0.9 })
            {
                yield return ($"flip-{share}", bytes =>
                {
                    var flipped = bytes.ToArray();
                    flipped[(int)(flipped.Length * share)] ^= 0x10;
                    return flipped;
                });
            }

            yield return ("cut-0.3", bytes => bytes[..(int)(bytes.Length * 0.3)]);
            yield return ("cut-0.7", bytes => bytes[..(int)(bytes.Length * 0.7)]);
            yield return ("cut-half", bytes => bytes[..(bytes.Length / 2)]);
        }
    }

    /// <summary>A hub of one with table files and a write-ahead log.</summary>
    private async Task<(string Path, StateHashes Hash)> MakeAsync()
    {
        var hub = await HubMembers.StartAsync(_directory, 1, Stop);
        var member = hub.Members[0];
        var commands = new Commands(hub.LogTime);
        var random = new Random(1);
        await hub.CommitAsync([commands.Create("flags")], Stop);
        await WriteAsync(0);
        member.Store!.Flush();
        await WriteAsync(100);
        await hub.WaitForEqualAsync(new(201), Stop);
        var hash = HashOf(member.Store!);
        await hub.DisposeAsync();
        return (member.Path, hash);

        async Task WriteAsync(int first)
        {
            for (var i = first; i < first + 100; i++)
            {
                var value = new byte[200];
                random.NextBytes(value);
                await hub.CommitAsync([commands.Transaction(new(1), [Mutation.Put($"k{i}", value)])], Stop);
            }
        }
    }

    /// <summary>What a member of this directory serves in the end; null where it refuses.</summary>
    private async Task<StateHashes?> ServeAsync(string path)
    {
        var address = new HubMember(NodeId.Parse("hub-0"), new(System.Net.IPAddress.Loopback, Ports.Free()));
        HubMembers? hub = null;
        try
        {
            hub = await HubMembers.StartAsync([address], new Dictionary<NodeId, string> { [address.Node] = path }, Stop);
            var store = hub.Members[0].Store!;
            await Eventually.TrueAsync(
                () => store.Progress.Position.Revision == new Revision(201) || hub.Members[0].Engine!.Fault.IsCompleted, "everything, or a fault", Stop);
            return hub.Members[0].Engine!.Fault.IsCompleted ? null : HashOf(store);
        }
        catch (Exception e) when (e is StorageException or NeedsRepairException or FormationRefusedException)
        {
            return null;
        }
        finally
        {
            await (hub?.DisposeAsync() ?? ValueTask.CompletedTask);
        }
    }

    private static StateHashes HashOf(NodeStore store)
    {
        using var view = store.AcquireView();
        return StateHash.Compute(view, view, view.Position.Revision, Stop);
    }

    public void Dispose() => _directory.Dispose();
}
