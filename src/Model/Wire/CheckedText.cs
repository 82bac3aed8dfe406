using System.Buffers.Text;
using System.IO.Hashing;

namespace Quicksilver.Model;

/// <summary>
/// A few bytes as a text that people and programs carry from here to there: version, content, checksum (XXH32), in the alphabet of URLs. One
/// content has one text; what was changed or cut is not taken.
/// </summary>
internal static class CheckedText
{
    public const int PositionBytes = 4 + HistoryId.SizeBytes + 8;

    private const int ChecksumBytes = 4;

    public static string Encode(byte version, ReadOnlySpan<byte> content)
    {
        Span<byte> bytes = stackalloc byte[1 + content.Length + ChecksumBytes];
        bytes[0] = version;
        content.CopyTo(bytes[1..]);
        XxHash32.Hash(bytes[..^ChecksumBytes], bytes[^ChecksumBytes..]);
        return Base64Url.EncodeToString(bytes);
    }

    /// <summary>Fills <paramref name="content"/>, which is as long as it must be; false where the text is none of this version and length.</summary>
    public static bool TryDecode(ReadOnlySpan<char> text, byte version, Span<byte> content)
    {
        Span<byte> bytes = stackalloc byte[1 + content.Length + ChecksumBytes];
        if (text.Length != Base64Url.GetEncodedLength(bytes.Length)
            || !Base64Url.IsValid(text)
            || !Base64Url.TryDecodeFromChars(text, bytes, out var length)
            || length != bytes.Length
            || bytes[0] != version)
        {
            return false;
        }

        // Bits that the encoding leaves over must be the ones that it writes, so the text is compared and not only its checksum.
        bytes[1..^ChecksumBytes].CopyTo(content);
        return text.SequenceEqual(Encode(version, content));
    }

    public static void WritePosition(ByteWriter writer, LogPosition position)
    {
        writer.WriteUInt32((uint)position.Log.Value);
        position.History.Write(writer.Reserve(HistoryId.SizeBytes));
        writer.WritePosition(position.Revision.Value);
    }

    /// <summary>False where it cannot be one.</summary>
    public static bool TryReadPosition(ref ByteReader reader, out LogPosition position)
    {
        var log = reader.ReadUInt32();
        var history = HistoryId.Read(reader.Take(HistoryId.SizeBytes));
        var revision = reader.ReadUInt64();
        var isOne = log <= int.MaxValue && revision <= long.MaxValue;
        position = isOne ? new(new((int)log), history, new((long)revision)) : default;
        return isOne;
    }
}
