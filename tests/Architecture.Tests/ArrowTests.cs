using System.Reflection;
using Quicksilver.Testing;

namespace Quicksilver.Architecture.Tests;

/// <summary>
/// Goal: the folder list stays the architecture. Method: what the compiled assemblies and the project files refer to.
/// </summary>
public sealed class ArrowTests
{
    /// <summary>Project -> the projects it may use. Everything else is an arrow that points the wrong way.</summary>
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["Model"] = [],
        ["Contracts"] = ["Model"],
        ["Storage"] = ["Model"],
        ["Sequencing"] = ["Storage", "Model"],
        ["Replication"] = ["Storage", "Model"],
        ["Client"] = ["Contracts", "Model"],
        ["Grains"] = ["Contracts", "Storage", "Sequencing", "Replication", "Model"],
        ["Hosting"] = ["Grains", "Client", "Contracts", "Storage", "Sequencing", "Replication", "Model"],
        ["Cli"] = ["Client", "Contracts", "Model"],
        ["Silo"] = ["Hosting"],
    };

    /// <summary>Package assemblies that only these projects may use.</summary>
    private static readonly Dictionary<string, string[]> Owners = new()
    {
        ["RocksDbSharp"] = ["Storage"],
        ["DotNext"] = ["Sequencing"],
        ["Orleans.Runtime"] = ["Grains", "Hosting"],
        ["Orleans.Core"] = ["Contracts", "Client", "Grains", "Hosting", "Cli", "Silo"],
    };

    public static TheoryData<string> Projects => [.. Arrows.Keys];

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_project_refers_only_to_those_below_it(string project)
    {
        var referred = Load(project).GetReferencedAssemblies()
            .Select(reference => reference.Name!)
            .Where(name => name.StartsWith("Quicksilver.Orleans.", StringComparison.Ordinal))
            .Select(name => name["Quicksilver.Orleans.".Length..]);
        Assert.Empty(referred.Except(Arrows[project]));
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_package_is_used_only_by_the_project_that_wraps_it(string project)
    {
        var foreign =
            from reference in Load(project).GetReferencedAssemblies()
            from owner in Owners
            where reference.Name == owner.Key || reference.Name!.StartsWith(owner.Key + ".", StringComparison.Ordinal)
            where !owner.Value.Contains(project) && reference.Name != "Orleans.Core.Abstractions"
            select reference.Name;
        Assert.Empty(foreign);
    }

    [Fact]
    public void Every_project_of_the_source_tree_is_known_here()
    {
        var found = Directory.GetDirectories(Repository.PathOf("src")).Select(Path.GetFileName).Order();
        Assert.Equal(Arrows.Keys.Order(), found);
    }

    [Fact]
    public void Engines_do_not_see_the_orleans_runtime()
    {
        foreach (var engine in new[] { "Storage", "Sequencing", "Replication" })
        {
            Assert.DoesNotContain(
                Load(engine).GetReferencedAssemblies(),
                reference => reference.Name!.StartsWith("Orleans.Runtime", StringComparison.Ordinal) || reference.Name == "Orleans.Core");
        }
    }

    [Fact]
    public void Every_package_version_is_exact()
    {
        var versions = System.Xml.Linq.XDocument.Load(Repository.PathOf("Directory.Packages.props")).Descendants("PackageVersion").ToList();
        Assert.NotEmpty(versions);
        Assert.All(versions, version => Assert.Matches(@"^\[[^,\]]+\]$", (string)version.Attribute("Version")!));
    }

    [Fact]
    public void No_source_file_is_longer_than_five_hundred_lines()
    {
        var longFiles = Directory.EnumerateFiles(Repository.PathOf("src"), "*.cs", SearchOption.AllDirectories)
            .Where(file => File.ReadLines(file).Count() > 500)
            .Select(file => Path.GetRelativePath(Repository.Root, file));
        Assert.Empty(longFiles);
    }

    private static Assembly Load(string project) =>
        Assembly.LoadFrom(Path.Combine(AppContext.BaseDirectory, project == "Cli" ? "qs.dll" : $"Quicksilver.Orleans.{project}.dll"));
}
