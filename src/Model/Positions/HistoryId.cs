using System.Buffers.Binary;
using System.Globalization;

namespace Quicksilver.Model;

/// <summary>
/// 128 bits that name one unbroken history of the log. It changes at every restore or forced recovery, so that two positions
/// with equal revisions of different histories are never taken for the same state. Zero means "none yet".
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.HistoryId")]
public readonly record struct HistoryId([property: Id(0)] ulong High, [property: Id(1)] ulong Low)
{
    /// <summary>Bytes of the binary form: two big-endian 64-bit halves, high first.</summary>
    public const int SizeBytes = 16;

    /// <summary>True for the value that means "none yet".</summary>
    public bool IsNone => High == 0 && Low == 0;

    /// <summary>Reads the binary form from the first 16 bytes of <paramref name="source"/>.</summary>
    public static HistoryId Read(ReadOnlySpan<byte> source) =>
        new(BinaryPrimitives.ReadUInt64BigEndian(source), BinaryPrimitives.ReadUInt64BigEndian(source[8..]));

    /// <summary>Writes the binary form to the first 16 bytes of <paramref name="destination"/>.</summary>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, High);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], Low);
    }

    /// <summary>32 lower-case hexadecimal digits.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{High:x16}{Low:x16}");
}
