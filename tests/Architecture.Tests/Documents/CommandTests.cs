using System.CommandLine;
using Quicksilver.Cli;
using Quicksilver.Testing;

namespace Quicksilver.Architecture.Tests.Documents;

/// <summary>
/// Goal: what documents tell people to type is understood, and is run by a test, or somebody has decided why not. Method: the commands of all
/// documents; those of <c>qs</c> are parsed by its own tree, all others are in a list here.
/// </summary>
public sealed class CommandTests
{
    private const string DotnetQs = "dotnet run --project src/Cli -- ";

    /// <summary>What documents say in capitals, and what somebody may type there.</summary>
    private static readonly Dictionary<string, string> Samples = new()
    {
        ["ANOTHER-HUB-NODE"] = "127.0.0.1:30010",
        ["HUB-NODE"] = "127.0.0.1:30000",
        ["IP:RAFTPORT"] = "127.0.0.1:32003",
        ["NODE"] = "hub-2",
    };

    /// <summary>The commands of <c>qs</c>, and a test that runs each against a cluster.</summary>
    private static readonly Dictionary<string, string> RunBy = new()
    {
        ["keyspace create"] = "Outcomes_are_json_and_exit_codes",
        ["keyspace delete"] = "Outcomes_are_json_and_exit_codes",
        ["keyspace list"] = "Keyspaces_members_and_lag_are_listed_for_people_and_scripts",
        ["put"] = "Outcomes_are_json_and_exit_codes",
        ["get"] = "Outcomes_are_json_and_exit_codes",
        ["delete"] = "A_prefix_is_deleted_only_by_who_is_sure_and_others_hear_how_many_keys_it_has",
        ["scan"] = "A_prefix_is_deleted_only_by_who_is_sure_and_others_hear_how_many_keys_it_has",
        ["watch"] = "A_watch_goes_on_from_its_cursor_in_another_process_and_ends_with_its_keyspace",
        ["import"] = "An_import_names_bad_lines_goes_on_and_can_be_run_again",
        ["export"] = "Keys_and_values_of_any_bytes_go_round",
        ["status"] = "Status_has_one_object_per_node_with_what_scripts_read",
        ["lag"] = "Keyspaces_members_and_lag_are_listed_for_people_and_scripts",
        ["verify"] = "The_list_imported_at_us_answers_at_eu_and_exports_alike_everywhere",
        ["hub list"] = "Keyspaces_members_and_lag_are_listed_for_people_and_scripts",
        ["hub add"] = "Members_are_removed_added_again_and_replaced_and_the_leader_hands_over_under_load",
        ["hub remove"] = "Members_are_removed_added_again_and_replaced_and_the_leader_hands_over_under_load",
        ["hub transfer"] = "Members_are_removed_added_again_and_replaced_and_the_leader_hands_over_under_load",
        ["hub repair"] = "A_hub_member_without_its_disk_is_refused_and_brought_back_by_repair_under_load",
    };

    /// <summary>Every other command of a document, and the test that runs it, or why none does.</summary>
    private static readonly Dictionary<string, string> Others = new()
    {
        ["./test.sh"] = "Runs the tests, this one among them.",
        ["./test.sh --soak N"] = "Runs the tests that take hours.",
        ["dotnet build Quicksilver.Orleans.sln"] = "What test.sh does before it runs the tests.",
        ["dotnet run --project src/Silo"] = "The_tour_works_ctrl_c_ends_with_zero_and_the_data_is_there_again",
        ["dotnet run --project src/Silo -- --config hub-0.json"] = "The_example_of_a_hub_node_is_taken_from_its_file",
        ["Quicksilver__Role=replica Quicksilver__NodeId=eu-0 Quicksilver__Region=eu Quicksilver__DataDirectory=/var/lib/quicksilver/eu-0 "
            + "Quicksilver__Upstreams=127.0.0.1:30000,127.0.0.1:30010 dotnet run --project src/Silo -- --Quicksilver:Ports:Gateway=30001 "
            + "--Quicksilver:Ports:Silo=11112 --Quicksilver:Ports:Http=8081"] = "The_example_of_a_replica_is_taken_from_environment_and_command_line",
        ["dotnet run --project samples/PublicSuffix -- import"] = "The_tour_works_ctrl_c_ends_with_zero_and_the_data_is_there_again",
        ["dotnet run --project samples/PublicSuffix -- lookup www.example.co.uk --gateway 127.0.0.1:30001"] = "The_tour_works_ctrl_c_ends_with_zero_and_the_data_is_there_again",
        ["infra/local/cluster.sh up"] = "The_documented_commands_start_a_cluster_restart_a_node_and_stop_it",
        ["infra/local/cluster.sh restart hub-1"] = "The_documented_commands_start_a_cluster_restart_a_node_and_stop_it",
        ["infra/local/cluster.sh down"] = "The_documented_commands_start_a_cluster_restart_a_node_and_stop_it",
        ["QS_SCALE_REPORT=docs/scale.md dotnet run -c Release --project tests/Simulation -- -explicit only -method '*.Ten_thousand_nodes_are_told'"] = "Ten_thousand_nodes_are_told",
        ["QS_WRITE_GOLDEN=1 dotnet run --project tests/Architecture.Tests"] = "The_contract_is_the_one_in_the_manifest",
        ["git diff src/Contracts/contract-manifest.txt"] = "Shows a person what the command before it has written.",
        ["bench/local.sh"] = "Measures for minutes, and nothing else may run meanwhile.",
        ["bench/peers.sh"] = "Measures for minutes, beside an etcd that tests do without.",
        ["bench/peers.sh --propagation"] = "Measures for minutes, beside an etcd that tests do without.",
        ["bench/peers.sh --reads"] = "Measures for minutes, beside an etcd that tests do without.",
        ["bench/failover.sh"] = "Measures for minutes, and nothing else may run meanwhile.",
        ["bench/wan.sh"] = "Measures for minutes, and nothing else may run meanwhile.",
        ["bench/wan.sh --loss 1"] = "Measures for minutes, as root.",
        ["bench/inprocess.sh"] = "Measures for minutes, and nothing else may run meanwhile.",
        ["bench/copies.sh"] = "Measures for minutes, and nothing else may run meanwhile.",
        ["dotnet run -c Release --project bench/Load -- --help"] = "Lists for a person what can be measured.",
    };

    private readonly RootCommand _qs = QsCommand.Build(Stream.Null, TextWriter.Null);

    private static IEnumerable<(string Place, string Command)> Commands() =>
        from document in Document.All
        from block in document.Blocks()
        where block.Language == "sh"
        from command in block.Commands()
        select (block.Place, command);

    /// <summary>What stands behind the name of the program where it is <c>qs</c>, else null.</summary>
    private static string? ArgumentsOfQs(string command) =>
        command.StartsWith("qs ", StringComparison.Ordinal) ? command[3..]
        : command.StartsWith(DotnetQs, StringComparison.Ordinal) ? command[DotnetQs.Length..]
        : null;

    [Fact]
    public void Every_block_says_what_it_is()
    {
        var known = new HashSet<string> { "csharp", "sh", "text", "json" };
        var unknown = Document.All.SelectMany(document => document.Blocks()).Where(block => !known.Contains(block.Language))
            .Select(block => $"{block.Place} says '{block.Language}'; it must say one of {string.Join(", ", known)}").ToList();
        Assert.True(unknown.Count == 0, string.Join('\n', unknown));
    }

    [Fact]
    public void Every_command_of_qs_is_understood_and_run_by_a_test()
    {
        var seen = 0;
        foreach (var (place, command) in Commands())
        {
            if (ArgumentsOfQs(command) is not { } arguments)
            {
                continue;
            }

            foreach (var line in Variants(arguments))
            {
                seen++;
                string[] args = [.. Words(line).Select(word => SampleOf(word, place))];
                var result = QsCommand.Parse(_qs, args);
                Assert.True(result.Errors.Count == 0, $"{place}: qs {string.Join(' ', args)}: {string.Join("; ", result.Errors.Select(error => error.Message))}");
                AssertIsRun(place, NameOf(result.CommandResult.Command));
            }
        }

        Assert.True(seen > 10, $"{seen} commands of qs in all documents");
    }

    [Fact]
    public void What_documents_say_of_qs_between_backticks_is_there()
    {
        foreach (var document in Document.All)
        {
            foreach (var (number, text) in document.Quoted().Where(quoted => quoted.Text.StartsWith("qs ", StringComparison.Ordinal)))
            {
                foreach (var line in Variants(text[3..]))
                {
                    var words = Words(line);
                    var command = words.Aggregate((Command)_qs, (found, word) => found.Subcommands.FirstOrDefault(next => next.Name == word) ?? found);
                    var unknown = words.Where(word => word.StartsWith("--", StringComparison.Ordinal) && !command.Options.Concat(_qs.Options).Any(option => option.Name == word)).ToList();
                    Assert.True(command is not RootCommand && unknown.Count == 0, $"{document.Path}:{number}: `{text}` is no command, or has no {string.Join(", no ", unknown)}");
                }
            }
        }
    }

    [Fact]
    public void Every_command_of_qs_that_there_is_has_a_test_and_no_other()
    {
        var all = Leaves(_qs).Select(NameOf).ToList();
        Assert.Equal(RunBy.Keys.Order(), all.Order());
        Assert.All(all, name => AssertIsRun("the tree of qs", name));
    }

    [Fact]
    public void Every_other_command_is_run_by_a_test_or_somebody_has_said_why_none_can()
    {
        var others = Commands().Where(command => ArgumentsOfQs(command.Command) is null).ToList();
        var problems = new List<string>();
        foreach (var (place, command) in others)
        {
            if (!Others.TryGetValue(command, out var how))
            {
                problems.Add($"{place}: nobody has decided which test runs '{command}', or why none can: enter it here");
            }
            else if (TestNames.IsName(how) && !TestNames.Exists(how))
            {
                problems.Add($"{place}: '{command}' is said to be run by {how}, which is no test");
            }

            problems.AddRange(Words(command).Where(word => IsPath(word) && !Path.Exists(Repository.PathOf(word))).Select(path => $"{place}: '{command}' names {path}, which is not there"));
        }

        problems.AddRange(Others.Keys.Except(others.Select(command => command.Command)).Select(command => $"No document has '{command}' any more: remove it here"));
        Assert.True(problems.Count == 0, string.Join('\n', problems));
    }

    private static void AssertIsRun(string place, string name) => Assert.True(
        RunBy.TryGetValue(name, out var test) && TestNames.Exists(test), $"{place}: no test is named here that runs qs {name}");

    /// <summary>A word that begins with a folder or a file of the root, and goes on below it.</summary>
    private static bool IsPath(string word) =>
        word.Split('/') is [var first, _, ..] && (first == "." || Directory.Exists(Repository.PathOf(first))) && !word.Contains('=', StringComparison.Ordinal);

    private static string SampleOf(string word, string place)
    {
        if (word.StartsWith('-') || !word.Any(char.IsAsciiLetterUpper) || word.Any(char.IsAsciiLetterLower))
        {
            return word;
        }

        return Samples.TryGetValue(word, out var sample) ? sample : throw new InvalidOperationException($"{place}: there is no sample for {word}: enter one here.");
    }

    /// <summary>A line without, and with, what stands between brackets.</summary>
    private static string[] Variants(string line)
    {
        var open = line.IndexOf('[', StringComparison.Ordinal);
        var close = line.IndexOf(']', StringComparison.Ordinal);
        return open < 0 || close < open ? [line] : [line[..open] + line[(close + 1)..], line[..open] + line[(open + 1)..close] + line[(close + 1)..]];
    }

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static IEnumerable<Command> Leaves(Command command) =>
        command.Subcommands.Count == 0 ? [command] : command.Subcommands.SelectMany(Leaves);

    /// <summary>As <c>hub list</c>.</summary>
    private static string NameOf(Command command)
    {
        var names = new List<string>();
        for (var next = command; next is not (null or RootCommand); next = next.Parents.OfType<Command>().FirstOrDefault())
        {
            names.Insert(0, next.Name);
        }

        return string.Join(' ', names);
    }
}
