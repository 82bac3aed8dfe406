using System.Buffers.Binary;
using System.Globalization;
using System.IO.Hashing;

namespace Quicksilver.Model;

/// <summary>
/// Running hash over a log: <c>H(n) = XxHash128(H(n-1) || digest(n))</c>, where digest(n) is the XxHash128 of the bytes of
/// record n that the format document calls covered. Two nodes that show the same chain hash at the same revision have seen
/// the same records in the same order. It detects damage and divergence; it is not a signature.
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.ChainHash")]
public readonly record struct ChainHash([property: Id(0)] ulong High, [property: Id(1)] ulong Low)
{
    /// <summary>Bytes of the binary form: two big-endian 64-bit halves, high first.</summary>
    public const int SizeBytes = 16;

    /// <summary>The chain of an empty log.</summary>
    public static readonly ChainHash Empty;

    /// <summary>Digest of the covered bytes of one record.</summary>
    public static ChainHash DigestOf(ReadOnlySpan<byte> covered)
    {
        Span<byte> digest = stackalloc byte[SizeBytes];
        XxHash128.Hash(covered, digest);
        return Read(digest);
    }

    /// <summary>The chain after one more record with this <paramref name="digest"/>.</summary>
    public ChainHash Append(ChainHash digest)
    {
        Span<byte> input = stackalloc byte[2 * SizeBytes];
        Write(input);
        digest.Write(input[SizeBytes..]);
        return DigestOf(input);
    }

    /// <summary>Reads the binary form from the first 16 bytes of <paramref name="source"/>.</summary>
    public static ChainHash Read(ReadOnlySpan<byte> source) =>
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
