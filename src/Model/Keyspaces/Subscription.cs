using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Quicksilver.Model;

/// <summary>
/// Which keyspaces a replica holds: all, or those whose name matches one of some patterns, where <c>*</c> stands for any characters. The
/// catalog is always among them. Immutable, without patterns that others of it cover; two are equal where they mean the same.
/// </summary>
public sealed class Subscription : IEquatable<Subscription>
{
    /// <summary>Most patterns.</summary>
    public const int MaxPatterns = 64;

    /// <summary>Bytes of the longest one in its binary form.</summary>
    public const int MaxBytes = 2 + (MaxPatterns * (1 + Names.MaxLength));

    public static readonly Subscription All = new(null);

    /// <summary>Nothing but the catalog.</summary>
    public static readonly Subscription None = new([]);

    private readonly string[]? _patterns;

    private Subscription(string[]? patterns) => _patterns = patterns;

    public bool IsAll => _patterns is null;

    /// <summary>The patterns in order; null for all keyspaces.</summary>
    public IReadOnlyList<string>? Patterns => _patterns;

    /// <summary>True where a keyspace of this name is held.</summary>
    public bool Includes(KeyspaceName name) => Includes(name.Value);

    private bool Includes(string text) => _patterns is null || Array.Exists(_patterns, pattern => Matches(pattern, text));

    /// <summary>True where everything in <paramref name="other"/> is surely in this one as well.</summary>
    public bool Covers(Subscription other) =>
        _patterns is null || (other._patterns is not null && Array.TrueForAll(other._patterns, Includes));

    /// <summary>What is surely in both: at most <see cref="MaxPatterns"/> of it.</summary>
    public Subscription Common(Subscription other) =>
        IsAll ? other
        : other.IsAll ? this
        : new([.. Shortest(_patterns!.Where(other.Includes).Concat(other._patterns!.Where(Includes))).Take(MaxPatterns)]);

    /// <summary>In order, and without those that another covers.</summary>
    private static IEnumerable<string> Shortest(IEnumerable<string> patterns)
    {
        var all = patterns.Select(OneStar).Distinct().Order(StringComparer.Ordinal).ToList();
        return all.Where(pattern => !all.Exists(other => other != pattern && Matches(other, pattern)));
    }

    /// <summary>Two stars in a row say what one says.</summary>
    private static string OneStar(string pattern)
    {
        while (pattern.Contains("**", StringComparison.Ordinal))
        {
            pattern = pattern.Replace("**", "*", StringComparison.Ordinal);
        }

        return pattern;
    }

    /// <summary>
    /// Reads patterns; null means all keyspaces. False where there are too many or one could be the name of none, with the reason.
    /// </summary>
    public static bool TryCreate(
        IReadOnlyCollection<string>? patterns, [NotNullWhen(true)] out Subscription? subscription, [NotNullWhen(false)] out string? problem)
    {
        (subscription, problem) = (null, null);
        if (patterns is null || patterns.Any(static pattern => pattern is { Length: > 0 and <= Names.MaxLength } && OneStar(pattern) == "*"))
        {
            subscription = All;
            return true;
        }

        if (patterns.Count > MaxPatterns)
        {
            problem = $"there are {patterns.Count} patterns, the limit is {MaxPatterns}";
            return false;
        }

        foreach (var pattern in patterns)
        {
            // A name, but for the stars in it.
            if (pattern is not { Length: > 0 and <= Names.MaxLength } || !Names.IsValid(pattern.Replace('*', 'a')))
            {
                problem = $"'{pattern}' is neither a name of a keyspace nor a pattern of one: 1 to {Names.MaxLength} of a-z, 0-9, '.', '_', '-', and '*' for any of them";
                return false;
            }
        }

        subscription = new([.. Shortest(patterns)]);
        return true;
    }

    public void Write(ByteWriter writer)
    {
        writer.WriteByte(_patterns is null ? (byte)0 : (byte)1);
        if (_patterns is not null)
        {
            writer.WriteVarint(_patterns.Length);
            foreach (var pattern in _patterns)
            {
                writer.WriteBytes(Encoding.ASCII.GetBytes(pattern));
            }
        }
    }

    /// <summary>Throws <see cref="MalformedDataException"/>.</summary>
    public static Subscription Read(ref ByteReader reader)
    {
        if (reader.ReadByte() is var kind and not 1)
        {
            return kind == 0 ? All : throw reader.Malformed($"a subscription is of kind {kind}, unknown to this version");
        }

        var patterns = new string[reader.ReadCount(MaxPatterns, "the number of patterns")];
        for (var i = 0; i < patterns.Length; i++)
        {
            patterns[i] = Encoding.ASCII.GetString(reader.ReadBytes(Names.MaxLength, "a pattern's length"));
        }

        return TryCreate(patterns, out var subscription, out var problem) ? subscription : throw reader.Malformed(problem);
    }

    /// <summary>A star in the text counts as a character that only a star matches: so a pattern that matches a pattern matches all it does.</summary>
    private static bool Matches(string pattern, string text)
    {
        var (p, t, star, mark) = (0, 0, -1, 0);
        while (t < text.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                (star, mark) = (p++, t);
            }
            else if (p < pattern.Length && pattern[p] == text[t])
            {
                p++;
                t++;
            }
            else if (star >= 0)
            {
                (p, t) = (star + 1, ++mark);
            }
            else
            {
                return false;
            }
        }

        while (p < pattern.Length && pattern[p] == '*')
        {
            p++;
        }

        return p == pattern.Length;
    }

    /// <inheritdoc/>
    public bool Equals(Subscription? other) =>
        other is not null && (_patterns is null ? other._patterns is null : other._patterns is not null && _patterns.AsSpan().SequenceEqual(other._patterns));

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Subscription);

    /// <inheritdoc/>
    public override int GetHashCode() => _patterns is null ? 0 : _patterns.Aggregate(1, (hash, pattern) => HashCode.Combine(hash, pattern));

    /// <inheritdoc/>
    public override string ToString() => _patterns is null ? "all keyspaces" : _patterns.Length == 0 ? "only the catalog" : string.Join(", ", _patterns);
}
