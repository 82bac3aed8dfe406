using System.Buffers.Binary;
using System.Globalization;

namespace Quicksilver.Model;

/// <summary>
/// 128 bits made once, by the first command of a hub, stored on every node and checked on every pull, so that data of one
/// cluster is never mixed with data of another. Zero means "not known yet".
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.ClusterUuid")]
public readonly record struct ClusterUuid([property: Id(0)] ulong High, [property: Id(1)] ulong Low)
{
    /// <summary>Bytes of the binary form: two big-endian 64-bit halves, high first.</summary>
    public const int SizeBytes = 16;

    /// <summary>True for the value that means "not known yet".</summary>
    public bool IsNone => High == 0 && Low == 0;

    /// <summary>Reads the binary form from the first 16 bytes of <paramref name="source"/>.</summary>
    public static ClusterUuid Read(ReadOnlySpan<byte> source) =>
        new(BinaryPrimitives.ReadUInt64BigEndian(source), BinaryPrimitives.ReadUInt64BigEndian(source[8..]));

    /// <summary>Writes the binary form to the first 16 bytes of <paramref name="destination"/>.</summary>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, High);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], Low);
    }

    /// <summary>Reads the 32 hexadecimal digits of <see cref="ToString"/>; false where <paramref name="text"/> is not that.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out ClusterUuid uuid)
    {
        uuid = default;
        if (text.Length != 32
            || !ulong.TryParse(text[..16], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var high)
            || !ulong.TryParse(text[16..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var low))
        {
            return false;
        }

        uuid = new(high, low);
        return true;
    }

    /// <summary>32 lower-case hexadecimal digits.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{High:x16}{Low:x16}");
}
