using CsCheck;

namespace Quicksilver.Model.Tests;

/// <summary>Goal: the text of a cursor is read back as it was, and no other text is taken for one. Method: random cursors; every change of every character.</summary>
public sealed class WatchCursorTests
{
    private static readonly WatchCursor Sample = new(new(0x0123456789abcdef, 0xfedcba9876543210), new(7), new(LogId.Main, new(77, 88), new(12_345)));

    [Fact]
    public void The_text_of_a_cursor_is_read_back() => Gen.Select(Gen.ULong, Gen.UInt, Gen.Int[0, int.MaxValue], Gen.Long[0, long.MaxValue]).Sample((number, keyspace, log, revision) =>
    {
        var cursor = new WatchCursor(new(number, ~number), new(keyspace), new(new(log), new(number / 3, number), new(revision)));
        var text = cursor.ToString();
        return text.Length == WatchCursor.TextLength && WatchCursor.TryParse(text, out var read) && read == cursor;
    });

    [Fact]
    public void Any_changed_character_any_other_length_and_a_session_token_are_refused()
    {
        var text = Sample.ToString();
        for (var at = 0; at < text.Length; at++)
        {
            foreach (var other in "AB_-019 =\n\u00e4")
            {
                var changed = text.ToCharArray();
                changed[at] = other;
                Assert.True(text[at] == other || !WatchCursor.TryParse(changed, out _), new string(changed));
            }

            Assert.False(WatchCursor.TryParse(text.AsSpan(0, at), out _));
            Assert.False(WatchCursor.TryParse(text.Remove(at, 1), out _));
            Assert.False(WatchCursor.TryParse(text.Insert(at, "A"), out _));
        }

        Assert.False(WatchCursor.TryParse(new SessionToken(Sample.Cluster, Sample.Position).ToString(), out _));
        Assert.False(SessionToken.TryParse(text, out _));
        Assert.False(WatchCursor.TryParse(new string('A', 1_000_000), out _));
    }
}
