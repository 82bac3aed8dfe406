using System.Text.RegularExpressions;
using Quicksilver.Testing;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// Types what README.md tells a newcomer to type, and compares what is printed with what it says is printed. Ports and directory are those of a test;
/// hashes are any.
/// </summary>
internal sealed partial class ReadmeTour(DevelopmentProcess cluster)
{
    private static readonly Dictionary<string, (string Project, string Executable)> Programs = new()
    {
        ["src/Cli"] = ("Quicksilver.Cli", "qs"),
        ["samples/PublicSuffix"] = ("PublicSuffix", "PublicSuffix"),
    };

    /// <summary>Commands that change nothing: a region may need a moment until they say what they are to say.</summary>
    private static readonly string[] Reads = ["get", "lookup", "verify"];

    /// <summary>For what a read is to say: each try is a process of its own, which takes seconds to start where others use the machine.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    public async Task RunAsync(CancellationToken stop)
    {
        var blocks = Document.Read("README.md").Blocks().Where(block => block.Heading is "Five minutes" or "Sample").ToList();
        Assert.Equal("text", blocks[0].Language);
        var started = Normal(cluster.Process.Output);
        Assert.All(blocks[0].Lines, line => Assert.Contains(Normal(Here(line)), started, StringComparison.Ordinal));

        var commands = 0;
        for (var i = 1; i < blocks.Count; i++)
        {
            // A block of commands, and then what the last of them prints.
            Assert.Equal("sh", blocks[i].Language);
            var block = blocks[i].Commands().ToList();
            var expected = i + 1 < blocks.Count && blocks[i + 1].Language == "text" ? string.Join('\n', blocks[++i].Lines) : null;
            commands += block.Count;
            foreach (var command in block)
            {
                await RunAsync(blocks[i].Place, command, command == block[^1] ? expected : null, stop);
            }
        }

        Assert.True(commands >= 8, $"{commands} commands in the tour");
    }

    private async Task RunAsync(string place, string command, string? expected, CancellationToken stop)
    {
        string[] words = [.. Here(command).Split(' ')];
        Assert.True(words is ["dotnet", "run", "--project", _, "--", _, ..] && Programs.ContainsKey(words[3]), $"{place}: '{command}' is no command that the tour knows");
        var (project, executable) = Programs[words[3]];
        string[] args = words.Contains("--gateway") ? words[5..] : [.. words[5..], "--gateway", cluster.Gateway("hub")];
        var said = "";
        try
        {
            await Eventually.TrueAsync(
                async () =>
                {
                    await using var process = ChildProcess.Start(project, executable, args);
                    var code = await process.WaitAsync(stop);
                    said = $"exit code {code}: {process.Output}{process.Errors}";
                    var isRight = expected is null ? code == 0 : Normal(process.Output) == Normal(expected);
                    return isRight || (Reads.Contains(args[0]) ? false : throw new InvalidOperationException(said));
                },
                "what the README says", stop, Patience);
        }
        catch (Exception e) when (e is InvalidOperationException or TimeoutException)
        {
            Assert.Fail($"{place}: '{command}' is to print\n{expected}\nand printed, with {said}");
        }
    }

    /// <summary>With the addresses and the directory of this test.</summary>
    private string Here(string text) => Address().Replace(text, address => address.Value switch
    {
        "127.0.0.1:30000" => cluster.Gateway("hub"),
        "127.0.0.1:30001" => cluster.Gateway("eu"),
        "127.0.0.1:30002" => cluster.Gateway("us"),
        "127.0.0.1:8080" => cluster.Http("hub").Authority,
        "127.0.0.1:8081" => cluster.Http("eu").Authority,
        "127.0.0.1:8082" => cluster.Http("us").Authority,
        _ => address.Value,
    }).Replace(".quicksilver/", cluster.Directory.Sub("data") + "/", StringComparison.Ordinal);

    private static string Normal(string text) => Blanks().Replace(Hash().Replace(text, "HASH"), " ").Trim();

    [GeneratedRegex(@"127\.0\.0\.1:\d+")]
    private static partial Regex Address();

    [GeneratedRegex(@"\b[0-9a-f]{32}\b")]
    private static partial Regex Hash();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();
}
