using System.Diagnostics;
using System.Globalization;

namespace Quicksilver.Testing;

/// <summary>
/// A network of the kernel's for some members on this machine: each in a namespace of its own with an address of its own, behind one
/// bridge, so that packets from one member to another can vanish while those of the other direction arrive. Nothing of it is in this
/// machine's own network but one interface of the test, and all of it goes with the processes that hold the namespaces, which end when
/// the test's process does, however that ends. Needs root.
/// </summary>
public sealed class MemberNetwork : IAsyncDisposable
{
    private const string Rules = "bridge cuts forward";

    private readonly List<Process> _holders = [];
    private readonly string _prefix;

    private MemberNetwork(string prefix) => _prefix = prefix;

    /// <summary>What is missing for such a network, for people; null where nothing is.</summary>
    public static string? Missing => Environment.UserName != "root" && !Environment.IsPrivilegedProcess
        ? "root"
        : Array.Find(["ip", "nft", "unshare", "nsenter"], tool => !IsThere(tool)) is { } tool ? $"the program {tool}" : null;

    private static bool IsThere(string tool) =>
        $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin".Split(':').Any(directory => File.Exists(Path.Combine(directory, tool)));

    /// <summary>Makes a network of <paramref name="members"/> members; this process reaches all of them.</summary>
    public static async Task<MemberNetwork> CreateAsync(int members, CancellationToken stop)
    {
        // Addresses that are for tests of networks (RFC 2544). Other test processes that run now have others.
        var number = Environment.ProcessId % 512;
        var network = new MemberNetwork(string.Create(CultureInfo.InvariantCulture, $"198.{18 + (number / 256)}.{number % 256}"));
        try
        {
            await network.HoldAsync(stop);
            await network.InAsync(0, "ip link add cuts type bridge && ip link set cuts up && nft 'add table bridge cuts; add chain bridge cuts forward { type filter hook forward priority 0; }'", stop);
            for (var i = 0; i < members; i++)
            {
                var holder = await network.HoldAsync(stop);
                await network.InAsync(0, $"ip link add port{i} type veth peer name member netns {holder.Id} && ip link set port{i} master cuts up", stop);
                await network.InAsync(i + 1, $"ip link set lo up && ip addr add {network.AddressOf(i)}/24 dev member && ip link set member up", stop);
            }

            var name = $"qs{Environment.ProcessId}";
            await network.InAsync(0, $"ip link add test type veth peer name {name} netns {Environment.ProcessId} && ip link set test master cuts up", stop);
            await RunAsync("sh", ["-c", $"ip addr add {network._prefix}.254/24 dev {name} && ip link set {name} up"], stop);
            return network;
        }
        catch
        {
            await network.DisposeAsync();
            throw;
        }
    }

    public string AddressOf(int member) => string.Create(CultureInfo.InvariantCulture, $"{_prefix}.{member + 1}");

    /// <summary>A command under which a process is in a member's place.</summary>
    public string[] Under(int member) => ["nsenter", $"--net=/proc/{_holders[member + 1].Id}/ns/net"];

    /// <summary>From now on all packets from one member to others vanish.</summary>
    public Task CutAsync(int from, IEnumerable<int> to, CancellationToken stop) =>
        InAsync(0, $"nft '{string.Join("; ", to.Select(member => $"add rule {Rules} ip saddr {AddressOf(from)} ip daddr {AddressOf(member)} counter drop"))}'", stop);

    /// <summary>All packets arrive again. Returns how many had vanished.</summary>
    public async Task<long> HealAsync(CancellationToken stop)
    {
        var rules = await InAsync(0, $"nft list chain {Rules} && nft flush chain {Rules}", stop);
        var words = rules.Split((char[])[' ', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries);
        return words.Zip(words.Skip(1)).Where(pair => pair.First == "packets").Sum(pair => long.Parse(pair.Second, CultureInfo.InvariantCulture));
    }

    /// <summary>A process that keeps a namespace until its input ends.</summary>
    private async Task<Process> HoldAsync(CancellationToken stop)
    {
        var start = new ProcessStartInfo("unshare", ["--net", "sh", "-c", "echo ready; exec cat > /dev/null"]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        var holder = Process.Start(start)!;
        _holders.Add(holder);
        return await holder.StandardOutput.ReadLineAsync(stop) == "ready" ? holder : throw new InvalidOperationException("unshare made no namespace.");
    }

    private Task<string> InAsync(int holder, string script, CancellationToken stop) =>
        RunAsync("nsenter", [$"--net=/proc/{_holders[holder].Id}/ns/net", "sh", "-c", $"PATH=$PATH:/usr/sbin:/sbin; {script}"], stop);

    private static async Task<string> RunAsync(string program, IEnumerable<string> args, CancellationToken stop)
    {
        using var process = Process.Start(new ProcessStartInfo(program, args) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var output = await process.StandardOutput.ReadToEndAsync(stop);
        var errors = await process.StandardError.ReadToEndAsync(stop);
        await process.WaitForExitAsync(stop);
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} {string.Join(' ', args)}: {errors}");
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var holder in _holders)
        {
            holder.StandardInput.Close();
            await holder.WaitForExitAsync();
            holder.Dispose();
        }
    }
}
