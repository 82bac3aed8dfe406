using System.CommandLine.Parsing;
using System.Globalization;

namespace Quicksilver.Cli;

/// <summary>Durations as people write them: a number and a unit.</summary>
internal static class Durations
{
    private static readonly (string Unit, double Milliseconds)[] Units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

    /// <summary>Throws <see cref="FormatException"/>.</summary>
    public static TimeSpan Parse(string text)
    {
        foreach (var (unit, milliseconds) in Units)
        {
            if (text.EndsWith(unit, StringComparison.Ordinal)
                && double.TryParse(text.AsSpan(0, text.Length - unit.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value)
                && value * milliseconds <= TimeSpan.MaxValue.TotalMilliseconds / 2)
            {
                return TimeSpan.FromMilliseconds(Math.Round(value * milliseconds));
            }
        }

        throw new FormatException($"'{text}' is no duration: write a number and its unit, such as 500ms, 90s, 15m, 12h or 30d.");
    }

    public static void Check(OptionResult result)
    {
        try
        {
            if (result.Tokens.Count > 0)
            {
                Parse(result.Tokens[^1].Value);
            }
        }
        catch (FormatException e)
        {
            result.AddError($"{result.IdentifierToken?.Value ?? result.Option.Name}: {e.Message}");
        }
    }
}
