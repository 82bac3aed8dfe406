using Quicksilver.Model;

namespace Quicksilver.Sequencing.Tests;

/// <summary>Goal: who waits for an index is woken once it is reached, or told why it never will be, and leaves nothing behind.</summary>
public sealed class IndexWaitersTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly IndexWaiters _waiters = new();

    [Fact]
    public async Task Each_waits_until_its_own_index_is_reached()
    {
        var second = _waiters.WaitAsync(new(2), Stop).AsTask();
        var first = _waiters.WaitAsync(new(1), Stop).AsTask();
        _waiters.Reach(new(1));
        await first;
        Assert.False(second.IsCompleted);
        _waiters.Reach(new(3));
        await second;
        await _waiters.WaitAsync(new(3), Stop);
    }

    [Fact]
    public async Task Who_gave_up_is_forgotten()
    {
        using var tired = new CancellationTokenSource();
        var waiting = Enumerable.Range(1, 100).Select(i => _waiters.WaitAsync(new(i), tired.Token).AsTask()).ToList();
        var patient = _waiters.WaitAsync(new(50), Stop).AsTask();
        Assert.Equal(101, _waiters.Count);
        await tired.CancelAsync();
        foreach (var caller in waiting)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => caller);
        }

        Assert.Equal(1, _waiters.Count);
        _waiters.Reach(new(50));
        await patient;
    }

    [Fact]
    public async Task Those_who_wait_and_those_who_come_later_hear_why_it_is_never_reached()
    {
        var waiting = _waiters.WaitAsync(new(1), Stop).AsTask();
        var next = _waiters.WaitNextAsync(Stop).AsTask();
        _waiters.Fail(new InvalidOperationException("lost"));
        Assert.Equal("lost", (await Assert.ThrowsAsync<InvalidOperationException>(() => waiting)).Message);
        Assert.Equal("lost", (await Assert.ThrowsAsync<InvalidOperationException>(() => next)).Message);
        Assert.Equal("lost", (await Assert.ThrowsAsync<InvalidOperationException>(() => _waiters.WaitAsync(new(1), Stop).AsTask())).Message);
    }
}
