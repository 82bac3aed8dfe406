namespace Quicksilver.Testing;

/// <summary>What stands between two fences of a document.</summary>
/// <param name="Place">Document and line, for people.</param>
/// <param name="Heading">The heading that it stands below.</param>
/// <param name="Language">What the opening fence says; empty where it says nothing.</param>
public sealed record DocumentBlock(string Place, string Heading, string Language, IReadOnlyList<string> Lines)
{
    /// <summary>
    /// The commands of a block for a shell: a line that ends with a backslash goes on in the next, and what stands behind <c> #</c> is for people.
    /// </summary>
    public IEnumerable<string> Commands()
    {
        var command = "";
        foreach (var line in Lines)
        {
            var comment = line.StartsWith('#') ? 0 : line.IndexOf(" #", StringComparison.Ordinal);
            var text = (comment < 0 ? line : line[..comment]).Trim();
            command += text.TrimEnd('\\');
            if (!text.EndsWith('\\') && command.Length > 0)
            {
                yield return command;
                command = "";
            }
        }
    }
}

/// <summary>A table of a document.</summary>
/// <param name="Place">Document and line, for people.</param>
/// <param name="Heading">The heading that it stands below.</param>
/// <param name="Rows">Cells without the blanks around them.</param>
public sealed record DocumentTable(string Place, string Heading, IReadOnlyList<string> Header, IReadOnlyList<IReadOnlyList<string>> Rows);

/// <summary>A document of this repository: what of it a test can compare with the code.</summary>
public sealed class Document
{
    private const string Fence = "```";

    private Document(string path, string[] lines) => (Path, Lines) = (path, lines);

    /// <summary>Below the root, with slashes.</summary>
    public string Path { get; }

    public IReadOnlyList<string> Lines { get; }

    /// <summary>Those for readers: not the decisions, which stay as they were made, and not the changelog.</summary>
    public static IReadOnlyList<Document> All { get; } =
    [
        .. new[] { "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "bench/README.md" }.Select(Read),
        .. Directory.GetFiles(Repository.PathOf("docs"), "*.md").Order(StringComparer.Ordinal).Select(path => Read($"docs/{System.IO.Path.GetFileName(path)}")),
    ];

    public static Document Read(string path) => new(path, File.ReadAllLines(Repository.PathOf(path)));

    /// <summary>What stands between fences. Throws where one is not closed.</summary>
    public IReadOnlyList<DocumentBlock> Blocks()
    {
        var blocks = new List<DocumentBlock>();
        var heading = "";
        for (var i = 0; i < Lines.Count; i++)
        {
            if (Lines[i].StartsWith('#'))
            {
                heading = Lines[i].TrimStart('#').Trim();
            }

            if (!Lines[i].StartsWith(Fence, StringComparison.Ordinal))
            {
                continue;
            }

            var open = i;
            while (++i < Lines.Count && Lines[i] != Fence)
            {
            }

            if (i == Lines.Count)
            {
                throw new InvalidDataException($"The fence of {Path}:{open + 1} is not closed.");
            }

            blocks.Add(new($"{Path}:{open + 1}", heading, Lines[open][Fence.Length..].Trim(), [.. Lines.Skip(open + 1).Take(i - open - 1)]));
        }

        return blocks;
    }

    /// <summary>Lines outside of fences, with their number, from 1.</summary>
    public IEnumerable<(int Number, string Text)> Prose()
    {
        var isInside = false;
        for (var i = 0; i < Lines.Count; i++)
        {
            if (Lines[i].StartsWith(Fence, StringComparison.Ordinal))
            {
                isInside = !isInside;
            }
            else if (!isInside)
            {
                yield return (i + 1, Lines[i]);
            }
        }
    }

    public IReadOnlyList<DocumentTable> Tables()
    {
        var tables = new List<DocumentTable>();
        var heading = "";
        var rows = new List<IReadOnlyList<string>>();
        var start = 0;
        foreach (var (number, text) in Prose().Append((Lines.Count + 1, "")))
        {
            if (text.StartsWith('|'))
            {
                start = rows.Count == 0 ? number : start;
                rows.Add([.. text.Trim().Trim('|').Split('|').Select(cell => cell.Trim())]);
                continue;
            }

            if (rows.Count > 0)
            {
                // The second row only draws the line below the header.
                tables.Add(new($"{Path}:{start}", heading, rows[0], [.. rows.Skip(2)]));
                rows.Clear();
            }

            if (text.StartsWith('#'))
            {
                heading = text.TrimStart('#').Trim();
            }
        }

        return tables;
    }

    /// <summary>The one table below a heading whose first column is called so. Throws where there is none, or more.</summary>
    public DocumentTable Table(string heading, string column) => Tables().Single(table => table.Heading == heading && table.Header[0] == column);

    /// <summary>What stands between single backticks outside of fences.</summary>
    public IEnumerable<(int Number, string Text)> Quoted()
    {
        foreach (var (number, text) in Prose())
        {
            // Every second part; a line with an odd number of backticks would quote the wrong half, and nobody could read it either.
            var parts = text.Split('`');
            for (var i = 1; i < parts.Length; i += 2)
            {
                yield return (number, parts[i]);
            }
        }
    }
}
