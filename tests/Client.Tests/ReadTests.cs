using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: a read is made again where that may help, no more often than that, and ends in its own time. Method: the caller over a link of the test;
/// each try is answered as the test says, and time is the test's.
/// </summary>
public sealed class ReadTests : IAsyncDisposable
{
    private readonly PausedTime _time = new();
    private readonly TestLink _link;
    private readonly Caller _caller;
    private int _asked;

    public ReadTests()
    {
        _link = new(_time);
        _caller = new(_link, _link, new(), _time);
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static Task<string> NeverAsync() => new TaskCompletionSource<string>().Task;

    /// <summary>Reads; "busy" is no answer. The last of the tries stands for all that follow.</summary>
    private Task<string> ReadAsync(TimeSpan? limit, CancellationToken cancellation, params Func<Task<string>>[] tries) => _caller.ReadAsync(
        _ => new ValueTask<string>(tries[Math.Min(_asked++, tries.Length - 1)]()), static answer => answer != "busy", _caller.Begin(limit), cancellation).AsTask();

    /// <summary>Lets time pass from pause to pause until the read, begun just now, has ended.</summary>
    private async Task<string> EndAsync(Task<string> read, TimeSpan limit)
    {
        var deadline = _time.GetUtcNow() + limit;
        await Eventually.TrueAsync(
            () =>
            {
                _time.EndPause(deadline);
                return read.IsCompleted;
            },
            "the end of the read", Stop);
        return await read;
    }

    [Fact]
    public async Task A_read_whose_link_is_lost_is_made_once_more_over_the_next()
    {
        var read = ReadAsync(
            null, Stop,
            async () =>
            {
                await _link.ReplaceSessionAsync();
                return await NeverAsync();
            },
            () => Task.FromResult("answer"));
        Assert.Equal("answer", await EndAsync(read, QuicksilverClientOptions.DefaultDeadline));
        Assert.Equal(2, _asked);
    }

    [Fact]
    public async Task A_read_ends_at_its_own_deadline_and_says_which_that_was()
    {
        var read = ReadAsync(TimeSpan.FromMilliseconds(250), Stop, NeverAsync);
        _time.Advance(TimeSpan.FromMilliseconds(249));
        Assert.False(read.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        var e = await Assert.ThrowsAsync<QuicksilverException>(() => read);
        Assert.Equal((QuicksilverErrorCode.Unavailable, WriteOutcome.NotAWrite), (e.Code, e.Outcome));
        Assert.Contains("within 0.25 s", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_read_that_is_refused_until_its_deadline_ends_with_the_last_refusal_and_no_try_that_cannot_end()
    {
        // At 0, 10 and 30 ms; the next pause, of 40 ms, would be longer than what is left.
        var limit = TimeSpan.FromMilliseconds(50);
        Assert.Equal("busy", await EndAsync(ReadAsync(limit, Stop, () => Task.FromResult("busy")), limit));
        Assert.Equal(3, _asked);
    }

    [Fact]
    public async Task A_caller_that_stops_waiting_for_a_read_is_cancelled_and_the_read_not_made_again()
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var read = ReadAsync(null, patience.Token, NeverAsync);
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);
        Assert.Equal(1, _asked);
    }

    [Fact]
    public async Task A_read_that_waits_for_a_link_ends_with_the_client()
    {
        _link.GoDown();
        var read = ReadAsync(null, Stop, NeverAsync);
        Assert.True(_caller.Close());
        await _link.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => read);
        Assert.Equal(0, _asked);
    }

    public ValueTask DisposeAsync() => _link.DisposeAsync();
}
