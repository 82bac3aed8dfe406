using System.Text;

namespace Quicksilver.Model;

/// <summary>
/// A key: 1 to <see cref="Limits.MaxKeyBytes"/> bytes, any bytes, ordered byte by byte. Immutable; equality is by content.
/// </summary>
public readonly struct Key : IEquatable<Key>, IComparable<Key>
{
    private readonly byte[]? _bytes;

    private Key(byte[] bytes) => _bytes = bytes;

    /// <summary>The bytes; empty only for the default value, which no operation accepts.</summary>
    public ReadOnlySpan<byte> Span => _bytes;

    /// <summary>The bytes as memory that lives as long as the key.</summary>
    public ReadOnlyMemory<byte> Memory => _bytes;

    /// <summary>Copies <paramref name="bytes"/>. Throws <see cref="ArgumentException"/> where their number is outside the limits.</summary>
    public static Key From(ReadOnlySpan<byte> bytes)
    {
        ThrowIfBadLength(bytes.Length);
        return new(bytes.ToArray());
    }

    /// <summary>The UTF-8 bytes of <paramref name="text"/>. Throws <see cref="ArgumentException"/> where their number is outside the limits.</summary>
    public static Key From(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var bytes = Encoding.UTF8.GetBytes(text);
        ThrowIfBadLength(bytes.Length);
        return new(bytes);
    }

    public static implicit operator Key(string text) => From(text);

    private static void ThrowIfBadLength(int length)
    {
        if (length is 0 or > Limits.MaxKeyBytes)
        {
            throw new ArgumentException(length == 0
                ? "The key is empty: a key has 1 to 1,024 bytes."
                : $"The key has {length} bytes; the limit is {Limits.MaxKeyBytes} (Limits.MaxKeyBytes).");
        }
    }

    /// <inheritdoc/>
    public bool Equals(Key other) => Span.SequenceEqual(other.Span);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Key other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.AddBytes(Span);
        return hash.ToHashCode();
    }

    /// <inheritdoc/>
    public int CompareTo(Key other) => Span.SequenceCompareTo(other.Span);

    public static bool operator ==(Key left, Key right) => left.Equals(right);
    public static bool operator !=(Key left, Key right) => !left.Equals(right);

    /// <summary>The key as UTF-8 text where it is that, else as base64.</summary>
    public override string ToString() =>
        System.Text.Unicode.Utf8.IsValid(Span) ? Encoding.UTF8.GetString(Span) : Convert.ToBase64String(Span);
}
