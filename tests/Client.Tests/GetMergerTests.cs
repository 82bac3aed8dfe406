using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: gets that are made at the same time share calls, each has its own answer, and none waits without need. Method: calls that end when the
/// test says.
/// </summary>
public sealed class GetMergerTests
{
    private readonly List<Call> _calls = [];
    private readonly GetMerger _merger;

    public GetMergerTests() => _merger = new(
        async (key, _, _) => (await CallAsync([key]))[0],
        async (keys, entries, _) =>
        {
            var call = await CallAsync(keys);
            call.CopyTo(entries, 0);
            return [.. Enumerable.Range(0, keys.Count).Where(i => keys[i].ToString().StartsWith("large", StringComparison.Ordinal))];
        });

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private sealed record Call(IReadOnlyList<Key> Keys)
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>The value of a key is the key; "none" has none.</summary>
    private async Task<Entry?[]> CallAsync(IReadOnlyList<Key> keys)
    {
        var call = new Call(keys);
        lock (_calls)
        {
            _calls.Add(call);
        }

        await call.Done.Task;
        return [.. keys.Select(key => key.ToString() == "none" ? null : new Entry(key.Memory, default, new(1)))];
    }

    private Task<Entry?> Get(string key, CancellationToken cancellation = default) =>
        _merger.GetAsync(key, new(TimeProvider.System, TimeSpan.FromSeconds(8)), cancellation).AsTask();

    private async Task<Call> CallNumber(int number)
    {
        await Testing.Eventually.TrueAsync(
            () =>
            {
                lock (_calls)
                {
                    return _calls.Count >= number;
                }
            },
            $"call {number}", Stop);
        lock (_calls)
        {
            return _calls[number - 1];
        }
    }

    private int Calls
    {
        get
        {
            lock (_calls)
            {
                return _calls.Count;
            }
        }
    }

    [Fact]
    public async Task Two_go_straight_and_those_that_come_meanwhile_share_the_next_call()
    {
        var first = Get("a");
        var second = Get("b");
        Assert.Equal(2, Calls);
        var later = new[] { "c", "none", "e" }.Select(key => Get(key)).ToList();
        Assert.Equal(2, Calls);
        (await CallNumber(1)).Done.SetResult();
        Assert.Equal("a", (await first)!.Text);
        var third = await CallNumber(3);
        Assert.Equal(["c", "none", "e"], third.Keys.Select(key => key.ToString()));

        // There is room for one more call, and nobody waits before it.
        (await CallNumber(2)).Done.SetResult();
        await second;
        var straight = Get("f");
        Assert.Equal(["f"], (await CallNumber(4)).Keys.Select(key => key.ToString()));
        third.Done.SetResult();
        Assert.Equal(["c", null, "e"], (await Task.WhenAll(later)).Select(entry => entry?.Text));
        (await CallNumber(4)).Done.SetResult();
        Assert.Equal("f", (await straight)!.Text);
        Assert.Equal(4, Calls);
    }

    [Fact]
    public async Task A_call_has_at_most_so_many_keys_and_bytes()
    {
        var straight = new[] { Get("a"), Get("b") };
        var many = Enumerable.Range(0, GetMerger.MaxKeys + 1).Select(i => Get($"k{i}")).ToList();
        var long1 = Enumerable.Range(0, (GetMerger.MaxKeyBytes / Limits.MaxKeyBytes) + 1).Select(i => Get($"{i:d3}".PadRight(Limits.MaxKeyBytes, 'x'))).ToList();
        for (var number = 1; many.Concat(long1).Any(get => !get.IsCompleted); number++)
        {
            var call = await CallNumber(number);
            Assert.InRange(call.Keys.Count, 1, GetMerger.MaxKeys);
            Assert.InRange(call.Keys.Sum(key => key.Span.Length), 1, GetMerger.MaxKeyBytes);
            call.Done.SetResult();
            await Task.WhenAny(Task.WhenAll(many.Concat(long1)), CallNumber(number + 1));
        }

        await Task.WhenAll(straight);
        Assert.All(many, (get, i) => Assert.Equal($"k{i}", get.Result!.Text));
    }

    [Fact]
    public async Task A_call_that_fails_fails_all_of_its_gets_and_no_others()
    {
        var straight = new[] { Get("a"), Get("b") };
        var merged = new[] { Get("c"), Get("d") };
        (await CallNumber(1)).Done.SetException(new IOException("lost"));
        await Assert.ThrowsAsync<IOException>(() => straight[0]);
        (await CallNumber(3)).Done.SetException(new IOException("lost as well"));
        foreach (var get in merged)
        {
            await Assert.ThrowsAsync<IOException>(() => get);
        }

        (await CallNumber(2)).Done.SetResult();
        Assert.Equal("b", (await straight[1])!.Text);

        // Neither is lost for the next ones.
        var next = new[] { Get("e"), Get("f") };
        (await CallNumber(4)).Done.SetResult();
        (await CallNumber(5)).Done.SetResult();
        await Task.WhenAll(next);
    }

    [Fact]
    public async Task Whoever_stops_waiting_takes_nothing_from_the_others_and_a_value_that_did_not_fit_comes_later()
    {
        var straight = new[] { Get("a"), Get("b") };
        using var impatient = new CancellationTokenSource();
        var stopped = Get("c", impatient.Token);
        var large = Get("large");
        var other = Get("d");
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stopped);
        (await CallNumber(1)).Done.SetResult();
        (await CallNumber(3)).Done.SetResult();
        Assert.Equal("d", (await other)!.Text);
        Assert.False(large.IsCompleted);
        var again = await CallNumber(4);
        Assert.Equal(["large"], again.Keys.Select(key => key.ToString()));
        again.Done.SetResult();
        Assert.Equal("large", (await large)!.Text);
        (await CallNumber(2)).Done.SetResult();
        await Task.WhenAll(straight);
    }

    [Fact]
    public async Task What_waits_is_bounded()
    {
        var straight = new[] { Get("a"), Get("b") };
        var waiting = Enumerable.Range(0, GetMerger.MaxWaiting).Select(_ => Get("k")).ToList();
        var refused = Assert.Throws<QuicksilverException>(() => { _ = Get("k"); });
        Assert.Equal(QuicksilverErrorCode.Overloaded, refused.Code);
        Assert.NotNull(refused.RetryAfter);
        for (var number = 1; !Task.WhenAll(waiting).IsCompleted; number++)
        {
            (await CallNumber(number)).Done.SetResult();
            await Task.WhenAny(Task.WhenAll(waiting), CallNumber(number + 1));
        }

        await Task.WhenAll(straight);
    }

    [Theory]
    [InlineData(2_000)]
    [InlineData(200)]
    public async Task A_get_that_came_later_does_not_end_with_the_time_of_the_first_of_its_call(int milliseconds)
    {
        var time = new FakeTimeProvider();
        var limit = TimeSpan.FromMilliseconds(milliseconds);
        Task<Entry?> GetTimed(string key) => _merger.GetAsync(key, new(time, limit), CancellationToken.None).AsTask();

        var straight = new[] { Get("a"), Get("b") };
        var first = GetTimed("c");
        time.Advance(limit * 0.75);
        var later = new[] { GetTimed("d"), GetTimed("e") };
        (await CallNumber(1)).Done.SetResult();
        var shared = await CallNumber(3);
        Assert.Equal(["c", "d", "e"], shared.Keys.Select(key => key.ToString()));

        // The call has the time of the first of its gets, and that is over.
        time.Advance(limit * 0.25);
        shared.Done.SetException(new QuicksilverException(QuicksilverErrorCode.Unavailable, "not answered in time"));
        await Assert.ThrowsAsync<QuicksilverException>(() => first);
        var again = await CallNumber(4);
        Assert.Equal(["d", "e"], again.Keys.Select(key => key.ToString()));
        again.Done.SetResult();
        Assert.Equal(["d", "e"], (await Task.WhenAll(later)).Select(entry => entry?.Text));
        (await CallNumber(2)).Done.SetResult();
        await Task.WhenAll(straight);
    }

    [Fact]
    public async Task What_its_caller_gave_up_is_not_asked_for_and_its_place_is_free_again()
    {
        var straight = new[] { Get("a"), Get("b") };
        using var impatient = new CancellationTokenSource();
        var gone = Enumerable.Range(0, GetMerger.MaxWaiting).Select(_ => Get("gone", impatient.Token)).ToList();
        await impatient.CancelAsync();
        Assert.All(gone, get => Assert.True(get.IsCanceled));
        var stays = Get("stays");
        using var late = new CancellationTokenSource();
        var goneLate = Get("gone", late.Token);
        await late.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => goneLate);
        (await CallNumber(1)).Done.SetResult();
        var shared = await CallNumber(3);
        Assert.Equal(["stays"], shared.Keys.Select(key => key.ToString()));
        shared.Done.SetResult();
        Assert.Equal("stays", (await stays)!.Text);
        (await CallNumber(2)).Done.SetResult();
        await Task.WhenAll(straight);
    }

    [Fact]
    public async Task Values_that_do_not_fit_are_asked_for_together_and_not_each_in_a_call_of_its_own()
    {
        const int Fit = 2;
        var together = new List<int>();
        var alone = new TaskCompletionSource();
        var merger = new GetMerger(
            async (key, _, _) =>
            {
                await alone.Task;
                return new Entry(key.Memory, default, new(1));
            },
            (keys, entries, _) =>
            {
                together.Add(keys.Count);
                for (var i = 0; i < Math.Min(Fit, keys.Count); i++)
                {
                    entries[i] = new(keys[i].Memory, default, new(1));
                }

                return Task.FromResult<IReadOnlyList<int>>([.. Enumerable.Range(0, keys.Count).Skip(Fit)]);
            });
        var gets = Enumerable.Range(0, 9).Select(i => merger.GetAsync($"k{i}", new(TimeProvider.System, TimeSpan.FromMinutes(1)), CancellationToken.None).AsTask()).ToList();
        alone.SetResult();
        var entries = await Task.WhenAll(gets);
        Assert.Equal(Enumerable.Range(0, 9).Select(i => $"k{i}"), entries.Select(entry => entry!.Text));

        // Two went straight; of the others the last one, which is alone.
        Assert.Equal<int>([7, 5, 3], together);
    }
}
