using CsCheck;

namespace Quicksilver.Model.Tests;

/// <summary>Goal: a subscription says of every name whether it is in it, and of another whether it surely is. Method: tables, and random patterns against their meaning.</summary>
public sealed class SubscriptionTests
{
    private static Subscription Of(params string[] patterns)
    {
        Assert.True(Subscription.TryCreate(patterns, out var subscription, out var problem), problem);
        return subscription;
    }

    [Theory]
    [InlineData("flags", "flags", true)]
    [InlineData("flags", "flags2", false)]
    [InlineData("route-*", "route-", true)]
    [InlineData("route-*", "route-eu", true)]
    [InlineData("route-*", "routes", false)]
    [InlineData("*-eu", "flags-eu", true)]
    [InlineData("*-eu", "flags-eu-old", false)]
    [InlineData("a*b*c", "axxbyyc", true)]
    [InlineData("a*b*c", "abbbc", true)]
    [InlineData("a*b*c", "acb", false)]
    [InlineData("a**", "a", true)]
    public void A_pattern_matches_names(string pattern, string name, bool isIn) => Assert.Equal(isIn, Of(pattern).Includes(KeyspaceName.Parse(name)));

    [Theory]
    [InlineData("")]
    [InlineData("-a")]
    [InlineData("A")]
    [InlineData("a b")]
    [InlineData("a?")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123")]
    public void What_can_be_the_name_of_no_keyspace_is_refused(string pattern)
    {
        Assert.False(Subscription.TryCreate([pattern], out _, out var problem));
        Assert.Contains("neither a name of a keyspace nor a pattern", problem, StringComparison.Ordinal);
        Assert.False(Subscription.TryCreate([.. Enumerable.Range(0, Subscription.MaxPatterns + 1).Select(i => $"k{i}")], out _, out _));
        Assert.False(Subscription.TryCreate([null!], out _, out _));
    }

    [Fact]
    public void All_covers_everything_and_is_not_the_same_as_none()
    {
        Assert.True(Subscription.TryCreate(null, out var all, out _));
        Assert.Same(Subscription.All, all);
        Assert.Same(Subscription.All, Of("a", "*"));
        Assert.True(all.Covers(Of("a*")) && all.Covers(all) && all.Covers(Subscription.None));
        Assert.False(Of("a*").Covers(all));
        Assert.Equal(Subscription.None, Of());
        Assert.NotEqual(all, Subscription.None);
        Assert.False(Subscription.None.Includes(KeyspaceName.Parse("a")));
    }

    [Fact]
    public void Two_that_mean_the_same_are_equal()
    {
        Assert.Equal(Of("a*"), Of("a*", "ab", "a**", "a*b"));
        Assert.Equal(["a*", "b"], Of("b", "a**b", "a*").Patterns!);
        Assert.Same(Subscription.All, Of("**"));
        Assert.NotEqual(Of("a*"), Of("ab"));
    }

    [Fact]
    public void What_two_have_in_common_can_be_written_however_many_patterns_they_have()
    {
        var held = Of(["a*", .. Enumerable.Range(0, 63).Select(i => $"b{i}")]);
        var wanted = Of(["b*", .. Enumerable.Range(0, 63).Select(i => $"a{i}")]);
        var common = held.Common(wanted);
        Assert.Equal(Subscription.MaxPatterns, common.Patterns!.Count);
        Assert.True(held.Covers(common) && wanted.Covers(common));
        var writer = new ByteWriter();
        common.Write(writer);
        var reader = new ByteReader(writer.WrittenSpan);
        Assert.Equal(common, Subscription.Read(ref reader));
    }

    private static readonly Gen<string> Pattern = Letters("ab", "ab*", 4);

    private static readonly Gen<string> Name = Letters("ab", "abc", 5);

    private static Gen<string> Letters(string first, string then, int most) =>
        Gen.Select(Gen.Int[0, first.Length - 1], Gen.Int[0, then.Length - 1].Array[0, most]).Select((one, more) => first[one] + string.Concat(more.Select(i => then[i])));

    [Fact]
    public void What_is_covered_or_in_common_is_in_both() => Gen.Select(Pattern.Array[0, 3], Pattern.Array[0, 3], Name.Array[20, 20]).Sample((left, right, names) =>
    {
        var (a, b) = (Of(left), Of(right));
        var common = a.Common(b);
        Assert.True(a.Covers(common) && b.Covers(common));
        Assert.Equal(common, b.Common(a));
        foreach (var name in names.Select(KeyspaceName.Parse))
        {
            Assert.True(!a.Covers(b) || !b.Includes(name) || a.Includes(name));
            Assert.True(!common.Includes(name) || (a.Includes(name) && b.Includes(name)));
        }
    });

    [Fact]
    public void The_bytes_of_a_subscription_are_read_back() => Pattern.Array[0, 5].Sample(patterns =>
    {
        foreach (var subscription in new[] { Of(patterns), Subscription.All })
        {
            var writer = new ByteWriter();
            subscription.Write(writer);
            var reader = new ByteReader(writer.WrittenSpan);
            Assert.Equal(subscription, Subscription.Read(ref reader));
            reader.ExpectEnd();
            Assert.True(writer.Length <= Subscription.MaxBytes);
        }
    });
}
