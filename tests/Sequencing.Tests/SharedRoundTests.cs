namespace Quicksilver.Sequencing.Tests;

/// <summary>Goal: many askers cost few rounds, and nobody is told what was found out before it asked. Method: rounds that the test ends.</summary>
public sealed class SharedRoundTests
{
    private readonly List<TaskCompletionSource<int>> _rounds = [];
    private readonly SharedRound<int> _shared;

    public SharedRoundTests() => _shared = new(() =>
    {
        var round = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_rounds)
        {
            _rounds.Add(round);
        }

        return round.Task;
    });

    [Fact]
    public async Task Those_who_come_while_a_round_is_under_way_share_the_next_one()
    {
        var first = _shared.RunAsync();
        var later = Enumerable.Range(0, 100).Select(_ => _shared.RunAsync()).ToList();
        Assert.Single(_rounds);
        _rounds[0].SetResult(1);
        Assert.Equal(1, await first);
        await Testing.Eventually.TrueAsync(() => _rounds.Count == 2, "the second round", TestContext.Current.CancellationToken);

        // The second has begun: who comes now gets the third.
        var last = _shared.RunAsync();
        _rounds[1].SetResult(2);
        Assert.All(await Task.WhenAll(later), told => Assert.Equal(2, told));
        await Testing.Eventually.TrueAsync(() => _rounds.Count == 3, "the third round", TestContext.Current.CancellationToken);
        _rounds[2].SetResult(3);
        Assert.Equal(3, await last);
        var alone = _shared.RunAsync();
        Assert.Equal(4, _rounds.Count);
        _rounds[3].SetResult(4);
        Assert.Equal(4, await alone);
    }

    [Fact]
    public async Task A_round_that_fails_fails_for_those_who_share_it_and_for_nobody_else()
    {
        var first = _shared.RunAsync();
        var second = _shared.RunAsync();
        _rounds[0].SetException(new InvalidOperationException("first"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => first);
        await Testing.Eventually.TrueAsync(() => _rounds.Count == 2, "the second round", TestContext.Current.CancellationToken);
        _rounds[1].SetResult(2);
        Assert.Equal(2, await second);
    }
}
