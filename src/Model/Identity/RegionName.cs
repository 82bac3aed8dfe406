using System.Diagnostics.CodeAnalysis;

namespace Quicksilver.Model;

/// <summary>
/// Name of a place with its own Orleans cluster, for example <c>eu</c>: 1 to 63 of <c>a-z 0-9 . _ -</c>, starting with a letter
/// or digit. The region of the hub's nodes is <c>hub</c>.
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.RegionName")]
public readonly record struct RegionName
{
    [Id(0)] private readonly string? _value;

    private RegionName(string value) => _value = value;

    /// <summary>The name; empty for the default value.</summary>
    public string Value => _value ?? "";

    /// <summary>Reads a name; throws <see cref="ArgumentException"/> with the rule where it is not one.</summary>
    public static RegionName Parse(string text) => TryParse(text, out var name)
        ? name
        : throw new ArgumentException($"'{text}' is not a valid name: use 1 to {Names.MaxLength} of a-z, 0-9, '.', '_', '-', starting with a letter or digit.", nameof(text));

    /// <summary>Reads a name; false where it is not one.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out RegionName name)
    {
        var valid = Names.IsValid(text);
        name = valid ? new(text!) : default;
        return valid;
    }

    /// <inheritdoc/>
    public override string ToString() => Value;
}
