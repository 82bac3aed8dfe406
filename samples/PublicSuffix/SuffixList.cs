namespace Quicksilver.Samples.PublicSuffix;

/// <summary>One rule of the Public Suffix List as it stands there: <c>co.uk</c>, <c>*.ck</c>, <c>!www.ck</c>.</summary>
/// <param name="Section">"icann" or "private".</param>
public sealed record SuffixRule(string Text, string Section);

/// <summary>Reads the file format of the list: one rule per line up to the first white space, comments after <c>//</c>.</summary>
public static class SuffixList
{
    public static IEnumerable<SuffixRule> Read(TextReader reader)
    {
        var section = "icann";
        while (reader.ReadLine() is { } line)
        {
            if (line.Contains("===BEGIN PRIVATE DOMAINS===", StringComparison.Ordinal))
            {
                section = "private";
            }

            var rule = line.Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
            if (rule is not null && !rule.StartsWith("//", StringComparison.Ordinal))
            {
                yield return new(rule.ToLowerInvariant(), section);
            }
        }
    }
}
