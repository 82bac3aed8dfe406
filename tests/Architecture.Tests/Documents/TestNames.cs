using System.Text.RegularExpressions;
using Quicksilver.Testing;

namespace Quicksilver.Architecture.Tests.Documents;

/// <summary>The tests of this repository by name, from their sources: not all of them are in assemblies that can be loaded here.</summary>
internal static partial class TestNames
{
    private static readonly HashSet<string> Methods =
        [.. Sources.SelectMany(file => Method().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value))];

    private static readonly HashSet<string> Classes = [.. Sources.Select(file => Path.GetFileNameWithoutExtension(file))];

    /// <summary>All sources of tests.</summary>
    public static IEnumerable<string> Sources => Directory.EnumerateFiles(Repository.PathOf("tests"), "*.cs", SearchOption.AllDirectories).Order(StringComparer.Ordinal);

    /// <summary>Whether a text can only be meant as the name of a test or of a class of tests.</summary>
    public static bool IsName(string text) => MethodName().IsMatch(text) || ClassName().IsMatch(text);

    /// <summary>Whether there is a test, or a class of tests, of that name.</summary>
    public static bool Exists(string name) => Methods.Contains(name) || (ClassName().IsMatch(name) && Classes.Contains(name));

    // In a class of tests every public method is one: the analyzers of xunit see to that.
    [GeneratedRegex(@"\bpublic (?:static )?(?:async )?(?:void|Task|ValueTask) (\w+)\(")]
    private static partial Regex Method();

    // A sentence: it has more than one word, and not all in capitals as a variable of the environment.
    [GeneratedRegex(@"^(?=[A-Z][A-Za-z0-9]*_.*[a-z])[A-Z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+$")]
    private static partial Regex MethodName();

    [GeneratedRegex(@"^[A-Z][A-Za-z0-9]+Tests$")]
    private static partial Regex ClassName();
}
