using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;

namespace Quicksilver.Storage.Tests;

/// <summary>
/// Goal: whoever waits for a revision is let go when it is there, when the time is over, or when he gives up, and the room never
/// holds more than it may. Method: the room alone, with fake time.
/// </summary>
public sealed class RevisionWaitersTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(1);

    private readonly FakeTimeProvider _time = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private async Task<bool> Wait(RevisionWaiters waiters, long revision, TimeSpan? timeout = null, CancellationToken? cancellation = null) =>
        await waiters.WaitAsync(new(revision), timeout ?? Long, _time, cancellation ?? Stop) == WaitResult.Reached;

    [Fact]
    public async Task A_revision_that_is_there_is_not_waited_for()
    {
        var waiters = new RevisionWaiters(0);
        Assert.True(Wait(waiters, 0).IsCompleted);
        waiters.Publish(new(5));
        Assert.True(await Wait(waiters, 5));
        Assert.True(await Wait(waiters, 1, TimeSpan.Zero));
        Assert.False(await Wait(waiters, 6, TimeSpan.Zero));
        Assert.False(await Wait(waiters, 6, TimeSpan.FromSeconds(-1)));
        Assert.Equal(0, waiters.Inside);
    }

    [Fact]
    public async Task Waiters_are_let_go_by_revision_whatever_the_order_they_came_in()
    {
        var waiters = new RevisionWaiters(100);
        var waiting = new[] { 7L, 3, 5, 3, 9 }.Select(revision => (Revision: revision, Task: Wait(waiters, revision))).ToList();
        Assert.Equal(5, waiters.Inside);
        foreach (var published in new[] { 1L, 3, 4, 8, 20 })
        {
            waiters.Publish(new(published));
            Assert.All(await Task.WhenAll(waiting.Where(w => w.Revision <= published).Select(w => w.Task)), Assert.True);
            Assert.All(waiting.Where(w => w.Revision > published), w => Assert.False(w.Task.IsCompleted));
        }

        Assert.Equal(0, waiters.Inside);
    }

    [Fact]
    public async Task A_revision_published_late_does_not_take_back_a_later_one()
    {
        var waiters = new RevisionWaiters(1);
        waiters.Publish(new(10));
        waiters.Publish(new(3));
        Assert.True(await Wait(waiters, 10));
    }

    [Fact]
    public async Task A_full_room_lets_nobody_in_and_has_a_place_again_when_one_leaves()
    {
        var waiters = new RevisionWaiters(2);
        var (first, second) = (Wait(waiters, 1), Wait(waiters, 2));
        Assert.False(await Wait(waiters, 1));
        Assert.Equal(2, waiters.Inside);

        waiters.Publish(new(1));
        Assert.True(await first);
        var third = Wait(waiters, 3);
        Assert.False(third.IsCompleted);
        Assert.False(await Wait(waiters, 3));
        waiters.Publish(new(3));
        Assert.True(await second);
        Assert.True(await third);
    }

    [Fact]
    public async Task Time_over_is_no_and_frees_the_place()
    {
        var waiters = new RevisionWaiters(1);
        var waiting = Wait(waiters, 1, TimeSpan.FromSeconds(3));
        _time.Advance(TimeSpan.FromMilliseconds(2_999));
        Assert.False(waiting.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.False(await waiting);
        Assert.Equal(0, waiters.Inside);
        var next = Wait(waiters, 1);
        waiters.Publish(new(1));
        Assert.True(await next);
    }

    [Fact]
    public async Task Cancelling_is_told_from_time_over_and_frees_the_place()
    {
        var waiters = new RevisionWaiters(1);
        for (var i = 0; i < 1_000; i++)
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(Stop);
            var waiting = Wait(waiters, 1, cancellation: patience.Token);
            Assert.False(waiting.IsCompleted);
            await patience.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
            Assert.Equal(0, waiters.Inside);
        }

        using var already = new CancellationTokenSource();
        await already.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Wait(waiters, 1, cancellation: already.Token));
        Assert.Equal(0, waiters.Inside);
    }

    [Fact]
    public async Task A_wait_longer_than_a_timer_can_hold_is_refused_or_waited_and_leaves_no_place_taken()
    {
        var waiters = new RevisionWaiters(1);
        var waiting = Wait(waiters, 1, TimeSpan.MaxValue);
        waiters.Publish(new(1));
        await waiting.ContinueWith(_ => { }, Stop, TaskContinuationOptions.None, TaskScheduler.Default);
        Assert.Equal(0, waiters.Inside);
    }

    [Fact]
    public async Task Many_waiters_and_one_publisher_at_once_leave_nobody_behind()
    {
        var waiters = new RevisionWaiters(10_000);
        var readers = Enumerable.Range(0, 4).Select(reader => Task.Run(
            async () =>
            {
                for (long revision = 1 + reader; revision <= 2_000; revision += 3)
                {
                    Assert.Equal(WaitResult.Reached, await waiters.WaitAsync(new(revision), TimeSpan.FromSeconds(30), TimeProvider.System, Stop));
                }
            },
            Stop)).ToList();
        for (long revision = 1; revision <= 2_000; revision++)
        {
            waiters.Publish(new(revision));
            if (revision % 50 == 0)
            {
                await Task.Yield();
            }
        }

        await Task.WhenAll(readers);
        Assert.Equal(0, waiters.Inside);
    }
}
