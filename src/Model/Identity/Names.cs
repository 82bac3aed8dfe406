using System.Diagnostics.CodeAnalysis;

namespace Quicksilver.Model;

/// <summary>The one rule for names that people choose: nodes, regions, keyspaces. <c>[a-z0-9][a-z0-9._-]{0,62}</c></summary>
internal static class Names
{
    public const int MaxLength = 63;

    /// <summary>What a message shows of a text that may be no name at all, and of any length.</summary>
    public static string? Shown(string? text) => text is { Length: > 2 * MaxLength } ? $"{text[..MaxLength]}..." : text;

    public static bool IsValid([NotNullWhen(true)] string? text)
    {
        if (text is not { Length: > 0 and <= MaxLength } || !char.IsAsciiLetterOrDigit(text[0]))
        {
            return false;
        }

        foreach (var c in text)
        {
            if (c is not ((>= 'a' and <= 'z') or (>= '0' and <= '9') or '.' or '_' or '-'))
            {
                return false;
            }
        }

        return true;
    }
}
