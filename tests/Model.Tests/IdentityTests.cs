using CsCheck;

namespace Quicksilver.Model.Tests;

/// <summary>
/// Goal: names, ids and tokens are read back exactly or refused. Method: round trips of random ones, tables of good and bad
/// text, every single-character change of a token.
/// </summary>
public sealed class IdentityTests
{
    private static readonly Gen<LogPosition> Positions = Gen.Select(
        Gen.Int[0, int.MaxValue], Gen.ULong, Gen.ULong, Gen.Long[0, long.MaxValue],
        (log, high, low, revision) => new LogPosition(new(log), new(high, low), new(revision)));

    private static readonly Gen<SessionToken> Tokens =
        Gen.Select(Gen.ULong, Gen.ULong, Positions, (high, low, position) => new SessionToken(new(high, low), position));

    [Fact]
    public void Any_session_token_is_read_back_from_its_text() => Tokens.Sample(token =>
    {
        var text = token.ToString();
        return text.Length == SessionToken.TextLength && SessionToken.TryParse(text, out var read) && read == token;
    });

    [Fact]
    public void Every_change_of_one_character_of_a_session_token_is_refused()
    {
        var token = new SessionToken(new(0x0123456789abcdef, 0xfedcba9876543210), new(LogId.Main, new(77, 88), new(12_345)));
        var text = token.ToString();
        for (var at = 0; at < text.Length; at++)
        {
            var changed = text.ToCharArray();
            for (var c = (char)0; c < 256; c++)
            {
                changed[at] = c;
                if (c != text[at])
                {
                    Assert.False(SessionToken.TryParse(changed, out _), $"'{new string(changed)}' (character {at}) was taken for '{text}'.");
                }
            }
        }
    }

    [Fact]
    public void A_session_token_of_another_length_is_refused()
    {
        var text = new SessionToken(new(1, 2), new(LogId.Main, new(3, 4), new(5))).ToString();
        for (var length = 0; length < text.Length; length++)
        {
            Assert.False(SessionToken.TryParse(text.AsSpan(0, length), out _));
            Assert.False(SessionToken.TryParse(text[..length] + text[(length + 1)..], out _));
        }

        foreach (var longer in new[] { text + "A", text + "=", text + "==", " " + text, text + " ", text + text, text + "\n" })
        {
            Assert.False(SessionToken.TryParse(longer, out _));
        }
    }

    [Fact]
    public void Random_text_is_no_session_token() => Gen.Char["ABCabc019-_ =+/\n"].Array[SessionToken.TextLength]
        .Sample(text => !SessionToken.TryParse(text, out _));

    [Fact]
    public void A_swap_of_two_characters_of_a_session_token_is_refused() => Gen.Select(Tokens, Gen.Int[0, 65], Gen.Int[0, 65]).Sample((token, a, b) =>
    {
        var text = token.ToString();
        var swapped = text.ToCharArray();
        (swapped[a], swapped[b]) = (swapped[b], swapped[a]);
        return text.AsSpan().SequenceEqual(swapped) || !SessionToken.TryParse(swapped, out _);
    });

    [Fact]
    public void Any_operation_id_is_read_back_from_its_text_and_its_bytes() => Gen.Select(Gen.Long[0, long.MaxValue], Gen.ULong, Gen.ULong).Sample(
        (time, high, low) =>
        {
            var id = new OperationId(new(time), high, low);
            Span<byte> bytes = stackalloc byte[OperationId.SizeBytes];
            id.Write(bytes);
            return OperationId.TryParse(id.ToString(), out var read) && read == id && OperationId.Read(bytes) == id && id.ToString().Length == 48;
        });

    [Fact]
    public void Operation_ids_sort_by_time_as_text_and_as_bytes()
    {
        var ids = new[] { 0L, 1, 255, 256, 1L << 40, long.MaxValue }.Select(time => new OperationId(new(time), 0, 0).ToString()).ToList();
        Assert.Equal(ids.Order(StringComparer.Ordinal), ids);
    }

    [Theory]
    [InlineData("")]
    [InlineData("00")]
    [InlineData("00000000000000010000000000000002000000000000000")]
    [InlineData("0000000000000001000000000000000200000000000000033")]
    [InlineData("g00000000000000100000000000000020000000000000003")]
    [InlineData("0000000000000001 0000000000000020000000000000003")]
    [InlineData("ffffffffffffffff00000000000000020000000000000003")]
    public void What_is_no_operation_id_is_refused(string text) => Assert.False(OperationId.TryParse(text, out _));

    [Fact]
    public void Any_cluster_uuid_is_read_back_from_its_text() => Gen.Select(Gen.ULong, Gen.ULong).Sample((high, low) =>
        ClusterUuid.TryParse(new ClusterUuid(high, low).ToString(), out var read) && read == new ClusterUuid(high, low));

    [Theory]
    [InlineData("")]
    [InlineData("0000000000000001000000000000000")]
    [InlineData("000000000000000100000000000000022")]
    [InlineData("000000000000000100000000000000z2")]
    [InlineData(" 0000000000000010000000000000002")]
    [InlineData("0x000000000000010000000000000002")]
    [InlineData("-0000000000000010000000000000002")]
    public void What_is_no_cluster_uuid_is_refused(string text) => Assert.False(ClusterUuid.TryParse(text, out _));

    [Theory]
    [InlineData("a", true)]
    [InlineData("0", true)]
    [InlineData("eu-0", true)]
    [InlineData("a.b_c-d", true)]
    [InlineData("a..", true)]
    [InlineData("123456789012345678901234567890123456789012345678901234567890123", true)]
    [InlineData("1234567890123456789012345678901234567890123456789012345678901234", false)]
    [InlineData(null, false)]
    [InlineData("", false)]
    [InlineData(".a", false)]
    [InlineData("-a", false)]
    [InlineData("_a", false)]
    [InlineData("A", false)]
    [InlineData("aB", false)]
    [InlineData("a b", false)]
    [InlineData(" a", false)]
    [InlineData("a\n", false)]
    [InlineData("a/b", false)]
    [InlineData("a\0", false)]
    [InlineData("ä", false)]
    [InlineData("aé", false)]
    [InlineData("٣", false)]
    public void A_name_is_valid_by_one_rule_everywhere(string? text, bool valid)
    {
        Assert.Equal(valid, NodeId.TryParse(text, out var node));
        Assert.Equal(valid, RegionName.TryParse(text, out var region));
        Assert.Equal(valid, KeyspaceName.TryParse(text, out var keyspace));
        Assert.Equal(valid ? text : "", node.Value);
        Assert.Equal(valid ? text : "", region.Value);
        Assert.Equal(valid ? text : "", keyspace.Value);
        if (!valid && text is not null)
        {
            Assert.Contains("1 to 63", Assert.Throws<ArgumentException>(() => KeyspaceName.Parse(text)).Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => NodeId.Parse(text));
            Assert.Throws<ArgumentException>(() => RegionName.Parse(text));
        }
    }

    [Fact]
    public void A_position_covers_what_is_not_later_in_the_same_log_and_history()
    {
        var at = new LogPosition(LogId.Main, new(1, 2), new(10));
        Assert.True(at.Covers(at));
        Assert.True(at.Covers(at with { Revision = new(9) }));
        Assert.False(at.Covers(at with { Revision = new(11) }));
        Assert.False(at.Covers(at with { History = new(1, 3) }));
        Assert.False(at.Covers(at with { Log = new(1) }));
        Assert.True(at.Covers(LogPosition.None));
        Assert.True(LogPosition.None.Covers(LogPosition.None));
        Assert.False(LogPosition.None.Covers(at));
    }

    [Fact]
    public void The_chain_depends_on_content_and_order()
    {
        var (a, b) = (ChainHash.DigestOf("a"u8), ChainHash.DigestOf("b"u8));
        Assert.NotEqual(ChainHash.Empty.Append(a).Append(b), ChainHash.Empty.Append(b).Append(a));
        Assert.NotEqual(ChainHash.Empty.Append(a), ChainHash.Empty.Append(a).Append(a));

        // Fixed for ever: it is in every record of every log.
        Assert.Equal("99aa06d3014798d86001c324468d497f", ChainHash.DigestOf(default).ToString());
        Gen.Select(Gen.ULong, Gen.ULong).Sample((high, low) =>
        {
            Span<byte> bytes = stackalloc byte[ChainHash.SizeBytes];
            new ChainHash(high, low).Write(bytes);
            return ChainHash.Read(bytes) == new ChainHash(high, low);
        });
    }
}
