using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using CsCheck;
using Quicksilver.Cli.Ndjson;
using Quicksilver.Client;
using Quicksilver.Model;

namespace Quicksilver.Cli.Tests;

/// <summary>
/// Goal: import reads what export wrote, for any bytes, and says why it leaves a line out. Method: round trips of random rows,
/// a table of bad lines with their reasons.
/// </summary>
public sealed class ImportRecordTests
{
    private static ImportRecord Parse(string line) => ImportRecord.Parse(Encoding.UTF8.GetBytes(line));

    private static byte[] Write(byte[] key, byte[] value, byte[] metadata)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            RowJson.Write(json, key, new(value, metadata, new(7)), withRevision: false);
            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    private static void AssertRoundTrip(byte[] key, byte[] value, byte[] metadata)
    {
        var line = Write(key, value, metadata);
        Assert.DoesNotContain((byte)'\n', line);
        Assert.True(line.Length <= ImportRecord.MaxLineBytes);
        var record = ImportRecord.Parse(line);
        Assert.Equal(key, record.Key.Span);
        Assert.Equal(value, record.Value);
        Assert.Equal(metadata, record.Metadata);
    }

    [Theory]
    [InlineData("""{"key":"a","value":"b"}""", "a", "b", "")]
    [InlineData("""{"value":"","key":"a"}""", "a", "", "")]
    [InlineData("""{"key_base64":"YQ==","value_base64":"Yg==","metadata_base64":"Yw=="}""", "a", "b", "c")]
    [InlineData("""  { "key" : "a" , "value" : "b" , "metadata" : "c" }  """, "a", "b", "c")]
    [InlineData("""{"key":"\u00e4\n","value":"\ud83d\ude00"}""", "ä\n", "😀", "")]
    public void A_good_line_is_read(string line, string key, string value, string metadata)
    {
        var record = Parse(line);
        Assert.Equal(
            (key, value, metadata), (record.Key.ToString(), Encoding.UTF8.GetString(record.Value), Encoding.UTF8.GetString(record.Metadata)));
    }

    [Fact]
    public void A_row_that_expires_is_read_as_it_was_written()
    {
        var expires = new DateTimeOffset(2026, 11, 25, 1, 2, 3, 456, TimeSpan.Zero);
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            RowJson.Write(json, "k"u8, new("v"u8.ToArray(), default, new(7)) { ExpiresAt = expires }, withRevision: false);
            json.WriteEndObject();
        }

        Assert.Contains("\"expires\":\"2026-11-25T01:02:03.456Z\"", Encoding.UTF8.GetString(stream.ToArray()), StringComparison.Ordinal);
        Assert.Equal(expires, ImportRecord.Parse(stream.ToArray()).Expires);
        Assert.Null(Parse("""{"key":"a","value":"b"}""").Expires);
    }

    [Theory]
    [InlineData("500ms", 500)]
    [InlineData("90s", 90_000)]
    [InlineData("1.5s", 1_500)]
    [InlineData("15m", 900_000)]
    [InlineData("12h", 43_200_000)]
    [InlineData("30d", 2_592_000_000)]
    public void A_duration_is_a_number_with_its_unit(string text, long milliseconds) =>
        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), Durations.Parse(text));

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("s")]
    [InlineData("-5s")]
    [InlineData("5 s")]
    [InlineData("1e9d")]
    [InlineData("99999999999999999d")]
    [InlineData("5w")]
    public void What_is_no_duration_is_refused_with_what_one_is(string text) =>
        Assert.Contains("a number and its unit", Assert.Throws<FormatException>(() => Durations.Parse(text)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("", "not valid JSON")]
    [InlineData("""{"key":"a","value":"b","expires":5}""", "'expires' is not one time")]
    [InlineData("""{"key":"a","value":"b","expires":"soon"}""", "'expires' is not one time")]
    [InlineData("""{"key":"a","value":"b","expires":"2026-01-31T12:00:00Z","expires":"2026-01-31T12:00:00Z"}""", "'expires' is not one time")]
    [InlineData("x", "not valid JSON")]
    [InlineData("[]", "not a JSON object")]
    [InlineData("\"text\"", "not a JSON object")]
    [InlineData("{", "not valid JSON")]
    [InlineData("""{"key":"a","value":"b" """, "not valid JSON")]
    [InlineData("""{"key":"a","value":"b",}""", "not valid JSON")]
    [InlineData("""{"key":"a" "value":"b"}""", "not valid JSON")]
    [InlineData("""{'key':'a','value':'b'}""", "not valid JSON")]
    [InlineData("""{"key":"a","value":"b"} {"key":"c","value":"d"}""", "not valid JSON")]
    [InlineData("""{"key":"a","value":"b"} x""", "not valid JSON")]
    [InlineData("""{"key":"a","value":"b"} // comment""", "not valid JSON")]
    [InlineData("{}", "no key")]
    [InlineData("""{"value":"b"}""", "no key")]
    [InlineData("""{"key":"a"}""", "no value")]
    [InlineData("""{"key":"a","metadata":"b"}""", "no value")]
    [InlineData("""{"key":"a","key":"b","value":"c"}""", "two keys")]
    [InlineData("""{"key":"a","key_base64":"YQ==","value":"c"}""", "two keys")]
    [InlineData("""{"key":"a","value":"b","value_base64":"Yg=="}""", "two values")]
    [InlineData("""{"key":"a","value":"b","metadata":"c","metadata":"c"}""", "two metadata")]
    [InlineData("""{"key":"a","value":"b","ttl":"5"}""", "unknown field 'ttl'")]
    [InlineData("""{"Key":"a","value":"b"}""", "unknown field 'Key'")]
    [InlineData("""{"key":1,"value":"b"}""", "'key' is not a string")]
    [InlineData("""{"key":"a","value":null}""", "'value' is not a string")]
    [InlineData("""{"key":"a","value":{"x":"y"}}""", "'value' is not a string")]
    [InlineData("""{"key":"a","value":["y"]}""", "'value' is not a string")]
    [InlineData("""{"key":"a","value_base64":true}""", "'value_base64' is not a string")]
    [InlineData("""{"key_base64":"?","value":"b"}""", "'key_base64' is not base64")]
    [InlineData("""{"key":"a","value_base64":"YQ"}""", "'value_base64' is not base64")]
    [InlineData("""{"key":"","value":"b"}""", "key is empty")]
    [InlineData("""{"key_base64":"","value":"b"}""", "key is empty")]
    [InlineData("""{"key":"\ud83d","value":"b"}""", "not valid text")]
    [InlineData("""{"key":"a","value":"\udc00"}""", "not valid text")]
    [InlineData("""{"\ud83d":"a","value":"b"}""", "not valid text")]
    public void A_bad_line_is_refused_and_the_reason_named(string line, string reason)
    {
        var e = Assert.Throws<FormatException>(() => Parse(line));
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("Parameter", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_that_are_no_text_are_refused() => Assert.Contains(
        "not valid", Assert.Throws<FormatException>(() => ImportRecord.Parse([.. "{\"key\":\""u8, 0xff, .. "\",\"value\":\"b\"}"u8])).Message, StringComparison.Ordinal);

    [Fact]
    public void What_is_over_a_limit_is_refused_and_what_is_at_it_is_read()
    {
        Assert.Equal(Limits.MaxKeyBytes, Parse($$"""{"key":"{{new string('k', Limits.MaxKeyBytes)}}","value":"b"}""").Key.Span.Length);
        Assert.Contains("1025 bytes", Assert.Throws<FormatException>(() => Parse($$"""{"key":"{{new string('k', 1025)}}","value":"b"}""")).Message, StringComparison.Ordinal);
        Assert.Contains(
            "limit", Assert.Throws<FormatException>(() => Parse($$"""{"key":"a","value":"{{new string('v', Limits.MaxValueBytes + 1)}}"}""")).Message, StringComparison.Ordinal);
        Assert.Contains(
            "metadata", Assert.Throws<FormatException>(() => Parse($$"""{"key":"a","value":"b","metadata":"{{new string('m', 1025)}}"}""")).Message, StringComparison.Ordinal);
        Assert.Throws<FormatException>(() => Parse(new string('[', 10_000)));
        Assert.Throws<FormatException>(() => Parse("{\"key\":" + new string('[', 10_000)));
    }

    [Fact]
    public void Any_row_is_read_back_as_it_was_written() => Gen.Select(Gen.Byte.Array[1, 40], Gen.Byte.Array[0, 60], Gen.Byte.Array[0, 20])
        .Sample(AssertRoundTrip);

    [Fact]
    public void Any_text_is_read_back_as_it_was_written()
    {
        var text = Gen.OneOf(Gen.Char[(char)0, (char)0x7f], Gen.Char["\"\\/\u2028\u2029\ufeff\u0000\u0085<>&+'äß€"]).Array[1, 20]
            .Select(chars => Encoding.UTF8.GetBytes(new string(chars)));
        Gen.Select(text, text, text).Sample(AssertRoundTrip);
    }

    [Fact]
    public void The_largest_row_fits_a_line_however_it_is_escaped()
    {
        foreach (var filler in new byte[] { 0, (byte)'a', (byte)'"', 0xff })
        {
            byte[] Fill(int count) => [.. Enumerable.Repeat(filler, count)];
            AssertRoundTrip(Fill(Limits.MaxKeyBytes), Fill(Limits.MaxValueBytes), Fill(Limits.MaxMetadataBytes));
        }
    }

    [Fact]
    public void Random_lines_are_read_or_refused_with_a_reason() => Gen.Char["{}[]\":,\\ u0keyvalue_bs64metd\ud83d\ndc00"].Array[0, 60].Sample(
        chars =>
        {
            try
            {
                Parse(new string(chars));
            }
            catch (FormatException)
            {
                // The one answer to what is not a record.
            }
        },
        iter: 20_000);
}
