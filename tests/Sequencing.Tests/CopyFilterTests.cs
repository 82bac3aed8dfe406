using Quicksilver.Model;

namespace Quicksilver.Sequencing.Tests;

/// <summary>Goal: a call takes effect once, however often Orleans sends it. Method: numbers of calls in every order that matters.</summary>
public sealed class CopyFilterTests
{
    private readonly CopyFilter _copies = new();

    [Fact]
    public void A_call_is_let_in_once_and_one_that_a_later_one_overtook_is_not()
    {
        Assert.True(_copies.IsFirst(new(7, 1)));
        Assert.False(_copies.IsFirst(new(7, 1)));
        Assert.True(_copies.IsFirst(new(7, 3)));
        Assert.False(_copies.IsFirst(new(7, 2)));
        Assert.False(_copies.IsFirst(new(7, 3)));
    }

    [Fact]
    public void Callers_do_not_know_of_each_other_and_calls_without_a_caller_are_let_in()
    {
        Assert.True(_copies.IsFirst(new(7, 2)));
        Assert.True(_copies.IsFirst(new(8, 1)));
        Assert.True(_copies.IsFirst(default));
        Assert.True(_copies.IsFirst(default));
    }

    [Fact]
    public void As_many_callers_as_the_limit_says_are_remembered_and_the_first_is_forgotten_then()
    {
        for (ulong caller = 1; caller <= CopyFilter.MaxCallers; caller++)
        {
            Assert.True(_copies.IsFirst(new(caller, 1)));
        }

        Assert.False(_copies.IsFirst(new(1, 1)));
        Assert.True(_copies.IsFirst(new(CopyFilter.MaxCallers + 1, 1)));
        Assert.True(_copies.IsFirst(new(1, 1)));
        Assert.False(_copies.IsFirst(new(CopyFilter.MaxCallers, 1)));
    }
}
