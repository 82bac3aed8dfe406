using System.Diagnostics.CodeAnalysis;

namespace Quicksilver.Model;

/// <summary>
/// Name of a keyspace, for example <c>flags</c>: 1 to 63 of <c>a-z 0-9 . _ -</c>, starting with a letter or digit. A name may be
/// used again after its keyspace was deleted; the <see cref="KeyspaceId"/> behind it is then another one.
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.KeyspaceName")]
public readonly record struct KeyspaceName
{
    [Id(0)] private readonly string? _value;

    private KeyspaceName(string value) => _value = value;

    /// <summary>The name; empty for the default value.</summary>
    public string Value => _value ?? "";

    /// <summary>Reads a name; throws <see cref="ArgumentException"/> with the rule where it is not one.</summary>
    public static KeyspaceName Parse(string text) => TryParse(text, out var name)
        ? name
        : throw new ArgumentException($"'{Names.Shown(text)}' is not a valid name: use 1 to {Names.MaxLength} of a-z, 0-9, '.', '_', '-', starting with a letter or digit.", nameof(text));

    /// <summary>Reads a name; false where it is not one.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out KeyspaceName name)
    {
        var valid = Names.IsValid(text);
        name = valid ? new(text!) : default;
        return valid;
    }

    /// <inheritdoc/>
    public override string ToString() => Value;
}
