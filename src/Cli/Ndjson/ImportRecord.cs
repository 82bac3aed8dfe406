using System.Text.Json;
using Quicksilver.Model;

namespace Quicksilver.Cli.Ndjson;

/// <summary>One record of an import file.</summary>
/// <param name="Expires">When the row is over; null where it stays.</param>
internal sealed record ImportRecord(Key Key, byte[] Value, byte[] Metadata, DateTimeOffset? Expires)
{
    /// <summary>
    /// Longest line, bytes: the largest record with every byte written as a six-character escape.
    /// </summary>
    public const int MaxLineBytes = 6 * (Limits.MaxKeyBytes + Limits.MaxValueBytes + Limits.MaxMetadataBytes) + 1024;

    /// <summary>Reads a line: <c>{"key"|"key_base64", "value"|"value_base64", "metadata"|"metadata_base64"?, "expires"?}</c>. Throws <see cref="FormatException"/> with the reason.</summary>
    public static ImportRecord Parse(ReadOnlySpan<byte> line)
    {
        try
        {
            var reader = new Utf8JsonReader(line);
            byte[]? key = null, value = null, metadata = null;
            DateTimeOffset? expires = null;
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            {
                throw new FormatException("it is not a JSON object");
            }

            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = reader.GetString()!;
                reader.Read();
                switch (name)
                {
                    case "key" or "key_base64":
                        Set(ref key, ref reader, name, "key");
                        break;
                    case "value" or "value_base64":
                        Set(ref value, ref reader, name, "value");
                        break;
                    case "metadata" or "metadata_base64":
                        Set(ref metadata, ref reader, name, "metadata");
                        break;
                    case "expires":
                        expires = expires is null && reader.TokenType == JsonTokenType.String && reader.TryGetDateTimeOffset(out var time)
                            ? time
                            : throw new FormatException("'expires' is not one time as 2026-01-31T12:00:00Z");
                        break;
                    default:
                        throw new FormatException($"it has the unknown field '{name}'");
                }
            }

            if (reader.Read())
            {
                throw new FormatException("there is something after the object");
            }

            if (key is null || value is null)
            {
                throw new FormatException($"it has no {(key is null ? "key" : "value")}");
            }

            var mutation = Mutation.Put(Key.From(key), value, metadata);
            return new(mutation.Key, value, metadata ?? [], expires);
        }
        catch (JsonException e)
        {
            throw new FormatException($"it is not valid JSON ({FirstSentence(e.Message)})");
        }
        catch (InvalidOperationException e)
        {
            // An escaped half of a surrogate pair: valid JSON, but no text.
            throw new FormatException($"it is not valid text ({FirstSentence(e.Message)})");
        }
        catch (ArgumentException e)
        {
            throw new FormatException(e.Message.Split(" (Parameter '")[0]);
        }
    }

    private static void Set(ref byte[]? field, ref Utf8JsonReader reader, string name, string what)
    {
        if (field is not null)
        {
            throw new FormatException($"it has two {(what == "metadata" ? "metadata fields" : what + "s")}");
        }

        if (reader.TokenType != JsonTokenType.String)
        {
            throw new FormatException($"'{name}' is not a string");
        }

        if (!name.EndsWith("_base64", StringComparison.Ordinal))
        {
            field = System.Text.Encoding.UTF8.GetBytes(reader.GetString()!);
        }
        else if (!reader.TryGetBytesFromBase64(out field))
        {
            throw new FormatException($"'{name}' is not base64");
        }
    }

    private static string FirstSentence(string text) => text.Split(". ")[0].TrimEnd('.');
}
