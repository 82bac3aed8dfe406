using Quicksilver.Testing;

namespace Quicksilver.Architecture.Tests.Documents;

/// <summary>
/// Goal: what a document says of tests is so. Method: names of tests between backticks, compared with the sources of the tests; the table of
/// guarantees, row by row.
/// </summary>
public sealed class TestNameTests
{
    [Fact]
    public void Every_test_that_a_document_names_exists()
    {
        var named =
            from document in Document.All
            from quoted in document.Quoted()
            where TestNames.IsName(quoted.Text)
            select (Place: $"{document.Path}:{quoted.Number}", Name: quoted.Text);
        var all = named.ToList();
        Assert.True(all.Count > 200, $"{all.Count} names of tests in all documents");
        var missing = all.Where(test => !TestNames.Exists(test.Name)).Select(test => $"{test.Place} names {test.Name}, which is no test").ToList();
        Assert.True(missing.Count == 0, string.Join('\n', missing));
    }

    [Fact]
    public void Every_guarantee_names_a_test_that_proves_it()
    {
        var guarantees = Document.Read("docs/consistency.md").Table("The guarantees", "guarantee");
        Assert.Equal("proved by", guarantees.Header[^1]);
        Assert.All(guarantees.Rows, row => Assert.True(
            row.Count == guarantees.Header.Count && row[^1].Split('`').Any(TestNames.IsName), $"{guarantees.Place}: '{row[0]}' names no test"));
    }
}
