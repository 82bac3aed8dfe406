namespace Quicksilver.Model;

/// <summary>
/// Bytes that should hold a known format do not: cut off, over a limit, of an unknown version, or damaged. Nothing was read
/// from them and nothing may be applied.
/// </summary>
[GenerateSerializer, Alias("qs.MalformedDataException")]
public sealed class MalformedDataException : FormatException
{
    public MalformedDataException(string message) : base(message)
    {
    }
}
