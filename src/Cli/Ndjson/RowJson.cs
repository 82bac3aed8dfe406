using System.Text.Json;
using System.Text.Unicode;
using Quicksilver.Client;

namespace Quicksilver.Cli.Ndjson;

/// <summary>Rows as JSON: bytes that are UTF-8 as text, all others as base64 under a name that says so. Loss-free for any bytes.</summary>
internal static class RowJson
{
    public static void Write(Utf8JsonWriter json, ReadOnlySpan<byte> key, Entry entry, bool withRevision)
    {
        WriteBytes(json, "key", key);
        WriteBytes(json, "value", entry.Value.Span);
        if (!entry.Metadata.IsEmpty)
        {
            WriteBytes(json, "metadata", entry.Metadata.Span);
        }

        if (entry.ExpiresAt is { } expires)
        {
            json.WriteString("expires", expires.UtcDateTime);
        }

        if (withRevision)
        {
            json.WriteNumber("revision", entry.Revision.Value);
        }
    }

    public static void WriteBytes(Utf8JsonWriter json, string name, ReadOnlySpan<byte> bytes)
    {
        if (Utf8.IsValid(bytes))
        {
            json.WriteString(name, bytes);
        }
        else
        {
            json.WriteBase64String(name + "_base64", bytes);
        }
    }
}
