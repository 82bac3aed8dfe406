using System.Buffers.Binary;
using System.Globalization;

namespace Quicksilver.Model;

/// <summary>
/// Names one write across all its retries. It starts with the log time at which it was issued (learned from any answer of the
/// cluster), so that ids sort by time and a hub can say of an old one "too old to know" instead of applying it again.
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.OperationId")]
public readonly record struct OperationId(
    [property: Id(0)] LogTime IssuedAt, [property: Id(1)] ulong RandomHigh, [property: Id(2)] ulong RandomLow)
{
    /// <summary>Bytes of the binary form: log time big-endian, then 16 random bytes.</summary>
    public const int SizeBytes = 24;

    /// <summary>True for the value that means "no operation id".</summary>
    public bool IsNone => this == default;

    /// <summary>A new id. The 16 bytes of <paramref name="random"/> must come from a good source: two equal ids are one write.</summary>
    public static OperationId Create(LogTime issuedAt, ReadOnlySpan<byte> random) => new(
        issuedAt, BinaryPrimitives.ReadUInt64BigEndian(random), BinaryPrimitives.ReadUInt64BigEndian(random[8..]));

    /// <summary>Reads the binary form from the first 24 bytes of <paramref name="source"/>.</summary>
    public static OperationId Read(ReadOnlySpan<byte> source) => Create(
        new LogTime(BinaryPrimitives.ReadInt64BigEndian(source)), source.Slice(8, 16));

    /// <summary>Writes the binary form to the first 24 bytes of <paramref name="destination"/>.</summary>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteInt64BigEndian(destination, IssuedAt.Value);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], RandomHigh);
        BinaryPrimitives.WriteUInt64BigEndian(destination[16..], RandomLow);
    }

    /// <summary>Reads the 48 hexadecimal digits of <see cref="ToString"/>; false where <paramref name="text"/> is not that.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out OperationId id)
    {
        id = default;
        Span<byte> bytes = stackalloc byte[SizeBytes];
        if (text.Length != 2 * SizeBytes
            || Convert.FromHexString(text, bytes, out _, out var written) != System.Buffers.OperationStatus.Done
            || written != SizeBytes)
        {
            return false;
        }

        id = Read(bytes);
        return id.IssuedAt.Value >= 0;
    }

    /// <summary>48 lower-case hexadecimal digits.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{IssuedAt.Value:x16}{RandomHigh:x16}{RandomLow:x16}");
}
