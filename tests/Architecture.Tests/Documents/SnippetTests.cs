using System.Text.RegularExpressions;
using Quicksilver.Testing;

namespace Quicksilver.Architecture.Tests.Documents;

/// <summary>
/// Goal: the code that documents show compiles, and is run. Method: each C# block of a document is a part of a test, between the lines
/// <c>// snippet: NAME</c> and <c>// end snippet</c>, and the other way round; compared line by line, without indentation and without the blanks
/// that align comments.
/// </summary>
public sealed partial class SnippetTests
{
    private const string Begin = "// snippet: ";
    private const string End = "// end snippet";

    /// <summary>What a test says, whose ports and directories are its own, and what the document says in its place.</summary>
    private static readonly (string Test, string Document)[] StandIns =
    [
        ("Cluster.Gateway(\"hub\")", "\"127.0.0.1:30000\""),
        ("Cluster.Gateway(\"eu\")", "\"127.0.0.1:30001\""),
        ("Cluster.Gateway(\"us\")", "\"127.0.0.1:30002\""),
        ("_directory.Sub(\"web\")", "\"/var/lib/web/quicksilver\""),
    ];

    /// <param name="Usings">Namespaces that the block, or the file of the test, names.</param>
    private sealed record Snippet(string Place, IReadOnlyList<string> Usings, string Text);

    [Fact]
    public void Every_snippet_of_a_document_is_a_part_of_a_test_and_every_such_part_is_in_a_document()
    {
        var shown = Document.All.SelectMany(document => document.Blocks()).Where(block => block.Language == "csharp").Select(Shown).ToList();
        var tested = TestNames.Sources.SelectMany(Tested).ToList();
        Assert.NotEmpty(shown);
        var problems = new List<string>();
        foreach (var snippet in shown)
        {
            if (tested.Find(one => one.Text == snippet.Text) is not { } test)
            {
                problems.Add($"{snippet.Place} is no part of a test:\n{snippet.Text}");
            }
            else if (snippet.Usings.Except(test.Usings).ToList() is { Count: > 0 } missing)
            {
                problems.Add($"{snippet.Place} says {string.Join(' ', missing)}, and {test.Place} does not");
            }
        }

        problems.AddRange(tested.Where(test => !shown.Exists(snippet => snippet.Text == test.Text)).Select(test => $"{test.Place} is in no document:\n{test.Text}"));
        Assert.True(problems.Count == 0, string.Join("\n\n", problems));
    }

    private static Snippet Shown(DocumentBlock block)
    {
        // Namespaces stand at the top of a block; in a test they stand at the top of the file.
        var body = block.Lines.SkipWhile(line => line.Length == 0 || IsUsing(line)).ToList();
        return new(block.Place, [.. block.Lines.Take(block.Lines.Count - body.Count).Where(IsUsing)], Normal(body));
    }

    private static IEnumerable<Snippet> Tested(string file)
    {
        var lines = File.ReadAllLines(file);
        for (var i = 0; i < lines.Length; i++)
        {
            if (!lines[i].Trim().StartsWith(Begin, StringComparison.Ordinal))
            {
                continue;
            }

            var body = lines.Skip(i + 1).TakeWhile(line => line.Trim() != End).ToList();
            var place = $"{Path.GetRelativePath(Repository.Root, file)}:{i + 1} ({lines[i].Trim()[Begin.Length..]})";
            Assert.True(i + 1 + body.Count < lines.Length, $"{place} has no end");
            yield return new(place, [.. lines.Where(IsUsing)], StandIns.Aggregate(Normal(body), (text, standIn) => text.Replace(standIn.Test, standIn.Document, StringComparison.Ordinal)));
            i += body.Count;
        }
    }

    private static bool IsUsing(string line) => line.StartsWith("using ", StringComparison.Ordinal) && line.EndsWith(';') && !line.Contains('=', StringComparison.Ordinal);

    /// <summary>Lines without what all of them are indented by, and with one blank before a comment at their end.</summary>
    private static string Normal(List<string> lines)
    {
        var indentation = lines.Where(line => line.Trim().Length > 0).Select(line => line.Length - line.TrimStart().Length).DefaultIfEmpty(0).Min();
        return string.Join('\n', lines.Select(line => Gap().Replace(line.Trim().Length == 0 ? "" : line[indentation..].TrimEnd(), "$1 //"))).Trim('\n');
    }

    [GeneratedRegex(@"(\S) +//")]
    private static partial Regex Gap();
}
