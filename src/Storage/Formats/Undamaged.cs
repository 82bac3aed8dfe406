using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>Reads what this store wrote itself: bytes that do not fit their format are damage, not somebody's bad input.</summary>
internal static class Undamaged
{
    public delegate T Parse<out T>(ReadOnlySpan<byte> bytes);

    public static T Read<T>(ReadOnlySpan<byte> bytes, Parse<T> parse, string what)
    {
        try
        {
            return parse(bytes);
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            throw new StorageException(StorageFault.Corrupt, $"Damaged: {what}. {e.Message}", e);
        }
    }
}
