using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Model;

namespace Quicksilver.Samples.PublicSuffix;

/// <summary>What the list says of a host name.</summary>
/// <param name="PublicSuffix">Under which anybody can register, for example <c>co.uk</c>.</param>
/// <param name="RegistrableDomain">The suffix and one more label, for example <c>example.co.uk</c>; null where the name is itself a public suffix.</param>
/// <param name="IsListed">False where no rule matched and the default rule <c>*</c> decided.</param>
public sealed record DomainAnswer(string PublicSuffix, string? RegistrableDomain, bool IsListed);

/// <summary>
/// Answers from a region: all rules that can match a name are asked for in one multi-read, and so are from one revision of the
/// list, also while a new list is being imported.
/// </summary>
public sealed class DomainLookup(IKeyspace rules)
{
    private static readonly IdnMapping Idn = new() { AllowUnassigned = true };

    /// <summary>Looks a host name up; null where it is no host name (empty, an empty label, an IP address).</summary>
    public async ValueTask<DomainAnswer?> FindAsync(string host, CancellationToken cancellation = default)
    {
        if (Normalize(host) is not { } name)
        {
            return null;
        }

        var labels = name.Split('.');
        var candidates = new List<(string Rule, int Labels, bool IsException)>();
        for (var first = 0; first < labels.Length; first++)
        {
            var suffix = string.Join('.', labels[first..]);
            candidates.Add((suffix, labels.Length - first, false));
            candidates.Add(("!" + suffix, labels.Length - first - 1, true));
            if (first > 0)
            {
                candidates.Add(("*." + suffix, labels.Length - first + 1, false));
            }
        }

        var found = await rules.GetManyAsync([.. candidates.Select(candidate => Key.From(candidate.Rule))], cancellation: cancellation);
        var matching = candidates.Where((_, i) => found[i] is not null).ToList();

        // The list's rule: an exception wins over everything; else the rule with the most labels; else "*".
        var suffixLabels = matching.Count == 0 ? 1
            : matching.Exists(match => match.IsException) ? matching.Find(match => match.IsException).Labels
            : matching.Max(match => match.Labels);
        return new(
            string.Join('.', labels[^suffixLabels..]),
            labels.Length > suffixLabels ? string.Join('.', labels[^(suffixLabels + 1)..]) : null,
            matching.Count > 0);
    }

    /// <summary>Lower case, without a final dot, labels in Unicode as the list has them.</summary>
    private static string? Normalize(string host)
    {
        var name = host.Trim().TrimEnd('.').ToLowerInvariant();
        try
        {
            var ascii = Idn.GetAscii(name);
            return Uri.CheckHostName(ascii) == UriHostNameType.Dns ? Idn.GetUnicode(ascii) : null;
        }
        catch (ArgumentException)
        {
            // Empty, too long, or with a label that no name can have.
            return null;
        }
    }
}
